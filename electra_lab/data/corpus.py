"""A prepared corpus: tokenizer, token stores of the training and the held-out text, example index; made once."""

import hashlib
import itertools
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from electra_lab.data import synthetic
from electra_lab.data.chance import uniform
from electra_lab.data.documents import Document, read_documents, text_files
from electra_lab.data.packing import pack_examples
from electra_lab.data.token_store import TokenStore, write_token_store
from electra_lab.data.wordpiece import train_wordpiece
from electra_lab.tokenizer import load_tokenizer

FORMAT = 1  # raise it when the prepared files change their meaning
PARTS = ("train", "validation")

log = logging.getLogger(__name__)


class CorpusSettings(NamedTuple):
    """Everything that the prepared files depend on besides the text."""

    paths: list[str] | None  # None = the embedded synthetic text
    validation_paths: list[str] | None  # None = a share of the documents of `paths`
    validation_share: float
    tokenizer: str | None  # None = train one
    vocabulary_size: int
    sample_lines: int
    max_length: int
    seed: int


def corpus_name(settings: CorpusSettings) -> str:
    """A folder name that changes when the settings or the files (names, sizes, times) do."""
    identity: list = [FORMAT, settings._asdict()]
    for source in (settings.paths or []) + (settings.validation_paths or []):
        if not source.startswith("hf:"):
            stats = ((file, file.stat()) for file in text_files(source))
            identity.append([(str(file.resolve()), stat.st_size, stat.st_mtime_ns) for file, stat in stats])
    digest = hashlib.sha256(json.dumps(identity).encode("utf-8")).hexdigest()[:12]
    label = Path(settings.paths[0].removeprefix("hf:")).name.split(".")[0] if settings.paths else "synthetic"
    return f"{label}-{digest}"


def prepare_corpus(settings: CorpusSettings, folder: Path) -> None:
    """Make the folder unless it is there; written beside it first, so that it is whole or absent.

    Two runs that need the same corpus at once both make it, each for itself, and one of the results stays.
    """
    if (folder / "corpus.json").is_file():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{folder.name}.partial-", dir=folder.parent) as work:
        _write_corpus(settings, Path(work) / "corpus")
        if not (folder / "corpus.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            (Path(work) / "corpus").rename(folder)


def open_corpus(folder: Path, part: str) -> tuple[TokenStore, list[NDArray[np.int64]]]:
    """Token store and example index of a part, memory-mapped."""
    store = TokenStore(folder / part)
    files = [folder / part / f"examples-{number:05d}.npy" for number in range(len(store.shards))]
    return store, [np.load(file, mmap_mode="r") for file in files]


def _documents(settings: CorpusSettings, part: str) -> Iterator[Document]:
    """The documents of a part; which are held out depends on the seed and their number alone. The first always is."""
    if part == "validation" and settings.validation_paths:
        yield from read_documents(settings.validation_paths)
        return
    everything = read_documents(settings.paths) if settings.paths else synthetic.documents()
    share = 0.0 if settings.validation_paths else settings.validation_share
    for number, document in enumerate(everything):
        is_held_out = share > 0 and (number == 0 or bool(uniform(settings.seed, number) < share))
        if is_held_out == (part == "validation"):
            yield document


def _write_corpus(settings: CorpusSettings, work: Path) -> None:
    if settings.tokenizer is None:
        log.info("training a WordPiece tokenizer of %d tokens", settings.vocabulary_size)
        lines = itertools.chain.from_iterable(_documents(settings, "train"))
        sample = itertools.islice(lines, settings.sample_lines)
        train_wordpiece(sample, settings.vocabulary_size, work / "tokenizer")
    tokenizer = load_tokenizer(settings.tokenizer or str(work / "tokenizer"))
    summary: dict = {"settings": settings._asdict()}
    for part in PARTS:
        log.info("tokenising the %s text", part)
        meta = write_token_store(_documents(settings, part), tokenizer, work / part)
        index = [
            pack_examples(shard.line_offsets, shard.document_offsets, settings.max_length, settings.seed + number)
            for number, shard in enumerate(TokenStore(work / part).shards)
        ]
        for number, examples in enumerate(index):
            np.save(work / part / f"examples-{number:05d}.npy", examples)
        summary[part] = {**meta, "examples": sum(map(len, index))}
        log.info(
            "%s: %d documents, %d tokens (%.2f %% unknown), %d examples",
            part,
            meta["documents"],
            meta["tokens"],
            100 * meta["unknown_tokens"] / meta["tokens"],
            summary[part]["examples"],
        )
    (work / "corpus.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
