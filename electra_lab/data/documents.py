"""Text for pretraining: documents from .txt, .jsonl, NIKL folders and Hugging Face datasets, one at a time.

A document is a list of lines (paragraphs, sentences or messages); examples never cross from one document to the next.
"""

import gzip
import json
import lzma
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from electra_lab.data.errors import IngestError
from electra_lab.data.formats import read_conversations
from electra_lab.data.text import for_model

MAX_LINES = 128  # a file without blank lines (one review a line) is cut here, so that some of it can be held out
SUFFIXES = (".txt", ".jsonl", ".txt.gz", ".jsonl.gz", ".txt.xz", ".jsonl.xz")

Document = list[str]


def read_documents(sources: Sequence[str]) -> Iterator[Document]:
    """Documents of all sources in order: a file, a folder, or `hf:NAME_OR_FOLDER`; memory stays flat.

    Lines are repaired for the model (`text.for_model`); empty lines and empty documents do not appear.

    Raises:
        FileNotFoundError: a source does not exist, or a folder holds nothing readable.
        IngestError: a line that cannot be used (file, line, what was expected).
    """
    yield from filter(None, map(repaired, raw_documents(sources)))


def repaired(document: Document) -> Document:
    """Its lines as the model reads them, without those of which nothing is left."""
    return [line for line in (for_model(line).strip() for line in document) if line]


def raw_documents(sources: Sequence[str]) -> Iterator[Document]:
    """As `read_documents`, before the repair, which costs a third of the reading; no line is blank."""
    for source in sources:
        if source.startswith("hf:"):
            yield from _cut(_read_dataset(source.removeprefix("hf:")))
            continue
        for path in text_files(source):
            yield from _cut(_read_conversation_file(path) if path.suffix == ".json" else _read_text_file(path))


def as_list(paths: Sequence[str] | str | None) -> list[str] | None:
    """One path as a list of one, as it comes from a command line; None stays None."""
    return [paths] if isinstance(paths, str) else None if paths is None else list(paths)


def text_files(source: str) -> list[Path]:
    """The files that `read_documents` opens for a file or folder, in order."""
    path = Path(source)
    if path.is_file():
        if not source.endswith((*SUFFIXES, ".json")):
            raise FileNotFoundError(f"{source}: expected a name ending in {', '.join(SUFFIXES)} or .json (NIKL)")
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{source}: no such file or folder; DATA takes a file, a folder or hf:NAME")
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith((*SUFFIXES, ".json")))
    if not files:
        raise FileNotFoundError(f"{source}: the folder holds no file ending in {', '.join(SUFFIXES)} or .json (NIKL)")
    return files


def open_text(path: Path) -> TextIO:
    """A UTF-8 file for reading, also a compressed one (`.gz`, `.xz`)."""
    # newline="\n": only a line feed ends a line; Python would also split at a lone carriage return inside a paragraph
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="\n")
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8-sig", newline="\n")
    return path.open(encoding="utf-8-sig", newline="\n")


def _read_text_file(path: Path) -> Iterator[Document]:
    with open_text(path) as file:
        try:
            yield from _read_jsonl(path, file) if ".jsonl" in path.suffixes else _read_paragraphs(file)
        except UnicodeDecodeError as error:
            raise IngestError("E103", str(path), "", "UTF-8 text", f"byte {error.start} is not UTF-8") from None
        except (EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
            raise IngestError("E102", str(path), "", "a whole compressed file", type(error).__name__) from None


def _read_paragraphs(lines: Iterable[str]) -> Iterator[Document]:
    document: Document = []
    for line in lines:
        if line.strip():
            document.append(line)
            if len(document) < MAX_LINES:
                continue
        yield document
        document = []
    yield document


def _read_jsonl(path: Path, lines: Iterable[str]) -> Iterator[Document]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _lines_of(json.loads(line))
            except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
                expected = 'an object with "text" or "messages"'
                raise IngestError("E101", str(path), f"line {number}", expected, "something else") from None


def _lines_of(record: dict) -> Document:
    if "text" in record:
        return str(record["text"]).split("\n")
    return [message if isinstance(message, str) else message["text"] for message in record["messages"]]


def _read_conversation_file(path: Path) -> Iterator[Document]:
    for conversation in read_conversations([path]):
        yield [message.text for message in conversation.messages]


def _read_dataset(name: str) -> Iterator[Document]:
    try:
        from datasets import load_dataset, load_from_disk
    except ImportError:
        raise ValueError("hf: needs the `datasets` package: pip install 'electra_lab[data]'") from None
    if (Path(name) / "state.json").is_file() or (Path(name) / "dataset_dict.json").is_file():
        dataset = load_from_disk(name)
    else:
        dataset = load_dataset(name, streaming=True)
    splits = dataset.values() if isinstance(dataset, dict) else [dataset]
    for split in splits:
        for record in split:
            if "text" not in record and "messages" not in record:
                raise ValueError(f"hf:{name}: expected a column text or messages, got {', '.join(record)}")
            yield _lines_of(record)


def _cut(documents: Iterable[Document]) -> Iterator[Document]:
    for document in documents:
        lines = [line for line in document if line.strip()]
        for start in range(0, len(lines), MAX_LINES):
            yield lines[start : start + MAX_LINES]
