"""Text as memory-mapped token ids with line and document offsets: made once, opened in microseconds.

A store is a folder of shards; a shard is three flat files, and `meta.json` says what they hold:
`tokens-N.bin` (uint16 or uint32), `lines-N.bin` (int64, token at which each line starts) and `documents-N.bin`
(int64, line at which each document starts); both offset files end with the total.
"""

import hashlib
import itertools
import json
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from electra_lab.data.documents import Document

SHARD_TOKENS = 1 << 27  # 256 MiB a shard at two bytes a token
LINES_AT_ONCE = 8192  # handed to the tokenizer together, which spreads them over the cores
PROGRESS_SECONDS = 10.0

log = logging.getLogger(__name__)


class Shard(NamedTuple):
    """One shard, memory-mapped."""

    tokens: NDArray  # (tokens,) uint16 or uint32
    line_offsets: NDArray[np.int64]  # (lines + 1,)
    document_offsets: NDArray[np.int64]  # (documents + 1,)


class TokenStore:
    """A folder of shards, opened for reading."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        self.shards = [self._open(number) for number in range(self.meta["num_shards"])]

    def __reduce__(self) -> tuple[type["TokenStore"], tuple[Path]]:
        return TokenStore, (self.folder,)  # a worker maps the files itself: pickling a memory map would copy it

    def _open(self, number: int) -> Shard:
        files = _files(self.folder, number)
        tokens = np.memmap(files[0], dtype=self.meta["dtype"], mode="r")
        return Shard(tokens, *(np.memmap(file, dtype=np.int64, mode="r") for file in files[1:]))


def write_token_store(documents: Iterable[Document], tokenizer: PreTrainedTokenizerBase, folder: Path) -> dict:
    """Tokenise documents into a new store; memory does not grow with them. Returns what `meta.json` holds.

    Special tokens typed in the text stay text (`split_special_tokens`), so a corpus cannot forge structure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dtype = np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32
    counts = {"documents": 0, "lines": 0, "tokens": 0, "unknown_tokens": 0, "num_shards": 0}
    encoded = _encode(documents, tokenizer)
    started = time.monotonic()
    while (first := next(encoded, None)) is not None:
        _write_shard(itertools.chain([first], encoded), folder, dtype, tokenizer.unk_token_id, counts, started)
    if not counts["tokens"]:
        raise ValueError("no text: of a corpus of one document nothing is left beside the held-out text; is it empty?")
    meta = {**counts, "dtype": np.dtype(dtype).name, "tokenizer_sha256": tokenizer_sha256(tokenizer)}
    (folder / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    return meta


def tokenizer_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """Fingerprint of what a tokenizer does: its vocabulary and its whole pipeline."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode("utf-8")).hexdigest()


def _encode(documents: Iterable[Document], tokenizer: PreTrainedTokenizerBase) -> Iterator[list[list[int]]]:
    """Documents as lists of lines of ids, tokenised many lines at once."""
    documents = iter(documents)
    while block := _take_lines(documents, LINES_AT_ONCE):
        lines = itertools.chain.from_iterable(block)
        encoding = tokenizer(
            list(lines),
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,  # "longer than the maximum length" is what packing is for
        )
        ids = iter(encoding["input_ids"])
        for document in block:
            yield [line for line in itertools.islice(ids, len(document)) if line]


def _take_lines(documents: Iterator[Document], num_lines: int) -> list[Document]:
    block: list[Document] = []
    taken = 0
    while taken < num_lines and (document := next(documents, None)) is not None:
        block.append(document)
        taken += len(document)
    return block


def _write_shard(
    encoded: Iterator[list[list[int]]], folder: Path, dtype: type, unknown_id: int, counts: dict, started: float
) -> None:
    """Write documents until the shard is full."""
    num_tokens = num_lines = 0
    last_report = time.monotonic()
    with ExitStack() as stack:
        tokens, lines, documents = (stack.enter_context(f.open("wb")) for f in _files(folder, counts["num_shards"]))
        for document in encoded:
            if not document:
                continue
            ids: NDArray = np.fromiter(itertools.chain.from_iterable(document), dtype=dtype)
            lengths = np.fromiter(map(len, document), dtype=np.int64)
            ids.tofile(tokens)
            (num_tokens + np.cumsum(lengths) - lengths).tofile(lines)
            np.int64(num_lines).tofile(documents)
            num_tokens += len(ids)
            num_lines += len(document)
            counts["documents"] += 1
            counts["unknown_tokens"] += int((ids == unknown_id).sum())
            if time.monotonic() - last_report > PROGRESS_SECONDS:
                last_report = time.monotonic()
                total = counts["tokens"] + num_tokens
                speed = total / (last_report - started)
                log.info(
                    "tokenising: %d documents, %.1f M tokens, %.0f k/s", counts["documents"], total / 1e6, speed / 1e3
                )
            if num_tokens >= SHARD_TOKENS:
                break
        np.int64(num_tokens).tofile(lines)
        np.int64(num_lines).tofile(documents)
    if num_tokens:  # an empty one is written over by the next
        counts["num_shards"] += 1
    counts["lines"] += num_lines
    counts["tokens"] += num_tokens


def _files(folder: Path, number: int) -> list[Path]:
    return [folder / f"{name}-{number:05d}.bin" for name in ("tokens", "lines", "documents")]
