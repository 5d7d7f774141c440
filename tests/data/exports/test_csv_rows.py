import csv
import io
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from electra_lab.data.exports.csv_rows import Row, rows
from electra_lab.data.exports.source import Source
from tests.data.exports.reading import FEW

CELLS = st.text(st.sampled_from('a가,;\t"\n\r😀: '), max_size=8)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=6)


def source(text: str | bytes, encoding: str = "utf-8", mark: bytes = b"") -> Source:
    """A file that was read."""
    raw = text.encode(encoding) if isinstance(text, str) else text
    return Source(Path("table.csv"), "table.csv", mark + raw, encoding, len(mark))


def table(text: str | bytes, delimiter: str = ",") -> list[tuple[str, ...]]:
    return [row.cells for row in rows(source(text), delimiter)]


def test_places_of_rows_with_line_ends_in_cells() -> None:
    text = 'Date,User,Message\n"9일","가 ""나""","첫 줄\n둘째, 줄"\n\n1,2,3'
    assert list(rows(source(text), ",")) == [
        Row(("Date", "User", "Message"), 1, 1, 0, 18, False, True, "Date,User,Message"),
        Row(("9일", '가 "나"', "첫 줄\n둘째, 줄"), 2, 2, 18, 43, False, True, '"9일","가 ""나""","첫 줄\n둘째, 줄"'),
        Row(("",), 4, 1, 61, 1, False, True, ""),
        Row(("1", "2", "3"), 5, 1, 62, 5, False, True, "1,2,3"),
    ]


def test_line_ends_inside_cells_stay_as_they_are() -> None:
    assert table('"a\r\nb","c\nd"\r\ne\r\n') == [("a\r\nb", "c\nd"), ("e",)]


def test_a_quote_inside_a_cell_that_is_not_quoted_is_a_character() -> None:
    assert table('5" screen,b"\nc') == [('5" screen', 'b"'), ("c",)]


def test_what_the_grammar_does_not_allow_is_marked() -> None:
    (row,) = rows(source('a,"b\nc\nd,e'), ",")  # cut off inside a cell
    assert (row.cells, row.num_lines, row.is_whole) == (("a", "b\nc\nd,e"), 3, False)
    behind, after = rows(source('"a"b,c\nd'), ",")
    assert (behind.cells, behind.is_whole, after.is_whole) == (("ab", "c"), False, True)


def test_other_encodings_and_bytes_that_are_no_text() -> None:
    first, second = rows(source("가,나\n다,라", "utf-16-le", b"\xff\xfe"), ",")
    assert (first.cells, first.offset, first.size) == (("가", "나"), 0, 10)
    assert (second.cells, second.offset, second.size) == (("다", "라"), 10, 6)
    assert [row.has_bad_bytes for row in rows(source(b'a,"\xff\n"\nb'), ",")] == [True, False]


@FEW
@given(table=TABLES, delimiter=st.sampled_from(",;\t"), line_end=st.sampled_from(["\n", "\r\n"]))
@example([["\r"]], ",", "\n")
def test_rows_are_what_a_writer_wrote(table: list[list[str]], delimiter: str, line_end: str) -> None:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(table)
    found = list(rows(source(file.getvalue()), delimiter))
    assert [list(row.cells) for row in found] == table
    assert all(row.is_whole for row in found)


@FEW
@given(text=st.text(st.sampled_from('a,"\n\r')))
def test_rows_are_those_of_the_csv_module_and_lose_nothing(text: str) -> None:
    found = list(rows(source(text), ","))
    assert sum(row.size for row in found) == len(text)
    assert sum(row.num_lines for row in found) == len(text.splitlines()) or "\r" in text
    if "\r" not in text and all(row.is_whole for row in found):
        assert [list(row.cells) for row in found] == [row or [""] for row in csv.reader(io.StringIO(text))]


@pytest.mark.parametrize("line", ['x,"a""b\n', 'x,"a"b\n', '"\n', '""\n', "," * 50 + "\n", '"""'])
def test_the_time_is_linear(line: str) -> None:
    def seconds(size: int) -> float:
        start = time.process_time()
        assert sum(row.size for row in rows(source(line * (size // len(line))), ",")) > 0
        return time.process_time() - start

    small = min(seconds(2_000) for _ in range(3))
    assert seconds(20_000) < 40 * small + 0.05  # quadratic: 100
