"""Times as exports write them, in ISO 8601; the zone is kept if there is one, never guessed."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from typing import NamedTuple

NO_TIME = ("no_date", "no_time")
SPACE = "[ \u00a0\u202f]"  # between parts of a time: phones write also the narrow one, which does not break
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


class Moment(NamedTuple):
    """A time, and what is to be said about it."""

    time: str | None
    flags: tuple[str, ...] = ()


def moments(texts: Sequence[str], day_first: bool | None = None) -> list[Moment]:
    """The times of a file; of 3/4/21 the order is what the other times show, else day first and marked as ambiguous.

    Args:
        texts: as the file has them.
        day_first: the order of day and month if the user knows it, where the other times do not show it.
    """
    found = (_UNORDERED.match(text.strip()) for text in texts)
    order = is_day_first([(int(match[1]), int(match[2])) for match in found if match], day_first)
    return [_moment(text.strip(), order) for text in texts]


def moment(text: str) -> Moment:
    """One time."""
    return moments([text])[0]


def is_day_first(pairs: Iterable[tuple[int, int]], asked: bool | None) -> bool | None:
    """Whether the day is the first number of a file's dates, by those above 12; else as asked, None if nobody knows.

    Where a few dates say the reverse, as in lines that somebody typed, the majority counts.
    """
    excess = sum((first > 12 >= second) - (second > 12 >= first) for first, second in pairs)
    return excess > 0 if excess else asked


def iso_date(year: int, month: int, day: int) -> str | None:
    """The day in ISO 8601, None if there is no such day; years of two digits are of this century."""
    try:
        return date(year + 2000 if year < 100 else year, month, day).isoformat()
    except ValueError:
        return None


def iso_time(hour: int, minute: int, second: int | None, half: str | None) -> str | None:
    """The time of day as "T20:34" or "T20:34:26", None if there is none.

    Args:
        hour: 0 to 23, or with a half of the day 0 to 12: 12 AM is 00, 12 PM is 12.
        minute: 0 to 59.
        second: None where the file has none.
        half: AM, PM in any spelling, 오전, 오후; None or "" for 24 hours.
    """
    if half:
        if hour > 12:
            return None
        hour = hour % 12 + 12 * (half == "오후" or half[0] in "pP")
    try:
        return "T" + time(hour, minute, second or 0).isoformat("minutes" if second is None else "seconds")
    except ValueError:
        return None


def utc(seconds: float) -> str | None:
    """The time so many seconds after 1970 in UTC, in milliseconds if it is not whole; None if there is none."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds" if seconds % 1 else "seconds").replace("+00:00", "Z")


def _moment(text: str, day_first: bool | None) -> Moment:
    if not text:
        return Moment(None, NO_TIME)
    if _SECONDS.fullmatch(text):
        return Moment(utc(int(text) if len(text) == 10 else int(text) / 1000))
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
        whole_day, clock = iso_date(int(year), int(month), int(day)), _clock(rest)
        if whole_day is not None and clock is not None:
            flags = ("ambiguous",) if pattern is _UNORDERED and day_first is None else ()
            return Moment(whole_day + clock, flags if clock else (*flags, "no_time"))
    return Moment(None, ("unknown_time",))


def _clock(rest: re.Match[str]) -> str | None:
    """The time of day with fraction and zone; "" if there is none, None if there is no such time."""
    part = rest.groupdict()
    if part["hour"] is None:
        return ""
    second = None if part["second"] is None else int(part["second"])
    clock = iso_time(int(part["hour"]), int(part["minute"]), second, part["before"] or part["after"])
    if clock is None:
        return None
    hours, minutes = part["zone_hour"], part["zone_minute"] or "00"
    zone = "Z" if part["utc"] else ""
    if hours is not None and (int(hours) or int(minutes)):
        zone = f"{hours[0]}{abs(int(hours)):02}:{minutes}"
    elif hours is not None:
        zone = "Z"
    return clock + (part["fraction"] or "") + zone


_MONTHS = [name[:3].lower() for name in MONTHS]
_SECONDS = re.compile(r"1\d{9}|1\d{12}", re.ASCII)  # of 2001 to 2033, or thousandths
_ORDERED = re.compile(r"(\d{4})(?:[-/]|\. ?|년 ?)(\d{1,2})(?:[-/]|\. ?|월 ?)(\d{1,2})(?:일|\.)?", re.ASCII)
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)", re.ASCII)
_NAMED = re.compile(rf"(\d{{1,2}})[- ]({'|'.join(_MONTHS)})[- ](\d{{4}}|\d\d)", re.ASCII | re.IGNORECASE)
_UNORDERED = re.compile(r"(\d{1,2})[-./](\d{1,2})[-./](\d{4}|\d\d)(?!\d)", re.ASCII)
_REST = re.compile(
    rf"(?:(?:T|,?{SPACE}+)(?:(?P<before>오전|오후|AM|PM){SPACE})?(?P<hour>\d\d?):(?P<minute>\d\d)"
    rf"(?::(?P<second>\d\d)(?P<fraction>\.\d{{1,9}})?)?(?:{SPACE}?(?P<after>AM|PM|am|pm|a\.m\.|p\.m\.))?"
    rf"{SPACE}?\(?(?P<utc>Z|UTC|GMT)?(?:(?P<zone_hour>[+-]\d\d?)(?::?(?P<zone_minute>\d\d))?)?\)?)?",
    re.ASCII,
)
