"""WhatsApp's text exports from Android ("3/4/21, 9:15 - name: text") and iOS ("[3/4/21, 9:15:26] name: text").

Dates are written as the phone's region has them. Nothing says which of day and month is first: the file shows it as
soon as one of its days is above 12, else the user must know it.
"""

import re
from typing import NamedTuple

from electra_lab.data.errors import IngestError
from electra_lab.data.exports.chat import Chat, Options, with_owner
from electra_lab.data.exports.line_records import chat_of, first_line, records, records_end_in_crlf
from electra_lab.data.exports.moments import SPACE, is_day_first, iso_date, iso_time
from electra_lab.data.exports.source import Source
from electra_lab.data.exports.spoken import Start, spoken_entries
from electra_lab.data.exports.time_order import with_doubt

OWNER = frozenset({"You"})


def recognise(head: str) -> str | None:
    """The variant, if the first line begins a record of one."""
    return next((name for name in NAMES if _is_start(first_line(head), name)), None)


def read(source: Source, options: Options, format: str) -> list[Chat]:
    """The chat of one file.

    Args:
        source: the file.
        options: `own_name`, and `day_first` where the file does not show it.
        format: one of `NAMES`.

    Raises:
        IngestError: E106, nothing in the file has this form; E116, the order of day and month is not known.
    """
    lines = list(source.lines())
    heads = [_head(line.text, format) for line in lines]
    pairs = [(int(head.date[0]), int(head.date[1])) for head in heads if head and len(head.date[0]) < 4]
    day_first = is_day_first(pairs, options.day_first)
    if day_first is None and pairs:
        expected = "a day above 12 in some date, or --day_first true or false"
        raise IngestError("E116", source.name, "", expected, f"{len(pairs)} dates that can be read either way")
    starts = [_start(head, day_first) if head else None for head in heads]
    entries = spoken_entries(records(lines, starts), ": ", flags_of)
    if not records_end_in_crlf(lines, starts):
        entries = with_doubt(entries)
    return [with_owner(chat_of(source, format, None, entries), options.own_name, OWNER)]


def flags_of(text: str) -> tuple[str, ...]:
    """What the text says about itself: left-to-right marks are before what the messenger wrote, on iOS."""
    flags: tuple[str, ...] = ()
    for line in text.split("\n"):
        plain = line.strip("\u200e \r")
        if _MEDIA.fullmatch(plain) and (line.startswith("\u200e") or line == text):
            flags += ("media",)
        if _DELETED.fullmatch(plain) and line == text:
            flags += ("deleted",)
    if text.rstrip("\u200e \r").endswith(_EDITED):
        flags += ("edited",)
    return flags or (("ambiguous",) if text.startswith("\u200e") else ())


class _Head(NamedTuple):
    date: tuple[str, str, str]  # three numbers as they stand
    moment: str  # "T20:34"
    body: str


def _head(line: str, name: str) -> _Head | None:
    match = _HEADS[name].fullmatch(line)
    if match is None:
        return None
    second = None if match["second"] is None else int(match["second"])
    moment = iso_time(int(match["hour"]), int(match["minute"]), second, match["half"] or match["half_after"])
    return None if moment is None else _Head((match["a"], match["b"], match["c"]), moment, match["body"])


def _start(head: _Head, day_first: bool | None) -> Start | None:
    first, middle, last = map(int, head.date)
    if len(head.date[0]) == 4:
        day = iso_date(first, middle, last)
    else:
        day = iso_date(last, middle, first) if day_first else iso_date(last, first, middle)
    return None if day is None else Start(day + head.moment, ",", head.body)


def _is_start(line: str, name: str) -> bool:
    head = _head(line, name)
    return head is not None and any(_start(head, order) for order in (True, False)) and not _SIGNAL.match(line)


_DATE = r"(?P<a>\d{1,4})(?P<mark>[./-]) ?(?P<b>\d{1,2})(?P=mark) ?(?P<c>\d{1,4})\.?(?:,| klo| at)?"
_TIME = (
    rf"(?:(?P<half>오전|오후){SPACE})?(?P<hour>\d{{1,2}})[:.](?P<minute>\d\d)(?:[:.](?P<second>\d\d))?"
    rf"(?:{SPACE}?(?P<half_after>[AaPp]\.?{SPACE}?[Mm]\.?))?"
)
_HEADS = {
    "whatsapp-android": re.compile(f"\u200e?{_DATE}{SPACE}{_TIME} - (?P<body>.*)", re.ASCII),
    "whatsapp-ios": re.compile(rf"\u200e?\[{_DATE}{SPACE}{_TIME}\] (?P<body>.*)", re.ASCII),
}
NAMES = tuple(_HEADS)
_SIGNAL = re.compile(r"\[\d{4}-\d\d-\d\d, \d\d:\d\d\] ")  # without seconds
_MEDIA = re.compile(
    r"<Media omitted>|(?:image|video|audio|sticker|GIF|document|Contact card) omitted"
    r"|<attached: [^<>]*>|[^\n]{1,200} \(file attached\)"
)
_DELETED = re.compile(r"(?:This message was deleted|You deleted this message)\.?")
_EDITED = "<This message was edited>"
