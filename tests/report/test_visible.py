"""Every character of a chat is seen as it was written, or by its number."""

import re
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.report.visible import language, marked_pieces, plain, shortened

texts = st.text(st.characters(), max_size=40) | st.text("가a\u200b\u202e\ufe0f\u200d👨👩❤\r\n\u3164 ", max_size=12)


def written(text: str, spans: list[tuple[int, int]]) -> str:
    pieces = marked_pieces(text, spans)
    return "".join(chr(int(piece.text[2:], 16)) if piece.is_hidden else piece.text for piece in pieces) or text


@given(texts, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=3))
@settings(max_examples=150, derandomize=True, database=None, deadline=None)
def test_pieces_put_together_are_the_text(text: str, ends: list[tuple[int, int]]) -> None:
    spans = [(min(one), max(one)) for one in ends if max(one) <= len(text)]
    assert written(text, spans) == text
    marked = [
        piece.is_word for piece in marked_pieces(text, spans) for _ in (piece.text if not piece.is_hidden else "x")
    ]
    if spans:
        assert marked == [any(start <= at < end for start, end in spans) for at in range(len(text))]


def test_every_control_format_private_and_blank_character_is_hidden() -> None:
    """Against Python's own table of Unicode: what has no shape of its own is shown by number."""
    seen = set("\t\n") | {chr(code) for code in (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2)}
    seen |= {"\U000110bd", "\U000110cd"}  # these format characters have a shape: signs around numbers
    kinds = {code: unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)}
    expected = {code for code, kind in kinds.items() if kind in ("Cc", "Cf", "Zl", "Zp", "Cs", "Co")} - set(
        map(ord, seen)
    )
    harmless = {code for code, kind in kinds.items() if kind in ("Lu", "Ll", "Nd", "So", "Sm", "Zs")} - {0x2800}
    codes = sorted(expected | harmless)
    shown = plain("가".join(map(chr, codes)))  # apart, so that none acts on its neighbour
    assert shown == "가".join(f"[U+{code:04X}]" if code in expected else chr(code) for code in codes)


@pytest.mark.parametrize(
    "text",
    ["👨‍👩‍👧‍👦", "❤️", "1️⃣", "🇰🇷", "👋🏽", "🏳️‍🌈", "각", "안녕\r\n하세요", "a\tb", "가\u00a0나", "한"],
)
def test_pictures_decomposed_hangul_and_line_ends_stay(text: str) -> None:
    assert marked_pieces(text) == []


@pytest.mark.parametrize(
    "text, hidden",
    [
        ("a\u202egpj.exe", ["U+202E"]),
        ("ㅤ", ["U+3164"]),  # a name that looks like none
        ("2\ufe0f", ["U+FE0F"]),  # not a picture: two speakers that look alike
        ("가\u200d나", ["U+200D"]),
        ("❤\u200d", ["U+200D"]),
        ("a\rb", ["U+000D"]),
        ("\ufeff\x00\x1b[31m", ["U+FEFF", "U+0000", "U+001B"]),
        ("\U000e0041", ["U+E0041"]),
        ("\udc80", ["U+DC80"]),  # of a file name that is no Unicode
    ],
)
def test_what_hides_is_named(text: str, hidden: list[str]) -> None:
    assert [piece.text for piece in marked_pieces(text) if piece.is_hidden] == hidden


def test_overlapping_hits_are_marked_once() -> None:
    pieces = marked_pieces("얼음아이스크림", [(2, 5), (4, 7)])
    assert "".join(piece.text for piece in pieces if piece.is_word) == "아이스크림"
    assert "".join(piece.text for piece in pieces) == "얼음아이스크림"


def test_plain_names_them_in_brackets() -> None:
    assert plain("사건\u202e7") == "사건[U+202E]7"


@given(texts, st.integers(2, 12))
@settings(max_examples=100, derandomize=True, database=None, deadline=None)
def test_shortened_is_a_beginning(text: str, longest: int) -> None:
    beginning, is_cut = shortened(text, longest)
    assert text.startswith(beginning) and len(beginning) <= longest and is_cut == (beginning != text)


@pytest.mark.parametrize("text, end", [("가나다라👨‍👩‍👧", 4), ("aaaa👋🏽", 4), ("aaaacafe\u0301", 7), ("가나다각", 3)])
def test_nothing_is_cut_in_two(text: str, end: int) -> None:
    """Whatever the limit behind the whole letters, the cut falls before the one that does not fit."""
    for longest in range(end + 1, len(text)):
        beginning, _ = shortened(text, longest)
        assert len(beginning) >= end
        assert not re.match("[\u0300-\u036f\u1160-\u11ff\u200d🏻-🏿]", text[len(beginning) :])
        assert not beginning.endswith("\u200d")


@pytest.mark.parametrize("text, expected", [("안녕", "ko"), ("ㅋㅋ", "ko"), ("hello", ""), ("冰", ""), ("", "")])
def test_language(text: str, expected: str) -> None:
    assert language(text) == expected
