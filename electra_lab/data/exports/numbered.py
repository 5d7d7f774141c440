"""Plain lines "1 : text", the form of some Korean corpora: the number is who speaks, or counts the messages."""

import re

from electra_lab.data.exports.chat import MESSAGE, Chat, Options, with_owner
from electra_lab.data.exports.line_records import chat_of, entry_of, records
from electra_lab.data.exports.source import Source
from electra_lab.data.exports.spoken import unparsed

NAMES = ("numbered",)


def recognise(head: str) -> str | None:
    """The name, if the first line has the form and more lines have it than not."""
    lines = [line for line in head.split("\n") if line.strip()]
    fit = [_LINE.match(line) is not None for line in lines]
    return NAMES[0] if fit[:1] == [True] and sum(fit) > max(1, len(fit) / 2) else None


def read(source: Source, options: Options, format: str) -> list[Chat]:
    """The chat of one file; numbers that rise by one from line to line, three or more, count and name nobody.

    Raises:
        IngestError: E106, nothing in the file has this form.
    """
    lines = list(source.lines())
    found = records(lines, [_LINE.match(line.text) for line in lines])
    numbers = [int(record.start[1]) for record in found if record.start is not None]
    is_count = len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    entries = []
    for start, own, is_ambiguous in found:
        if start is None:
            entries.append(unparsed(own))
            continue
        text = "\n".join([start[2], *(line.text for line in own[1:])])
        flags = (
            "no_date",
            "no_time",
            *(("no_speaker",) if is_count else ()),
            *(("ambiguous",) if is_ambiguous else ()),
        )
        entries.append(entry_of(own, MESSAGE, text, None if is_count else start[1], None, flags))
    return [with_owner(chat_of(source, format, None, entries), options.own_name)]


_LINE = re.compile(r"(\d{1,6}) : (.*)", re.ASCII)
