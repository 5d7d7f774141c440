"""The lines above a KakaoTalk conversation: the room and the time of saving."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from electra_lab.data.exports.chat import HEADER, UNPARSED, Entry
from electra_lab.data.exports.line_records import entry_of, text_of
from electra_lab.data.exports.moments import MONTHS
from electra_lab.data.exports.source import Line


class Saved(NamedTuple):
    """The time of saving, which each system writes in its own way."""

    system: str  # "android", "ios", "windows"
    language: str  # "ko", "en"


def room_line(line: str) -> str | None:
    """The line if it names the room, without the number of a part ("-1.txt")."""
    return _PART.sub("", line) if len(line) < 1000 and any(form.fullmatch(line) for form in _ROOM) else None


def names_part(line: str) -> bool:
    """Whether the line ends with the name of a file: exports from iOS do."""
    return _PART.search(line) is not None


def room_title(line: str) -> str | None:
    """The room's name, without how many people are in it; where it has none that of the export, without its part."""
    titles = [match[1] for form in _ROOM if (match := form.fullmatch(room_line(line) or "")) is not None and match[1]]
    return _PEOPLE.sub("", titles[0]) if titles else None


def saved_on(line: str) -> Saved | None:
    """What the line of the time of saving says about the export, None if it is another line."""
    match = _SAVED.fullmatch(line)
    if match is None:
        return None
    system = next((name for name, form in _SAVED_FORMS.items() if form.match(match[2])), "ios")
    return Saved(system, "ko" if match[1] == "저장한 날짜" else "en")


def aside(lines: Sequence[Line]) -> Entry:
    """Lines outside of records: the room, the time of saving, or what is not known."""
    text = text_of(lines)
    is_header = room_line(text) is not None or saved_on(text) is not None
    return entry_of(lines, HEADER if is_header else UNPARSED, text)


_PART = re.compile(r"-\d{1,4}\.txt$")
_PEOPLE = re.compile(r" (?:\d{1,4}|\(\d{1,4}(?:명| people)?\))$")
_ROOM = (
    re.compile(r"(.*?)(?: 님과|(?<=\))과)의? 카카오톡 대화(?:-\d{1,4}\.txt)?"),
    re.compile(r"KakaoTalk Chats with (.*)"),
    re.compile(r"(.*) with KakaoTalk Chats"),
    re.compile(r"((?:KakaoTalk|Talk)_[\d. _-]{5,40})(?:\.txt)?"),
)
_SAVED = re.compile("(저장한 날짜|Date Saved) ?: ?(.{5,60})")
_SAVED_FORMS = {
    "windows": re.compile(r"\d{4}-\d\d-\d\d "),
    "android": re.compile(rf"\d{{4}}년|\d{{1,2}}:\d\d|(?:{'|'.join(MONTHS)}) "),
}
