"""Text for pretraining: documents from .txt, .jsonl, NIKL folders and Hugging Face datasets, one at a time.

A document is a list of lines (paragraphs, sentences or messages); examples never cross from one document to the next.
"""

import codecs
import gzip
import io
import logging
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from electra_lab.data.errors import IngestError
from electra_lab.data.formats import read_conversations
from electra_lab.data.formats.strict_json import expect, parsed
from electra_lab.data.text import byte_order_mark, for_model, is_cp949

LONGEST_LINE = 1 << 26  # characters
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
    """A text file for reading, also a compressed one (`.gz`, `.xz`); its encoding is told from the first 64 KB.

    UTF-8; UTF-16 with its mark; CP949, which is said, where only that gives Hangul. Whatever is not UTF-8 later on
    is left to the decoder's UnicodeDecodeError.
    """
    file = cast(BinaryIO, _OPENERS.get(path.suffix, open)(path, "rb"))
    try:
        head = file.read(_HEAD)
        mark, encoding = byte_order_mark(head)
        encoding = encoding or _encoding_of(head, path)
        file.seek(len(mark))
    except BaseException:
        file.close()
        raise
    # newline="\n": only a line feed ends a line; Python would also split at a lone carriage return inside a paragraph
    return io.TextIOWrapper(file, encoding, newline="\n")


def _encoding_of(head: bytes, path: Path) -> str:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < _HEAD)
    except UnicodeDecodeError:
        if is_cp949(head) or is_cp949(head[:-1]):  # 64 KB may end in the middle of a character
            _logger.warning("%s: not UTF-8, read as CP949", path)
            return "cp949"
    return "utf-8"


def _read_text_file(path: Path) -> Iterator[Document]:
    try:
        with open_text(path) as file:
            lines = _lines(file, path)
            yield from _read_jsonl(path, lines) if ".jsonl" in path.suffixes else _read_paragraphs(lines)
    except UnicodeDecodeError as error:
        got = f"byte {error.start} that is none"
        raise IngestError("E103", str(path), "", "UTF-8 text (or UTF-16 with its mark, or CP949)", got) from None
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        raise IngestError("E102", str(path), "", "a whole compressed file", type(error).__name__) from None
    except OSError as error:
        raise IngestError("E102", str(path), "", "a file that can be read", error.strerror or "an error") from error


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """A line at a time, whatever the file: a few kilobytes of a compressed one may be a line of gigabytes."""
    for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE + 1), ""), start=1):
        if len(line) > LONGEST_LINE:
            expected = f"a line of at most {LONGEST_LINE:,} characters"
            raise IngestError("E115", str(path), f"line {number}", expected, "a longer one")
        yield line


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
            place = f"line {number}"
            yield _lines_of(expect(parsed(line, path, place), dict, path, place), path, place)


def _lines_of(record: dict[str, Any], path: Path, place: str) -> Document:
    """Of a text its lines, of messages each as one; null is no text.

    Raises:
        IngestError: E108 a wrong type, E109 neither "text" nor "messages".
    """
    if "text" in record:
        text = record["text"]
        return [] if text is None else expect(text, str, path, f"{place}/text").split("\n")
    if "messages" not in record:
        raise IngestError("E109", str(path), place, '"text" or "messages"', "neither")
    messages = expect(record["messages"], list, path, f"{place}/messages")
    texts = (message.get("text", message) if isinstance(message, dict) else message for message in messages)
    places = (f"{place}/messages/{number}" for number in range(len(messages)))
    return [expect(text, str, path, at) for at, text in zip(places, texts, strict=True) if text is not None]


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
        for number, record in enumerate(split):
            if "text" not in record and "messages" not in record:
                raise ValueError(f"hf:{name}: expected a column text or messages, got {', '.join(record)}")
            yield _lines_of(record, Path(f"hf:{name}"), f"record {number}")


def _cut(documents: Iterable[Document]) -> Iterator[Document]:
    for document in documents:
        lines = [line for line in document if line.strip()]
        for start in range(0, len(lines), MAX_LINES):
            yield lines[start : start + MAX_LINES]


_logger = logging.getLogger(__name__)
_HEAD = 1 << 16  # bytes that tell the encoding
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
