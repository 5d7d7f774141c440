"""A file as bytes, text and lines, each line with its number and its place in bytes."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from electra_lab.data.errors import IngestError
from electra_lab.data.text import byte_order_mark, is_cp949


class Line(NamedTuple):
    """A line up to its LF; a CR before it, and one inside, belong to the text."""

    text: str  # without LF or CRLF
    number: int  # from 1
    offset: int  # bytes from the start of the file; of the first line 0, whether or not a byte order mark is there
    size: int  # bytes, line end included
    ends_crlf: bool
    has_bad_bytes: bool


class Source(NamedTuple):
    """A file that was read whole."""

    path: Path
    name: str  # how the results call it: the path below the one that the user gave
    raw: bytes
    encoding: str
    bom: int  # bytes of the byte order mark

    @property
    def text(self) -> str:
        """All of it, without byte order mark; bytes that are no text are U+FFFD."""
        return self.raw[self.bom :].decode(self.encoding, "replace")

    def lines(self) -> Iterator[Line]:
        """The lines, whose sizes add up to the size of the file."""
        newline = "\n".encode(self.encoding)
        offset, start = 0, self.bom
        number = 0
        while start < len(self.raw):
            number += 1
            end = _after(self.raw, newline, start)
            text, has_bad_bytes = _decoded(self.raw[start:end], self.encoding)
            crlf = text.endswith("\r\n")
            yield Line(text.removesuffix("\r\n" if crlf else "\n"), number, offset, end - offset, crlf, has_bad_bytes)
            offset = start = end


def as_source(path: Path, name: str, raw: bytes) -> Source:
    """A file's bytes and how they are text: by its byte order mark, else UTF-8, else CP949 if that gives Hangul.

    A file that is UTF-8 but for a few bytes, as a damaged or recovered one is, is read as UTF-8.

    Raises:
        IngestError: E103, no text.
    """
    mark, encoding = byte_order_mark(raw)
    if encoding is not None:
        return Source(path, name, raw, encoding, len(mark))
    try:
        raw.decode("utf-8")
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "cp949" if is_cp949(raw) else "utf-8"
    if b"\0" in raw[: 1 << 16] or raw.decode(encoding, "replace").count("\ufffd") * 20 > len(raw):
        raise IngestError("E103", name, "", "text in UTF-8, UTF-16 with its mark, or CP949", "bytes that are none")
    return Source(path, name, raw, encoding, 0)


def _decoded(raw: bytes, encoding: str) -> tuple[str, bool]:
    try:
        return raw.decode(encoding), False
    except UnicodeDecodeError:
        return raw.decode(encoding, "replace"), True


def _after(raw: bytes, newline: bytes, start: int) -> int:
    """Where the next line begins; wide encodings have the newline's bytes also across two characters."""
    end = raw.find(newline, start)
    while end >= 0 and (end - start) % len(newline):
        end = raw.find(newline, end + 1)
    return len(raw) if end < 0 else end + len(newline)
