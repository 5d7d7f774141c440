"""Records of KakaoTalk on Windows: the day is in a banner above them, and notices of the room have no mark at all."""

from collections.abc import Sequence

from electra_lab.data.exports.chat import HEADER, MESSAGE, SYSTEM, Entry
from electra_lab.data.exports.kakaotalk_head import aside
from electra_lab.data.exports.kakaotalk_marks import flags_of, noticed_name
from electra_lab.data.exports.kakaotalk_times import has_second_mark
from electra_lab.data.exports.line_records import Record, doubt, entry_of, records, rejoined
from electra_lab.data.exports.source import Line
from electra_lab.data.exports.spoken import Start
from electra_lab.data.exports.time_order import longest_in_order


def windows_entries(lines: Sequence[Line], starts: Sequence[Start | None]) -> list[Entry]:
    """The entries of all lines, in order.

    A line in the form of a notice is one, and marked as ambiguous if a message is above, which may go on there. If
    text follows that is no notice, it does go on, as it does over a banner with text below it.
    """
    names = {start.name for start in starts if start is not None and start.name}
    entries: list[Entry] = []
    day: str | None = None
    with_notices = [start or _notice(line.text, names) for line, start in zip(lines, starts, strict=True)]
    can_go_on = False  # whether a message is above
    found = records(lines, with_notices)
    typed = _banners_out_of_order(found)
    for start, own, is_ambiguous in rejoined(found, lambda start: start.mark != "]", typed):
        if start is None:
            entries.append(aside(own))
            continue
        if start.mark == _NOTICE:
            entries.append(entry_of(own[:1], SYSTEM, own[0].text, None, day, doubt(is_ambiguous or can_go_on)))
        elif start.mark == "]":
            flags = doubt(is_ambiguous or has_second_mark(start.body))
            flags += () if day else ("no_date",)
            flags += () if start.name else ("no_speaker",)
            text = "\n".join([start.body, *(line.text for line in own[1:])])
            time = (day or "") + start.time
            entries.append(entry_of(own, MESSAGE, text, start.name or None, time, flags + flags_of(text)))
        else:
            day = start.time
            entries.append(entry_of(own[:1], HEADER, own[0].text, None, day, doubt(is_ambiguous)))
        can_go_on = start.mark == "]" or (can_go_on and start.mark == _NOTICE)
        if start.mark != "]" and own[1:]:
            entries.append(aside(own[1:]))
    return entries


def _notice(line: str, names: set[str]) -> Start | None:
    return None if noticed_name(line, names) is None else Start("", _NOTICE, line)


def _banners_out_of_order(found: Sequence[Record[Start]]) -> set[Record[Start]]:
    """Days follow each other: a banner that does not fit was typed, and must not date what is below it."""
    banners = [record for record in found if record.start is not None and record.start.mark == ""]
    kept = longest_in_order([record.start.time for record in banners if record.start is not None])
    return {record for place, record in enumerate(banners) if place not in kept}


_NOTICE = "notice"
