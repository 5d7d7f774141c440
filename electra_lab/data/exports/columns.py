"""Tables (CSV, TSV) and JSON Lines with a message a row, whose columns the user names."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from electra_lab.data.errors import IngestError
from electra_lab.data.exports.chat import BLANK, HEADER, MESSAGE, UNPARSED, Chat, Entry, Options
from electra_lab.data.exports.csv_rows import Row, rows
from electra_lab.data.exports.json_elements import Element, of_line
from electra_lab.data.exports.json_head import keys
from electra_lab.data.exports.moments import Moment, moments
from electra_lab.data.exports.records import chat_of_records, entry_at
from electra_lab.data.exports.source import Source
from electra_lab.data.formats.strict_json import parsed

OURS = ("text", "speaker", "time", "chat")
NAMES = CSV, TSV, JSONL = ("columns-csv", "columns-tsv", "columns-jsonl")
_DELIMITERS = (",", ";", "\t")


def recognise(head: str, columns: Sequence[tuple[str, str]] = ()) -> str | None:
    """By a column for the text: the user's, else one with the name "text"."""
    text = checked(columns)["text"]
    if f"/{text}" in keys(head):
        return JSONL
    first = head.split("\n", 1)[0].removesuffix("\r")
    delimiter = _delimiter(first, text)
    return None if delimiter is None else TSV if delimiter == "\t" else CSV


def read(source: Source, options: Options, format: str) -> list[Chat]:
    """The chats in order of appearance, all rows of one together; a row with too few or many cells is unparsed.

    Raises:
        ValueError: a column that is none of ours.
        IngestError: E106, no column for the text or another that was asked for.
    """
    names = checked(options.columns)
    asked = {ours for ours, _ in options.columns} | {"text"}
    records = _objects(source, names, asked) if format == JSONL else _table(source, names, asked)
    dates = moments([record.time for record in records], options.day_first)
    chats: dict[str, list[Entry]] = {}
    room = next((record.chat for record in records if record.kind == MESSAGE), "")
    for record, date in zip(records, dates, strict=True):
        room = record.chat if record.kind == MESSAGE else room  # what has no room goes with its neighbour
        chats.setdefault(room, []).append(_entry(record, date))
    return [chat_of_records(source, options, format, name, entries) for name, entries in chats.items()]


def checked(columns: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The file's name of each of ours.

    Raises:
        ValueError: one that is none of ours.
    """
    for ours, _ in columns:
        if ours not in OURS:
            raise ValueError(f"column {ours!r}: known are {', '.join(OURS)}")
    return {name: name for name in OURS} | dict(columns)


class _Record(NamedTuple):
    place: Row | Element
    kind: str
    text: str = ""
    speaker: str = ""
    time: str = ""
    chat: str = ""


def _entry(record: _Record, date: Moment) -> Entry:
    message = record.kind == MESSAGE
    flags = (*date.flags, *(() if record.speaker else ("no_speaker",))) if message else ()
    text = record.text if message else None
    return entry_at(record.place, record.kind, text, record.speaker or None, date.time, flags)


def _table(source: Source, names: dict[str, str], asked: set[str]) -> list[_Record]:
    head = next(source.lines(), None)
    delimiter = None if head is None else _delimiter(head.text, names["text"])
    if delimiter is None:
        raise _without(source, names["text"])
    table = rows(source, delimiter)
    header = next(table)
    places = {ours: header.cells.index(name) for ours, name in names.items() if name in header.cells}
    for ours in sorted(asked - places.keys()):
        raise _without(source, names[ours])
    records = [_Record(header, HEADER)]
    for row in table:
        if not row.text.strip():
            records.append(_Record(row, BLANK))
        elif not row.is_whole or len(row.cells) != len(header.cells):
            records.append(_Record(row, UNPARSED))
        else:
            records.append(_Record(row, MESSAGE, **{ours: row.cells[place] for ours, place in places.items()}))
    return records


def _objects(source: Source, names: dict[str, str], asked: set[str]) -> list[_Record]:
    records = []
    present: set[str] = set()
    for line in source.lines():
        place = of_line(line)
        cells = _cells(line.text, names, source, present)
        if cells is not None:
            records.append(_Record(place, MESSAGE, **cells))
        else:
            records.append(_Record(place, UNPARSED if line.text.strip() else BLANK))
    for ours in sorted(asked - present):
        raise _without(source, names[ours])
    return records


def _cells(line: str, names: dict[str, str], source: Source, present: set[str]) -> dict[str, str] | None:
    """Strings and whole numbers by our names; null is as good as none. None: no such object."""
    try:
        value: Any = parsed(line, source.path)
    except IngestError:
        return None
    if not isinstance(value, dict) or names["text"] not in value:
        return None
    present |= {ours for ours, name in names.items() if name in value}
    cells = {ours: value[name] for ours, name in names.items() if value.get(name) is not None}
    if not all(isinstance(cell, str | int) for cell in cells.values()):
        return None
    return {ours: str(cell) for ours, cell in cells.items()}


def _delimiter(first: str, text: str) -> str | None:
    """With which the first line has a column of this name."""
    for delimiter in _DELIMITERS:
        if text in [cell.strip('"') for cell in first.split(delimiter)]:
            return delimiter
    return None


def _without(source: Source, name: str) -> IngestError:
    return IngestError("E106", source.name, "line 1", f"a column {name!r}", "none; --columns names the file's columns")
