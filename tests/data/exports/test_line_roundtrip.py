"""What small writers write, the readers give back; where a format is ambiguous nothing is lost and it is marked."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from electra_lab.data.exports.chat import Chat
from tests.data.exports.line_writers import (
    CLOSED,
    WRITERS,
    Said,
    conversations,
    lines_of_text,
    precise,
    read,
    told,
    writer,
)

FIXED = settings(derandomize=True, database=None, deadline=None, phases=[Phase.generate])
EXAMPLES = settings(FIXED, max_examples=10)
MANY = settings(FIXED, max_examples=10_000)
ids = [f"{format}-{index}" for format, index in WRITERS]


def assert_told(said: Sequence[Said], chat: Chat, format: str) -> None:
    """Each message as it was written, or, if it was read otherwise, it or what follows it is marked; all is read."""
    written = [precise(one, format) for one in said]
    entries = [entry for entry in chat.entries if entry.kind != "blank"]
    for entry, following in zip(entries, [*entries[1:], None], strict=True):
        assert entry.kind != "unparsed"
        if entry.kind == "message" and (entry.speaker, entry.time, entry.text) not in written:
            marks = entry.flags + (following.flags if following else ())
            assert "ambiguous" in marks, "read otherwise, and not marked"


def assert_records(said: Sequence[Said], chat: Chat, format: str) -> None:
    """Record by record, but for a name that may be longer by what all its texts begin with ("a: ").

    Who writes "A님이 나갔습니다." of themselves on a Mac leaves the row of a notice, which is then marked.
    """
    records = [entry for entry in chat.entries if entry.kind == "message" or "ambiguous" in entry.flags]
    for one, entry in zip(said, records, strict=True):
        written = precise(one, format)
        assert entry.time == written[1]
        is_as_written = (entry.speaker, entry.text) == (written[0], written[2]) or written[2].endswith(entry.text)
        assert is_as_written or (entry.kind == "system" and written[2] in entry.text)


def round_trip(format: str, index: int, said: list[Said]) -> None:
    chat = read(writer(format, index)(said), format)
    assert_told(said, chat, format)
    if format in CLOSED:
        assert_records(said, chat, format)


def all_round_trips(said: list[Said]) -> None:
    for format, index in WRITERS:
        round_trip(format, index, said)


def test_what_is_written_is_read() -> None:
    EXAMPLES(given(conversations(lines_of_text()))(all_round_trips))()


@pytest.mark.slow
@pytest.mark.timeout(1800)  # 19 writers, 190,000 files
def test_what_is_written_is_read_often() -> None:
    MANY(given(conversations(lines_of_text()))(all_round_trips))()


def as_typed(format: str, index: int, time: datetime) -> str:
    """A line that somebody types so that it looks like the first of a message from somebody else."""
    whole = writer(format, index)([Said("영희", time, "위조")]).decode()
    return next(line for line in reversed(whole.splitlines()) if line)


def forge(format: str, index: int, said: list[Said], place: int, is_banner: bool) -> None:
    """One line among true messages, dated long before them, or on Windows, where it is undated, at midnight."""
    said = [one._replace(time=one.time + timedelta(hours=9)) for one in said]
    place %= len(said)
    early = datetime(2001, 1, 15, 0, 0, 1)
    line = "--------------- 2001년 1월 15일 월요일 ---------------" if is_banner else as_typed(format, index, early)
    forged = [one._replace(text=f"{one.text}\n{line}\n끝") if n == place else one for n, one in enumerate(said)]
    whole = [
        Said("철수", said[0].time, "처음"),
        *forged,
        Said("A", said[-1].time, "뒤"),
        Said("A", said[-1].time, "끝"),
    ]
    chat = read(writer(format, index)(whole), format)
    if format in CLOSED:
        assert_told(whole, chat, format)
        assert_records(whole, chat, format)
        if not is_banner and format != "kakaotalk-mac":  # whose quotes leave no doubt
            assert [entry.text for entry in chat.messages if "ambiguous" in entry.flags and line in entry.text]
    elif is_banner:
        assert_told(whole, chat, format)
        assert {entry.time for entry in chat.messages} <= {precise(one, format)[1] for one in whole}  # no other day
    else:
        assert_told(whole, chat, format)
        assert [entry for entry in chat.messages if "위조" in entry.text and "ambiguous" in entry.flags]


@pytest.mark.parametrize("is_banner", [False, True])
def test_forged_lines_are_marked_and_kept(is_banner: bool) -> None:
    def check(said: list[Said], place: int) -> None:
        for format, index in WRITERS:
            forge(format, index, said, place, is_banner)

    EXAMPLES(given(conversations(lines_of_text(), most_minutes=100), st.integers(0, 7))(check))()


COLONS = ["철수", "철수 : 반장", "a: b", "A : B : C", "영희", "영희: x"]


def test_names_that_hold_the_separator_are_right_or_marked() -> None:
    def check(said: list[Said]) -> None:
        twice = [*said, *(one._replace(time=said[-1].time, text=f"{one.text} 또") for one in said)]
        for format, index in WRITERS:
            assert_told(twice, read(writer(format, index)(twice), format), format)

    EXAMPLES(given(conversations(lines_of_text(), COLONS))(check))()


def test_midnight_and_noon() -> None:
    said = [
        Said("A", datetime(2015, 7, 14, hour, minute), "말") for hour in (0, 1, 11, 12, 13, 23) for minute in (0, 59)
    ]
    for format, index in WRITERS:
        assert told(read(writer(format, index)(said), format)) == [precise(one, format) for one in said]
