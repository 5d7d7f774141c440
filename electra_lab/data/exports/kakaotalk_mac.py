"""KakaoTalk's CSV from the Mac: Date,User,Message, with seconds; the same in every language."""

import re

from electra_lab.data.exports.chat import BLANK, HEADER, MESSAGE, SYSTEM, Chat, Entry, Options, with_owner
from electra_lab.data.exports.csv_rows import Row, rows
from electra_lab.data.exports.kakaotalk_marks import flags_of, noticed_name
from electra_lab.data.exports.line_records import chat_of
from electra_lab.data.exports.moments import moment
from electra_lab.data.exports.records import entry_at
from electra_lab.data.exports.source import Source

NAMES = ("kakaotalk-mac",)


def recognise(head: str) -> str | None:
    """The name, if the first line names its three columns and the second begins with a time."""
    first, _, rest = head.partition("\n")
    is_empty = not rest.strip()
    return NAMES[0] if first.removesuffix("\r") == _COLUMNS and (is_empty or _time(rest[:19]) is not None) else None


def read(source: Source, options: Options, format: str) -> list[Chat]:
    """The chat of one file.

    Raises:
        IngestError: E106, nothing in the file has this form.
    """
    entries = [_entry(row) for row in rows(source, ",")]
    return [with_owner(chat_of(source, format, None, entries), options.own_name)]


def _entry(row: Row) -> Entry:
    time = _time(row.cells[0])
    if not row.text.strip():
        return entry_at(row, BLANK)
    if row.line == 1 and row.text == _COLUMNS:
        return entry_at(row, HEADER)
    if not row.is_whole or len(row.cells) != 3 or time is None:
        return entry_at(row)
    speaker, text = row.cells[1], row.cells[2].replace("\r\n", "\n")
    first, *rest = text.split("\n")
    about = noticed_name(first, {speaker})
    if about == speaker != "" and all(noticed_name(line) == "" for line in rest):
        return entry_at(row, SYSTEM, None, None, time, ("ambiguous",))  # the row of a notice is like that of speech
    flags = (("ambiguous",) if about else ()) + (() if speaker else ("no_speaker",)) + flags_of(text)
    return entry_at(row, MESSAGE, text, speaker or None, time, flags)


def _time(cell: str) -> str | None:
    return moment(cell).time if _TIME.fullmatch(cell) else None


_COLUMNS = "Date,User,Message"
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
