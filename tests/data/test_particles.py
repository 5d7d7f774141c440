import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.particles import copula_after, final_consonant, particle_after


@pytest.mark.parametrize(
    ("after_consonant", "after_vowel"),
    [
        ("은", "는"),
        ("이", "가"),
        ("을", "를"),
        ("과", "와"),
        ("으로", "로"),
        ("으로써", "로써"),
        ("으로부터", "로부터"),
        ("이랑", "랑"),
        ("이나", "나"),
        ("이라도", "라도"),
        ("이든지", "든지"),
        ("이야", "야"),
    ],
)
def test_particles_follow_the_last_sound(after_consonant: str, after_vowel: str) -> None:
    for written in (after_consonant, after_vowel):
        assert particle_after("책", written) == after_consonant
        assert particle_after("영화", written) == after_vowel


def test_rieul_takes_the_short_form_of_ro_only() -> None:
    assert "서울" + particle_after("서울", "으로") == "서울로"
    assert "서울" + particle_after("서울", "는") == "서울은"


def test_vocative_is_not_the_copula() -> None:
    assert particle_after("책", "야", is_vocative=True) == "아"
    assert particle_after("책", "야") == "이야"
    assert particle_after("영화", "아", is_vocative=True) == "야"


@pytest.mark.parametrize("particle", ["에서", "도", "만", "까지", "한테", "의"])
def test_particles_of_one_form_stay(particle: str) -> None:
    assert particle_after("책", particle) == particle_after("영화", particle) == particle


@pytest.mark.parametrize(
    ("after_consonant", "after_vowel"),
    [
        ("이에요", "예요"),
        ("이었어", "였어"),
        ("이어서", "여서"),
        ("이야", "야"),
        ("이다", "다"),
        ("이라서", "라서"),
        ("이지ㅋㅋ", "지ㅋㅋ"),
        ("이면", "면"),
        ("인데", "인데"),
        ("일까", "일까"),
        ("입니다", "입니다"),
        ("임", "임"),
    ],
)
def test_copula_follows_the_last_sound(after_consonant: str, after_vowel: str) -> None:
    for written in (after_consonant, after_vowel):
        assert copula_after("책", written) == after_consonant
        assert copula_after("영화", written) == after_vowel


def test_usual_misspelling_of_the_copula() -> None:
    assert "책" + copula_after("책", "에요") == "책이에요"


def test_last_sound_of_digits_and_letters() -> None:
    finals = {word: bool(final_consonant(word)) for word in ("3", "2", "시즌1", "PC", "drum", "LG", "AI")}
    assert finals == {"3": True, "2": False, "시즌1": True, "PC": False, "drum": True, "LG": False, "AI": False}
    assert particle_after("1", "으로") == "로"  # 일로


SYLLABLES = st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=4)
PARTICLES = st.sampled_from(
    ["은", "는", "이", "가", "을", "과", "와", "로", "으로", "랑", "이나", "라도", "에서", "야"]
)


@settings(derandomize=True, deadline=None)
@given(SYLLABLES, SYLLABLES, PARTICLES)
def test_a_detour_over_another_word_changes_nothing(first: str, second: str, particle: str) -> None:
    direct = particle_after(second, particle)
    assert particle_after(second, particle_after(first, particle)) == direct
    assert particle_after(second, direct) == direct
