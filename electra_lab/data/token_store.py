"""Text as memory-mapped token ids with line and document offsets and an example index, in shards.

A store is a folder of shards; a shard is four flat files, and `meta.json` says what they hold: `tokens-N.bin` (uint16
or uint32), `lines-N.bin` (int64, token at which each line starts), `documents-N.bin` (int64, line at which each
document starts), both with the total at their end, and `examples-N.bin` (int64, the rows of `packing.pack_examples`).
"""

import hashlib
import itertools
import json
import mmap
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from tokenizers import Tokenizer

from electra_lab.data.documents import Document
from electra_lab.data.packing import pack_examples

OPEN_FILES = 256  # of one store; a mapped file holds a descriptor, and 1,024 of them are a usual limit
CHARACTERS_AT_ONCE = 1 << 18  # handed to the tokenizer together: what it returns takes a hundred bytes a token

COUNTED = ("documents", "lines", "tokens", "unknown_tokens", "examples")

Counts = dict[str, int]  # one for each of COUNTED


class TokenStore:
    """A folder of shards, opened for reading; files are mapped when they are first read, and not all at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        self.shards = [Shard(self, number, num_examples) for number, num_examples in self.meta["shards"]]
        self.open_file = lru_cache(OPEN_FILES)(self._open_file)

    def __reduce__(self) -> tuple[type["TokenStore"], tuple[Path]]:
        return TokenStore, (self.folder,)  # a worker maps the files itself: pickling a memory map would copy it

    def _open_file(self, name: str, number: int) -> NDArray:
        with _file(self.folder, name, number).open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # np.memmap takes three times as long
        return np.frombuffer(mapped, dtype=self.meta["dtype"] if name == "tokens" else np.int64)


class Shard(NamedTuple):
    """One shard of a store; its files are mapped when they are read."""

    store: TokenStore
    number: int
    num_examples: int

    @property
    def tokens(self) -> NDArray:
        """(tokens,) uint16 or uint32."""
        return self.store.open_file("tokens", self.number)

    @property
    def line_offsets(self) -> NDArray[np.int64]:
        """(lines + 1,) token at which each line starts."""
        return self.store.open_file("lines", self.number)

    @property
    def document_offsets(self) -> NDArray[np.int64]:
        """(documents + 1,) line at which each document starts."""
        return self.store.open_file("documents", self.number)


class ShardExamples:
    """The example index of one shard: its length is known without opening the file."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard

    def __len__(self) -> int:
        return self.shard.num_examples

    def __getitem__(self, place: int | NDArray[np.int64]) -> NDArray[np.int64]:
        """(3,) or (n, 3): token at which A starts, B starts, B ends."""
        return self.shard.store.open_file("examples", self.shard.number).reshape(-1, 3)[place]


def write_shard(
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    unknown_id: int | None,
    folder: Path,
    number: int,
    max_length: int,
    seed: int,
) -> Counts:
    """Tokenise and pack documents into the files of one shard; without a token, no file is written.

    Special tokens typed in the text stay text, so a corpus cannot forge structure.

    Returns:
        How many there are of each of `COUNTED`.
    """
    tokens = [np.empty(0, dtype=token_type(tokenizer))]
    line_lengths, document_lengths = list[int](), list[int]()
    for document in _encode(documents, tokenizer):
        if document:
            tokens.append(np.fromiter(itertools.chain.from_iterable(document), dtype=tokens[0].dtype))
            line_lengths.extend(map(len, document))
            document_lengths.append(len(document))
    ids = np.concatenate(tokens)
    lines, starts = (np.cumsum([0, *lengths], dtype=np.int64) for lengths in (line_lengths, document_lengths))
    examples = pack_examples(lines, starts, max_length, seed)
    if len(ids):
        for name, values in (("tokens", ids), ("lines", lines), ("documents", starts), ("examples", examples)):
            values.tofile(_file(folder, name, number))
    num_unknown = int((ids == unknown_id).sum())
    counts = (len(document_lengths), len(line_lengths), len(ids), num_unknown, len(examples))
    return dict(zip(COUNTED, counts, strict=True))


def write_meta(folder: Path, tokenizer: Tokenizer, counts: Sequence[Counts]) -> Counts:
    """Write `meta.json` for shards 0, 1, ... with these counts; returns their sums."""
    total = {name: sum(shard[name] for shard in counts) for name in COUNTED}
    shards = [[number, shard["examples"]] for number, shard in enumerate(counts) if shard["tokens"]]
    identity = {"dtype": np.dtype(token_type(tokenizer)).name, "tokenizer_sha256": tokenizer_sha256(tokenizer)}
    (folder / "meta.json").write_text(json.dumps({**total, **identity, "shards": shards}) + "\n", encoding="utf-8")
    return total


def token_type(tokenizer: Tokenizer) -> DTypeLike:
    """Two bytes a token where they hold the vocabulary, otherwise four."""
    return np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32


def tokenizer_sha256(tokenizer: Tokenizer) -> str:
    """Fingerprint of what a tokenizer does: its vocabulary and its whole pipeline."""
    return hashlib.sha256(tokenizer.to_str().encode("utf-8")).hexdigest()


def _encode(documents: Iterable[Document], tokenizer: Tokenizer) -> Iterator[list[list[int]]]:
    """Documents as lists of lines of ids, without empty lines; many lines at once, for a tokenizer with threads."""
    tokenizer.encode_special_tokens = True
    documents = iter(documents)
    while taken := _take(documents):
        lines = list(itertools.chain.from_iterable(taken))
        encoded = (encoding.ids for encoding in tokenizer.encode_batch_fast(lines, add_special_tokens=False))
        for document in taken:
            yield [line for line in itertools.islice(encoded, len(document)) if line]


def _take(documents: Iterator[Document]) -> list[Document]:
    taken, characters = list[Document](), 0
    while characters < CHARACTERS_AT_ONCE and (document := next(documents, None)) is not None:
        taken.append(document)
        characters += sum(map(len, document))
    return taken


def _file(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}-{number:05d}.bin"
