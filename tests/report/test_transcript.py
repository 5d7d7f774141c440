"""What a page shows of a conversation: marks, surroundings, order."""

import pytest

from electra_lab.report import transcript as module
from electra_lab.report.transcript import mark, transcript
from tests.report.example_results import arranged_chat, conversation, message, other


@pytest.mark.parametrize(
    "value, said, level",
    [
        (0.0, "0.000", 0),
        (1.0, "1.000", 20),
        (0.0004, "<0.001", 0),  # never 0 of what is not
        (0.9996, ">0.999", 20),
        (0.5, "0.500", 10),
        (0.934, "0.934", 19),
    ],
)
def test_mark(value: float, said: str, level: int) -> None:
    assert mark(value) == (said, level)


def windows(*spans: tuple[int, int, float, str]) -> list[dict[str, object]]:
    return [{"start": start, "end": end, "score": score, "band": band} for start, end, score, band in spans]


def test_alert_windows_that_overlap_or_touch_are_one_surroundings() -> None:
    found = windows(
        *((0, 10, 0.9, "alert"), (5, 15, 0.95, "alert"), (10, 20, 0.3, "clear"), (15, 25, 0.5, "review")),
        *((20, 30, 0.9, "alert"), (30, 40, 0.92, "alert"), (41, 50, 0.9, "alert")),
    )
    record = conversation("a", [message("A", "안녕") for _ in range(50)], windows=found)
    view = transcript(record, 1)
    assert [tuple(part) for part in view.surroundings.values()] == [
        (1, 15, 2, mark(0.95)),
        (21, 40, 2, mark(0.92)),
        (42, 50, 1, mark(0.9)),
    ]
    assert [line.around for line in view.lines] == [1] * 15 + [None] * 5 + [21] * 20 + [None] + [42] * 9


def test_an_event_between_two_messages_of_the_surroundings_is_in_them() -> None:
    entries = [
        *(other("header", "머리"), message("A", "1"), other("system", "들어왔습니다."), message("A", "2")),
        *(other("system", "나갔습니다."), message("A", "3")),
    ]
    view = transcript(conversation("a", entries, windows=windows((0, 2, 0.9, "alert"))), 1)
    assert [line.around for line in view.lines] == [None, 1, 1, 1, None, None]


def test_messages_are_numbered_from_one_and_the_highest_come_first() -> None:
    view = transcript(arranged_chat(), 1)
    assert [line.number for line in view.lines if line.number] == list(range(1, 18))
    assert [(line.number, line.score and line.score.said) for line in view.top] == [
        (7, "0.934"),
        (8, "0.884"),
        (6, "0.790"),
    ]
    assert [line.kind for line in view.lines[:4]] == ["export heading"] * 3 + [None]
    assert view.span == ("2026-02-14 19:58", "2026-02-14 20:23") and not view.says_zone


def test_equal_messages_stay_in_order() -> None:
    view = transcript(conversation("a", [message("A", "ㅋ", 0.5) for _ in range(5)]), 1)
    assert [line.number for line in view.top] == [1, 2, 3]


def test_speakers_are_numbered_by_first_appearance_and_the_nameless_last_but_apart() -> None:
    names = ["나", None, "민수", "나"]
    view = transcript(conversation("a", [message(name, "네") for name in names]), 1)
    assert [line.speaker for line in view.lines] == [1, 0, 2, 1]
    assert view.speakers == [(0, None, 1), (1, "나", 2), (2, "민수", 1)]


def test_a_message_without_a_text_has_no_score() -> None:
    view = transcript(conversation("a", [message("A", "", None, attention=None)]), 1)
    assert view.lines[0].score is view.lines[0].attention is None
    assert view.lines[0].band == "empty" and view.top == []


@pytest.mark.parametrize(
    "time, says_zone",
    [
        ("2026-01-01T10:00+09:00", True),
        ("2026-01-01T10:00:01.5Z", True),
        ("2026-01-01T10:00-0330", True),
        ("2026-01-01T10:00", False),
        ("2026-01-01", False),  # the hyphens of a date are no zone
        ("T20:34", False),
    ],
)
def test_zone(time: str, says_zone: bool) -> None:
    assert transcript(conversation("a", [message("A", "네", time=time)]), 1).says_zone is says_zone


def test_a_long_conversation_has_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINES_OF_A_PAGE", 4)
    view = transcript(conversation("a", [message("A", "네") for _ in range(9)]), 1)
    assert view.parts == 3 and [line.part for line in view.lines] == [1, 1, 1, 1, 2, 2, 2, 2, 3]


def test_nothing_at_all() -> None:
    view = transcript(conversation("a", []), 1)
    assert (view.lines, view.parts, view.score, view.band, view.span) == ([], 1, None, "empty", ("", ""))


def test_what_a_file_never_says_is_said_once() -> None:
    entries = [message("A", "1", flags=["no_time", "media"]), message("A", "2", flags=["media", "no_time"])]
    view = transcript(conversation("a", [*entries, other("system", "x", flags=["no_time"])]), 1)
    assert (view.everywhere, view.flags) == ({"no_time"}, ["media", "no_time"])
    assert transcript(conversation("a", [*entries, message("A", "3")]), 1).everywhere == set()
    assert transcript(conversation("a", entries[:1]), 1).everywhere == set()
