"""Records "time, name : text" into entries: the part that messengers with one record a message have in common."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from electra_lab.data.exports.chat import HEADER, MESSAGE, SYSTEM, UNPARSED, Entry
from electra_lab.data.exports.line_records import Record, doubt, entry_of, rejoined, text_of
from electra_lab.data.exports.names import speeches
from electra_lab.data.exports.source import Line


class Start(NamedTuple):
    """What the first line of a record says."""

    time: str  # ISO 8601: "2015-07-09T20:34", of a day's banner "2015-07-09", where there is no date "T20:34"
    mark: str  # "," before speech or a notice, ":" before a notice, "]" before the text, "" of a day's banner
    body: str  # what follows
    name: str | None = None  # who, where the form gives it


def unparsed(lines: Sequence[Line]) -> Entry:
    """Lines outside of records."""
    return entry_of(lines, UNPARSED, text_of(lines))


def spoken_entries(
    found: Sequence[Record[Start]],
    separator: str,
    flags_of: Callable[[str], tuple[str, ...]],
    aside: Callable[[Sequence[Line]], Entry] = unparsed,
    known: Iterable[str] = (),
    noticed_name: Callable[[str], str | None] = lambda text: None,
) -> list[Entry]:
    """The entries of all records, in order.

    What has the separator is speech, whatever it sounds like; a notice has none.

    Args:
        found: the records of a file.
        separator: between name and text.
        flags_of: what a text says about itself as a placeholder.
        aside: the entry of lines outside of records.
        known: names from elsewhere, for `names.speeches`.
        noticed_name: as in `names.speeches`; also what is behind ":" gives names.
    """
    found = rejoined(found, lambda start: start.mark == "")
    bodies = [_untrimmed(record.start.body, separator) for record in found if record.start and record.start.mark == ","]
    noticed = [noticed_name(record.start.body) for record in found if record.start and record.start.mark == ":"]
    said = iter(speeches(bodies, separator, [name for name in (*known, *noticed) if name], noticed_name))
    entries = []
    for start, lines, is_ambiguous in found:
        if start is None:
            entries.append(aside(lines))
        elif start.mark == "":  # a banner is one line
            entries.append(entry_of(lines[:1], HEADER, lines[0].text, None, start.time, doubt(is_ambiguous)))
            entries += [aside(lines[1:])] if lines[1:] else []
        elif start.mark == "," and (speech := next(said)) is not None:
            text = "\n".join([speech.text, *(line.text for line in lines[1:])])
            flags = doubt(is_ambiguous or speech.is_ambiguous) + flags_of(text)
            flags += () if speech.speaker else ("no_speaker",)
            entries.append(entry_of(lines, MESSAGE, text, speech.speaker or None, start.time, flags))
        else:
            entries.append(entry_of(lines, SYSTEM, text_of(lines), None, start.time, doubt(is_ambiguous)))
    return entries


def _untrimmed(body: str, separator: str) -> str:
    """An empty message whose line an editor has trimmed is still one."""
    return body + " " if body.endswith(separator.rstrip()) and separator not in body else body
