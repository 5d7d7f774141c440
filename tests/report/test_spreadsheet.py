"""CSV for spreadsheets: nothing that computes, nothing lost, and every row with its place."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.report.pages import write_report
from electra_lab.report.spreadsheet import (
    CONVERSATION_COLUMNS,
    MESSAGE_COLUMNS,
    Table,
    conversation_row,
    formula_safe,
    message_rows,
)
from tests.report.example_results import arranged_chat, conversation, everyday_conversations, message, write_example
from tests.report.payloads import PAYLOADS

_COMPUTED = tuple("=+-@＝＋－＠\t\r\n\0")


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, strict=True))


def round_trip(rows: list[list[str | int | float | None]], path: Path) -> list[list[str]]:
    with Table(path, ["text", "more", "number"]) as table:
        table.write(rows)
    return read(path)[1:]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("=1+1", "'=1+1"),
        ("+82-10", "'+82-10"),
        ("-", "'-"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\r\nx", "'\r\nx"),
        ("＝1", "'＝1"),
        (" =1", "' =1"),
        ("\u00a0=1", "'\u00a0=1"),
        ("'=1", "'=1"),  # is text already
        ("a=1", "a=1"),
        ("ㅋㅋ - 네", "ㅋㅋ - 네"),
        ("", ""),
    ],
)
def test_formula_safe(text: str, expected: str) -> None:
    assert formula_safe(text) == expected


def test_numbers_are_never_touched(tmp_path: Path) -> None:
    assert round_trip([["-1", -1, -0.5], ["", None, 1e-9]], tmp_path / "a.csv") == [
        ["'-1", "-1", "-0.5"],
        ["", "", "1e-09"],
    ]


@given(
    st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(PAYLOADS[-12:-1])] * 2))
)
@settings(max_examples=60, derandomize=True, database=None, deadline=None)
def test_every_cell_comes_back_and_none_computes(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    found = round_trip([[*texts, 1] for texts in rows], path)
    assert [[cell for cell in row[:2]] for row in found] == [[formula_safe(text) for text in row] for row in rows]
    for row in found:
        assert row[2] == "1"
        assert not any(cell.lstrip(" \u3000\u00a0").startswith(_COMPUTED) for cell in row)
    assert path.read_bytes().startswith(b"\xef\xbb\xbftext,more,number\r\n")


def test_rows_have_file_line_and_offset_and_the_numbers_of_the_report() -> None:
    record = arranged_chat()
    rows = [dict(zip(MESSAGE_COLUMNS, row, strict=True)) for row in message_rows(record, 3)]
    assert len(rows) == len(record["entries"])
    assert {(row["rank"], row["conversation"], row["file"]) for row in rows} == {
        (3, "kakao/민수.txt", "kakao/민수.txt")
    }
    assert [(row["line"], row["offset"]) for row in rows] == [
        (entry["line"], entry["offset"]) for entry in record["entries"]
    ]
    assert [row["message"] for row in rows if row["kind"] == "message"] == list(range(1, 18))
    hit = rows[10]
    assert (hit["score"], hit["band"], hit["words"], hit["flags"], hit["truncated"]) == (
        0.884,
        "alert",
        "아이스",
        "owner",
        0,
    )
    assert rows[0]["score"] is rows[0]["message"] is None and rows[0]["kind"] == "header"
    assert rows[-1]["truncated"] == 1


def test_a_conversation_is_placed_where_it_begins_and_where_it_is_highest() -> None:
    record = arranged_chat()
    row = dict(zip(CONVERSATION_COLUMNS, conversation_row(record, 1, record["entries"][9]), strict=True))
    assert (row["score"], row["band"], row["speakers"], row["message"], row["unparsed"]) == (
        0.934,
        "alert",
        "민수 | 나",
        17,
        1,
    )
    assert (row["file"], row["line"], row["offset"], row["word_hits"]) == ("kakao/민수.txt", 1, 0, 1)
    assert (row["top_score"], row["top_line"]) == (0.934, 10) and row["top_offset"] == record["entries"][9]["offset"]
    nothing = conversation("a.txt", [])
    row = dict(zip(CONVERSATION_COLUMNS, conversation_row(nothing, 2, None), strict=True))
    assert (row["score"], row["file"], row["line"], row["top_file"]) == (None, "a.txt", None, None)


def test_a_file_name_that_is_no_unicode_is_written_as_an_escape(tmp_path: Path) -> None:
    record = conversation("방\udcff.txt", [message("A", "안녕")])
    with Table(tmp_path / "m.csv", MESSAGE_COLUMNS) as table:
        table.write(message_rows(record, 1))
    assert read(tmp_path / "m.csv")[1][1] == "방\\udcff.txt"


def test_the_report_writes_both_by_rank(tmp_path: Path) -> None:
    write_report(write_example(tmp_path))
    messages, conversations = read(tmp_path / "messages.csv"), read(tmp_path / "conversations.csv")
    assert messages[0] == list(MESSAGE_COLUMNS) and conversations[0] == list(CONVERSATION_COLUMNS)
    ranks = [int(row[0]) for row in messages[1:]]
    assert ranks == sorted(ranks) and set(ranks) == {1, 2, 3, 4}
    assert [row[1] for row in conversations[1:]] == [
        *("kakao/민수.txt", "telegram/산악회.json#2", "text/no-times.txt", "whatsapp/empty.txt")
    ]
    entries = sum(len(one["entries"]) for one in [arranged_chat(), *everyday_conversations()])
    assert len(messages) == 1 + entries
