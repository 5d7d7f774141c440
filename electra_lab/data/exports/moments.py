"""Times as tables and corpora write them, in ISO 8601; the zone is kept if there is one, never guessed."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from electra_lab.data.exports.calendar_times import iso_date, iso_time

NO_TIME = ("no_date", "no_time")


class Moment(NamedTuple):
    """A time, and what is to be said about it."""

    time: str | None
    flags: tuple[str, ...] = ()


def moments(texts: Sequence[str], day_first: bool | None = None) -> list[Moment]:
    """The times of a file; of 3/4/21 the order is what the other times show, else day first and marked as ambiguous.

    Args:
        texts: as the file has them.
        day_first: the order of day and month if the user knows it.
    """
    order = day_first
    if order is None:
        pairs = [(int(match[1]), int(match[2])) for text in texts if (match := _UNORDERED.match(text.strip()))]
        if any(first > 12 or second > 12 for first, second in pairs):
            order = not any(second > 12 for _, second in pairs)
    return [_moment(text.strip(), order) for text in texts]


def moment(text: str) -> Moment:
    """One time."""
    return moments([text])[0]


def utc(seconds: float) -> str | None:
    """The time so many seconds after 1970 in UTC, in milliseconds if it is not whole; None if there is none."""
    try:
        time = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return time.isoformat(timespec="milliseconds" if seconds % 1 else "seconds").replace("+00:00", "Z")


def _moment(text: str, day_first: bool | None) -> Moment:
    if not text:
        return Moment(None, NO_TIME)
    if _SECONDS.fullmatch(text):
        time = utc(int(text)) if len(text) == 10 else utc(int(text) / 1000)
        return Moment(time)
    for pattern in (_ORDERED, _COMPACT, _NAMED, _UNORDERED):
        match = pattern.match(text)
        rest = _REST.fullmatch(text, match.end()) if match is not None else None
        if match is None or rest is None:
            continue
        first, second, third = match.groups()
        if pattern is _UNORDERED:
            year, month, day = (third, second, first) if day_first is not False else (third, first, second)
        elif pattern is _NAMED:
            year, month, day = third, str(_MONTHS.index(second.lower()) + 1), first
        else:
            year, month, day = first, second, third
        date = iso_date(int(year), int(month), int(day))
        clock = _clock(rest)
        if date is not None and clock is not None:
            flags = ("ambiguous",) if pattern is _UNORDERED and day_first is None else ()
            return Moment(date + clock, flags if clock else (*flags, "no_time"))
    return Moment(None, ("unknown_time",))


def _clock(rest: re.Match[str]) -> str | None:
    """The time of day with fraction and zone; "" if there is none, None if there is no such time."""
    part = rest.groupdict()
    if part["hour"] is None:
        return ""
    second = None if part["second"] is None else int(part["second"])
    time = iso_time(int(part["hour"]), int(part["minute"]), second, part["before"] or part["after"])
    if time is None:
        return None
    hours, minutes = part["zone_hour"], part["zone_minute"] or "00"
    zone = "Z" if part["utc"] else ""
    if hours is not None and (int(hours) or int(minutes)):
        zone = f"{hours[0]}{abs(int(hours)):02}:{minutes}"
    elif hours is not None:
        zone = "Z"
    return time + (part["fraction"] or "") + zone


_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_SECONDS = re.compile(r"1\d{9}|1\d{12}", re.ASCII)  # of 2001 to 2033, or thousandths
_ORDERED = re.compile(r"(\d{4})(?:[-/]|\. ?|년 ?)(\d{1,2})(?:[-/]|\. ?|월 ?)(\d{1,2})(?:일|\.)?", re.ASCII)
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)", re.ASCII)
_NAMED = re.compile(rf"(\d{{1,2}})[- ]({'|'.join(_MONTHS)})[- ](\d{{4}}|\d\d)", re.ASCII | re.IGNORECASE)
_UNORDERED = re.compile(r"(\d{1,2})[-./](\d{1,2})[-./](\d{4}|\d\d)(?!\d)", re.ASCII)
_SPACE = "[ \u00a0\u202f]"
_REST = re.compile(
    rf"(?:(?:T|,?{_SPACE}+)(?:(?P<before>오전|오후|AM|PM){_SPACE})?(?P<hour>\d\d?):(?P<minute>\d\d)"
    rf"(?::(?P<second>\d\d)(?P<fraction>\.\d{{1,9}})?)?(?:{_SPACE}?(?P<after>AM|PM|am|pm|a\.m\.|p\.m\.))?"
    rf"{_SPACE}?\(?(?P<utc>Z|UTC|GMT)?(?:(?P<zone_hour>[+-]\d\d?)(?::?(?P<zone_minute>\d\d))?)?\)?)?",
    re.ASCII,
)
