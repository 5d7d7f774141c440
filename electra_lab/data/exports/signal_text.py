"""Signal as text, as common exporters write it: "[2019-12-24, 12:23] name: text"."""

import re

from electra_lab.data.exports.chat import Chat, Options, with_owner
from electra_lab.data.exports.line_records import chat_of, first_line, records, records_end_in_crlf
from electra_lab.data.exports.moments import moment
from electra_lab.data.exports.source import Source
from electra_lab.data.exports.spoken import Start, spoken_entries
from electra_lab.data.exports.time_order import with_doubt

NAMES = ("signal-text",)
OWNER = frozenset({"Me", "You"})


def recognise(head: str) -> str | None:
    """The name, if the first line begins a record."""
    return NAMES[0] if _start(first_line(head)) is not None else None


def read(source: Source, options: Options, format: str) -> list[Chat]:
    """The chat of one file.

    Raises:
        IngestError: E106, nothing in the file has this form.
    """
    lines = list(source.lines())
    starts = [_start(line.text) for line in lines]
    entries = spoken_entries(records(lines, starts), ": ", lambda text: ())
    if not records_end_in_crlf(lines, starts):
        entries = with_doubt(entries)
    return [with_owner(chat_of(source, format, None, entries), options.own_name, OWNER)]


def _start(line: str) -> Start | None:
    match = _HEAD.fullmatch(line)
    if match is None or (time := moment(match[1]).time) is None:
        return None
    return Start(time, ",", match[2])


_HEAD = re.compile(r"\[(\d{4}-\d\d-\d\d, \d\d:\d\d)\] (.*)", re.ASCII)
