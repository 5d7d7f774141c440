"""Lines into records: a message with the lines that continue it, also where somebody typed what begins a record."""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

from electra_lab.data.errors import IngestError
from electra_lab.data.exports.chat import BLANK, UNPARSED, Chat, Entry
from electra_lab.data.exports.source import Line, Source

AnyStart = TypeVar("AnyStart")  # `spoken.Start`, or what another format makes of a line


class Record(NamedTuple, Generic[AnyStart]):
    """Lines that belong together; blank lines between records and lines that are of no record stand alone."""

    start: AnyStart | None  # what the first line says; None: it begins no record of the format
    lines: tuple[Line, ...]
    is_ambiguous: bool = False  # a line of it begins a record by its form but not by what is before it, or the reverse


def records(lines: Sequence[Line], starts: Sequence[AnyStart | None]) -> list[Record[AnyStart]]:
    """Each line in one record, in order.

    Where records end with CRLF, a bare LF is inside one: what looks like a start behind it was typed by somebody, and
    a line behind CRLF that is no start is none of ours. Where both ends are before starts, the file was edited by
    hand: the ending that most of them have counts, and the others are marked.

    Args:
        lines: all lines of the file.
        starts: for each what it says as the first line of a record, None if it cannot be one.
    """
    first = _first(starts)
    are_closed = records_end_in_crlf(lines, starts)
    is_mixed = any(line.ends_crlf for line in lines[first:])
    has_inner = are_closed and any(not line.ends_crlf for line in lines[first:-1])
    found: list[Record[AnyStart]] = [Record(None, (line,)) for line in lines[:first]]
    blanks: list[Line] = []
    record: list[Line] = []
    start: AnyStart | None = None
    is_ambiguous = False

    def end() -> None:
        if record:
            found.append(Record(start, tuple(record), is_ambiguous))
        found.extend(Record(None, (blank,)) for blank in blanks)
        record.clear()
        blanks.clear()

    for index in range(first, len(lines)):
        line, candidate = lines[index], starts[index]
        follows_lf = index > first and not lines[index - 1].ends_crlf
        is_inside = are_closed and follows_lf
        if candidate is not None and not is_inside:
            was_typed = is_mixed and follows_lf
            is_ambiguous = is_ambiguous or was_typed  # of the record before: it may go on
            end()
            start, is_ambiguous = candidate, was_typed
            record.append(line)
        elif not is_inside and not line.text.strip():
            blanks.append(line)
        elif has_inner and not is_inside:
            end()
            start, is_ambiguous = None, False
            record.append(line)
        else:
            record += [*blanks, line]
            blanks.clear()
            is_ambiguous = is_ambiguous or candidate is not None
    end()
    return found


def rejoined(
    found: Sequence[Record[AnyStart]],
    is_short: Callable[[AnyStart], bool],
    typed: Container[Record[AnyStart]] = (),
) -> list[Record[AnyStart]]:
    """The records, with what somebody typed in the midst of a message put back into it.

    Args:
        found: the records of a file.
        is_short: of what kinds records have one line, as a banner; where one has more, the message above goes on.
        typed: others that are not what they look like.
    """
    whole: list[tuple[AnyStart | None, list[Line], bool]] = []
    host: int | None = None  # the message above, if nothing is between but what can be typed
    for record in found:
        start, lines, is_ambiguous = record
        is_line = start is None or is_short(start)
        if host is not None and (record in typed or (len(lines) > 1 and start is not None and is_line)):
            own = whole[host][1]
            own += [line for _, between, _ in whole[host + 1 :] for line in between]
            own += lines
            whole[host:] = [(whole[host][0], own, True)]
            continue
        if not is_line or len(lines) > 1:
            host = None if is_line else len(whole)
        whole.append((start, list(lines), is_ambiguous))
    return [Record(start, tuple(lines), is_ambiguous) for start, lines, is_ambiguous in whole]


def records_end_in_crlf(lines: Sequence[Line], starts: Sequence[object | None]) -> bool:
    """Whether most lines before a start end with CRLF, so that a bare LF does not end a record."""
    after = [lines[index - 1].ends_crlf for index in range(_first(starts) + 1, len(lines)) if starts[index] is not None]
    return sum(after) * 2 >= len(after) and any(after)


def text_of(lines: Sequence[Line]) -> str:
    """As it stands, lines joined by LF."""
    return "\n".join(line.text for line in lines)


def first_line(head: str) -> str:
    """The first line that is not blank, "" if there is none."""
    return next((line.removesuffix("\r") for line in head.split("\n", 20)[:20] if line.strip()), "")


def doubt(is_ambiguous: bool) -> tuple[str, ...]:
    """The flag, if it is deserved."""
    return ("ambiguous",) if is_ambiguous else ()


def entry_of(
    lines: Sequence[Line],
    kind: str,
    text: str,
    speaker: str | None = None,
    time: str | None = None,
    flags: Iterable[str] = (),
) -> Entry:
    """The entry that stands on these lines; one of white space alone is blank."""
    if any(line.has_bad_bytes for line in lines):
        flags = (*flags, "bad_bytes")
    if not any(line.text.strip() for line in lines):
        kind = BLANK
    first, size = lines[0], sum(line.size for line in lines)
    return Entry(kind, text, first.number, len(lines), first.offset, size, speaker, time, tuple(dict.fromkeys(flags)))


def chat_of(source: Source, format: str, title: str | None, entries: Sequence[Entry]) -> Chat:
    """The one chat of a file.

    Raises:
        IngestError: E106, nothing in the file has the format's form.
    """
    if all(entry.kind in (BLANK, UNPARSED) for entry in entries):
        raise IngestError("E106", source.name, "", f"an export in the format {format}", "no line in its form")
    return Chat(source.name, format, title, (source.name,), tuple(entries))


def _first(starts: Sequence[object | None]) -> int:
    return next((index for index, start in enumerate(starts) if start is not None), len(starts))
