"""The examiner's words: read, found as they are written, and refused with a sentence."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.senses import Hit, Term, hits, read_senses
from electra_lab.data.text import aligned, for_model

ICE = Term("아이스", ("iced coffee",))
STICK = Term("작대기", ())
LONG = Term("아이스크림", ("ice cream",))


def test_words_with_and_without_senses(tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    file.write_text("- 작대기\n- 아이스: iced coffee\n- Candy: [sweets, a song]\n", encoding="utf-8")
    assert read_senses(file) == [STICK, ICE, Term("Candy", ("sweets", "a song"))]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("아이스: iced coffee\n", "expected a list of words"),
        ("[]", "expected a list of words"),
        ("- 작대기\n- 떨: 0.5\n", "item 2 must be"),
        ("- ''\n", "item 1 must be"),
        ("- {a: b, c: d}\n", "item 1 must be"),
        ("- [a", "not YAML"),
    ],
)
def test_what_is_no_list_of_words_is_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "words.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_senses(file)
    with pytest.raises(FileNotFoundError):
        read_senses(tmp_path / "none.yaml")


def test_words_are_found_where_they_stand() -> None:
    assert hits("아이스 한잔, 작대기는?", [ICE, STICK]) == [Hit(0, 3, *ICE), Hit(8, 11, *STICK)]
    assert hits("아이스크림", [ICE, LONG]) == [Hit(0, 5, *LONG)]  # the longer one
    assert hits("GhB 있나요", [Term("GHB", ())]) == [Hit(0, 3, "GHB", ())]
    assert hits("아이스", []) == [] and hits("", [ICE]) == []


def test_spellings_that_only_look_alike_are_found_with_their_place_in_the_text_as_written() -> None:
    decomposed = unicodedata.normalize("NFD", "아이스")
    assert len(decomposed) == 6
    assert hits(f"아 {decomposed}다", [ICE]) == [Hit(2, 8, *ICE)]
    hidden = "아\u200b이\u200b스"
    (hit,) = hits(f"참, {hidden}요", [ICE])
    assert f"참, {hidden}요"[hit.start : hit.end] == hidden
    assert hits("\u110b아이", [Term("ㅇ아", ())]) == [Hit(0, 2, "ㅇ아", ())]  # a conjoining jamo by itself


TEXTS = st.text(
    st.sampled_from("가각힣ㅋab\r\n \u200b\ufe0f\u0301\u1100\u1161\u11a8\u110b😀é\u0b47\u0b3e"), max_size=12
)


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(TEXTS)
def test_places_are_those_of_the_characters(text: str) -> None:
    normal, places = aligned(text)
    assert normal == for_model(text)
    assert len(places) == len(normal) + 1 and places[-1] == len(text) and places == sorted(places)
    ends = [later for later in places if later]  # every piece alone gives its characters
    for number, character in enumerate(normal):
        end = next((place for place in ends if place > places[number]), len(text))
        assert character in for_model(text[places[number] : end])
