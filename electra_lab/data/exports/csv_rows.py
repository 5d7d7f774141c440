"""Rows of a table in text (RFC 4180: commas, tabs, quoted cells with line ends), each with its place in the file."""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from electra_lab.data.exports.source import Line, Source


class Row(NamedTuple):
    """A row and the lines it stands on; an empty line is a row with one empty cell."""

    cells: tuple[str, ...]  # quotes undone, line ends inside kept as they are
    line: int  # from 1
    num_lines: int
    offset: int  # bytes from the start of the file
    size: int  # bytes, line end included
    has_bad_bytes: bool
    is_whole: bool  # False: a quoted cell is never closed, or goes on behind its closing quote
    text: str  # as it stands, without the line end


def rows(source: Source, delimiter: str) -> Iterator[Row]:
    """The rows in order; their sizes add up to the size of the file, whatever it holds, in time linear in it.

    Source: RFC 4180 (https://www.rfc-editor.org/rfc/rfc4180); a quote inside an unquoted cell is a character.
    """
    lines: list[Line] = []
    is_open = False
    for line in source.lines():
        lines.append(line)
        is_open = _is_open_after(line.text, delimiter, is_open)
        if not is_open:
            yield _row(lines, delimiter)
            lines = []
    if lines:
        yield _row(lines, delimiter)


def _row(lines: list[Line], delimiter: str) -> Row:
    pieces = [line.text + ("\r\n" if line.ends_crlf else "\n") for line in lines[:-1]]
    text = "".join(pieces) + lines[-1].text
    cells, is_whole = _cells(text, delimiter)
    first = lines[0]
    size = sum(line.size for line in lines)
    has_bad_bytes = any(line.has_bad_bytes for line in lines)
    return Row(cells, first.number, len(lines), first.offset, size, has_bad_bytes, is_whole, text)


def _is_open_after(line: str, delimiter: str, is_open: bool) -> bool:
    """Whether a quoted cell goes on in the next line, given whether one goes on in this line."""
    opening = delimiter + '"'
    position = 0 if is_open else (delimiter + line).find(opening) + 1
    while is_open or position > 0:
        closed = _TO_CLOSING_QUOTE.match(line, position)
        if closed is None:
            return True
        is_open = False
        found = line.find(opening, closed.end())
        position = found + 2 if found >= 0 else 0
    return False


def _cells(text: str, delimiter: str) -> tuple[tuple[str, ...], bool]:
    if '"' not in text:
        return tuple(text.split(delimiter)), True
    cells = []
    is_whole = True
    position = 0
    while position <= len(text):
        match = _cell(delimiter).match(text, position)
        assert match is not None  # every part may be empty
        quoted, closing, rest = match.groups()
        if quoted is None:
            cells.append(rest)
        else:
            cells.append(quoted.replace('""', '"') + rest)
            is_whole = is_whole and closing == '"' and not rest
        position = match.end() + 1
    return tuple(cells), is_whole


@cache
def _cell(delimiter: str) -> re.Pattern[str]:
    return re.compile(rf'(?:"((?:[^"]|"")*+)("?))?([^{re.escape(delimiter)}]*)')


_TO_CLOSING_QUOTE = re.compile('(?:[^"]|"")*+"')
