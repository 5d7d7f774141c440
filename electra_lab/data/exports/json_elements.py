"""Lists inside a JSON file, element by element, each with its lines and bytes; strict, and linear in time."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from electra_lab.data.errors import IngestError
from electra_lab.data.exports.chat import HEADER, Entry
from electra_lab.data.exports.records import entry_at
from electra_lab.data.exports.source import Line, Source
from electra_lab.data.formats.strict_json import parsed, twice


class Element(NamedTuple):
    """An element of a list, or a stretch of JSON around one."""

    value: Any
    text: str  # as it stands
    line: int  # from 1
    num_lines: int
    offset: int  # bytes from the start of the file
    size: int
    has_bad_bytes: bool


class Listing(NamedTuple):
    """An object with a list of records."""

    members: dict[str, Any]  # the rest of the object, but for objects and lists on the way to other lists
    entries: list[Entry]  # in the order of the file: the records, and as "header" what stands around them


def listings(source: Source, paths: Sequence[str], entry: Callable[[Element], Entry]) -> list[Listing]:
    """The objects that hold a list at one of the paths, in the order of the file.

    Every element is one entry; the rest of the file, but for brackets, commas and white space, is headers. Elements
    with the same "id" in one list are flagged. One element at a time is held as Python objects.

    Args:
        source: a JSON text.
        paths: of the lists, "*" for any element of a list on the way: "/chats/list/*/messages".
        entry: makes the entry of an element.

    Raises:
        IngestError: E101 not JSON, E103 not text, E105 a key twice, E107 NaN or Infinity, E108 no such list.
    """
    walk = _Walk(source, entry)
    end = walk.value(walk.skip(0), tuple(tuple(path.split("/")[1:]) for path in paths))[1]
    if walk.skip(end) < len(walk.view):
        walk.fail(end, "more than one value")
    if not walk.found:
        raise IngestError("E108", source.name, " or ".join(paths), "a list", "none")
    walk.header(len(walk.view), walk.found[-1].entries)
    return walk.found


def of_line(line: Line) -> Element:
    """A line of JSON Lines."""
    return Element(None, line.text, line.number, 1, line.offset, line.size, line.has_bad_bytes)


_Paths = tuple[tuple[str, ...], ...]


class _Walk:
    """One pass over the structure.

    The view has a character a byte, so that the standard decoder, which is fast, also says at which byte an element
    ends: all bytes of UTF-8 and CP949 that could be taken for JSON's own signs are these signs. What is found is
    decoded properly, and strictly, a second time.
    """

    def __init__(self, source: Source, entry: Callable[[Element], Entry]) -> None:
        self.path = Path(source.name)
        self.entry = entry
        self.wide = None if source.encoding in ("utf-8", "cp949") else source.encoding
        self.encoding = "utf-8" if self.wide else source.encoding
        self.raw = source.raw[source.bom :]
        if self.wide:
            try:
                self.raw = self.raw.decode(self.wide).encode()
            except UnicodeDecodeError:
                raise IngestError("E103", source.name, "", f"text in {self.wide}", "bytes that are none") from None
        self.view = self.raw.decode("latin-1")
        self.decoder = json.JSONDecoder()
        self.found: list[Listing] = []
        self.done = 0  # everything before has become an entry
        self.here, self.line, self.offset = 0, 1, source.bom  # a place in the view, its line and its byte in the file

    def value(self, start: int, paths: _Paths) -> tuple[Any, int]:
        """The value that begins here, None if lists are looked for below it, and its end."""
        sign = self.view[start : start + 1]
        if sign == "{" and paths:
            return None, self.object(start, paths)
        if sign == "[" and (below := tuple(path[1:] for path in paths if path[0] == "*" and len(path) > 1)):
            return None, self.each(start, "]", lambda item: self.value(item, below)[1])
        end = self.end(start)
        return self.strict(start, end), end

    def object(self, start: int, paths: _Paths) -> int:
        """Goes through an object below which lists are looked for; its end."""
        members: dict[str, Any] = {}
        entries: list[Entry] | None = None

        def member(key_start: int) -> int:
            nonlocal entries
            key_end = self.end(key_start)
            key = self.strict(key_start, key_end)
            colon = self.skip(key_end)
            if not isinstance(key, str) or self.view[colon : colon + 1] != ":":
                self.fail(key_start, "no key of an object")
            if key in members:
                raise twice(key, self.path, self.place(key_start))
            at = self.skip(colon + 1)
            below = tuple(path[1:] for path in paths if path[0] == key)
            if () in below and self.view[at : at + 1] == "[":
                entries = []
                members[key] = None
                self.header(start, self.found[-1].entries if self.found else entries)
                return self.records(at, entries)
            members[key], end = self.value(at, tuple(path for path in below if path))
            return end

        end = self.each(start, "}", member)
        if entries is not None:
            self.header(end, entries)
            self.found.append(Listing(members, entries))
        return end

    def records(self, start: int, entries: list[Entry]) -> int:
        """Appends the entries of a list; its end."""
        identities: list[tuple[int, str | int]] = []

        def record(at: int) -> int:
            self.header(at, entries)
            end = self.done = self.end(at)
            element = self.element(at, end)._replace(value=self.strict(at, end))
            entries.append(self.entry(element))
            identity = element.value.get("id") if isinstance(element.value, dict) else None
            if isinstance(identity, str | int):
                identities.append((len(entries) - 1, identity))
            return end

        end = self.each(start, "]", record)
        counts = Counter(identity for _, identity in identities)
        for index, identity in identities:
            if counts[identity] > 1:
                entries[index] = replace(entries[index], flags=(*entries[index].flags, "repeated_id"))
        return end

    def each(self, start: int, closing: str, item: Callable[[int], int]) -> int:
        """Calls `item` with the start of each member, which says where it ends; the end of the object or list."""
        at = self.skip(start + 1)
        if self.view[at : at + 1] == closing:
            return at + 1
        while True:
            at = self.skip(item(at))
            sign = self.view[at : at + 1]
            if sign == closing:
                return at + 1
            if sign != ",":
                self.fail(at, f"no comma or {closing}")
            at = self.skip(at + 1)

    def header(self, end: int, entries: list[Entry]) -> None:
        """What stands between the last entry and here, if it says anything."""
        if _TELLING.search(self.view, self.done, end):
            start = _SEPARATOR.match(self.view, self.done).end()  # type: ignore[union-attr]
            stop = start + len(self.view[start:end].rstrip(" \t\r\n,"))
            entries.append(entry_at(self.element(start, stop), HEADER))
        self.done = end

    def element(self, start: int, end: int) -> Element:
        """The stretch with its place, its value not looked at; asked for in the order of the file."""
        self.line += self.raw.count(b"\n", self.here, start)
        self.offset += self.width(self.here, start)
        self.here = start
        num_lines = self.raw.count(b"\n", start, end) + 1
        text = self.decoded(start, end)
        has_bad_bytes = "\ufffd" in text and text.encode(self.encoding, "replace") != self.raw[start:end]
        return Element(None, text, self.line, num_lines, self.offset, self.width(start, end), has_bad_bytes)

    def width(self, start: int, end: int) -> int:
        """Bytes of the file."""
        return len(self.raw[start:end].decode().encode(self.wide)) if self.wide else end - start

    def decoded(self, start: int, end: int) -> str:
        """A stretch as text; bytes that are no text become U+FFFD."""
        return self.raw[start:end].decode(self.encoding, "replace")

    def strict(self, start: int, end: int) -> Any:
        """The value of a stretch."""
        try:
            return parsed(self.decoded(start, end), self.path)
        except IngestError as error:
            raise IngestError(error.code, error.path, self.place(start), error.expected, error.got) from None

    def end(self, start: int) -> int:
        """Where the value that begins here ends."""
        try:
            return self.decoder.raw_decode(self.view, start)[1]
        except json.JSONDecodeError as error:
            self.fail(error.pos, error.msg)
        except RecursionError:
            self.fail(start, "nesting too deep")
        except ValueError:
            self.fail(start, "a number of thousands of digits")

    def skip(self, start: int) -> int:
        """The next place that is not white space."""
        return _WHITE.match(self.view, start).end()  # type: ignore[union-attr]

    def place(self, at: int) -> str:
        """For an error."""
        return f"line {self.raw.count(_NEWLINE, 0, at) + 1}"

    def fail(self, at: int, got: str) -> NoReturn:
        """Not JSON."""
        raise IngestError("E101", str(self.path), self.place(at), "JSON", got)


_NEWLINE = b"\n"
_WHITE = re.compile(r"[ \t\n\r]*")
_SEPARATOR = re.compile(r"[ \t\n\r,]*")
_TELLING = re.compile(r"[^ \t\n\r,{}\[\]]")
