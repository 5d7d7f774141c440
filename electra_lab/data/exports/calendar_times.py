"""Days and times of day from the numbers that exports write, in ISO 8601."""

from datetime import date, time


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
