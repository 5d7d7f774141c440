"""Parts of one export that its program has split over several files, put together again."""

from collections.abc import Sequence
from dataclasses import replace

from electra_lab.data.exports.chat import MESSAGE, SYSTEM, Chat, Entry


def in_order(parts: Sequence[Chat], part: Chat) -> list[Chat] | None:
    """The parts in the order of time with one more before or after them; None if it belongs to another export.

    It belongs to them if it is of the same room and format and all of it is later, or earlier (Facebook's first file
    is the newest), than all of them. Rooms without a name are not taken for the same.
    """
    first, last = _span([*parts[0].entries, *parts[-1].entries])
    start, end = _span(part.entries)
    same = (part.title, part.format) == (parts[0].title, parts[0].format) and part.title is not None
    if not same or not (first and last and start and end):
        return None
    return [*parts, part] if last <= start else [part, *parts] if end <= first else None


def joined(parts: Sequence[Chat]) -> Chat:
    """One chat of several, whose entries say from which file they are."""
    if len(parts) == 1:
        return parts[0]
    return replace(
        parts[0],
        files=tuple(name for part in parts for name in part.files),
        entries=tuple(replace(entry, file=number) for number, part in enumerate(parts) for entry in part.entries),
    )


def _span(entries: Sequence[Entry]) -> tuple[str | None, str | None]:
    """The first and the last time of what was written or happened; days alone, and times of day, do not count."""
    times = [entry.time for entry in entries if entry.kind in (MESSAGE, SYSTEM) and entry.time is not None]
    times = [time for time in times if "T" in time[1:]]
    return (min(times), max(times)) if times else (None, None)
