import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.text import for_model, without_surrogates

ODD = "".join(map(chr, [0x1100, 0x1161, 0x11A8, 0x1113, 0x115F, 0x200B, 0x200D, 0xFE0F, 0xFEFF, 0x202E, 0xD800, 0x85]))


@pytest.mark.parametrize(
    ("raw", "repaired"),
    [
        (unicodedata.normalize("NFD", "안녕하세요"), "안녕하세요"),
        ("\u110bais", "ㅇais"),  # conjoining ieung before Latin letters, to get past a filter
        ("\u11ab\u1161", "ㄴㅏ"),  # a final consonant and a vowel that do not make a syllable
        ("ㅋㅋㅋ", "ㅋㅋㅋ"),  # NFKC would make them conjoining
        ("아\u200b이\u200d스", "아이스"),
        ("2\ufe0f", "2"),
        ("\ufeff처음", "처음"),
        ("\u202e거꾸로\u2066", "거꾸로"),
        ("a\x00b\x07c\x9fd", "abcd"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\ud800x", "\ufffdx"),
        ("½ ﬁ ①", "½ ﬁ ①"),  # compatibility characters stay
        ("e\u200b\u0301", "é"),  # what the invisible one held apart
        ("👍🏽", "👍🏽"),
    ],
)
def test_for_model(raw: str, repaired: str) -> None:
    assert for_model(raw) == repaired


@given(st.text(st.characters() | st.sampled_from(ODD), max_size=30))
@settings(derandomize=True, max_examples=150, deadline=None)
def test_idempotent_and_encodable(text: str) -> None:
    once = for_model(text)
    assert for_model(once) == once
    assert unicodedata.is_normalized("NFC", once)
    once.encode("utf-8")


def test_every_modern_jamo_becomes_a_letter() -> None:
    modern = [*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]
    assert all("\u3131" <= for_model(chr(code)) <= "\u3163" for code in modern)


def test_without_surrogates_changes_nothing_else() -> None:
    assert without_surrogates("\udfffᄋ\u200b") == "\ufffdᄋ\u200b"
