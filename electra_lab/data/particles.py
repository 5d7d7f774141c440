"""Korean particles and the copula after another noun: 은/는, 이/가, 을/를, 으로/로, 이에요/예요 follow its last sound.

National Institute of Korean Language, 한글 맞춤법 and 표준국어대사전: the form depends on whether the noun ends in a
consonant; (으)로 counts ㄹ as a vowel.
"""

_RIEUL = 8  # index of ㄹ among the 28 finals of a syllable; 0 is none
_DIGIT_FINALS = (21, 8, 0, 16, 0, 0, 1, 8, 8, 0)  # 영 일 이 삼 사 오 육 칠 팔 구
_LETTER_FINALS = {"l": 8, "m": 16, "n": 4, "r": 8}  # 엘 엠 엔 알; the names of all other letters end in a vowel

_PAIRS = (("은", "는"), ("이", "가"), ("을", "를"), ("과", "와"))
# particles that put 이 before themselves after a consonant
_WITH_I = "라도 라면 라고 라는 라야 라 란 랑 나마 나 든지 든가 든 며 야말로 야 고 니 다 지 네 면"
_AFTER_VOWEL = frozenset(_WITH_I.split())
_COPULA_CONTRACTIONS = (("이었", "였"), ("이에", "예"), ("이어", "여"))


def final_consonant(word: str) -> int:
    """Index of the last syllable's final consonant, 0 for none; digits and Latin letters by the name they are read."""
    last = word[-1].lower()
    if "가" <= last <= "힣":
        return (ord(last) - ord("가")) % 28
    if last.isdecimal():
        return _DIGIT_FINALS[int(last)]
    return _LETTER_FINALS.get(last, 0)


def particle_after(word: str, particle: str, is_vocative: bool = False) -> str:
    """The particle in the form that fits the word; particles that have one form only (에서, 도, 만) come back as is."""
    final = final_consonant(word)
    if is_vocative and particle in ("아", "야"):
        return "아" if final else "야"
    for after_consonant, after_vowel in _PAIRS:
        if particle in (after_consonant, after_vowel):
            return after_consonant if final else after_vowel
    stem = particle.removeprefix("으")
    if stem.startswith("로"):  # 로, 로서, 로써, 로부터
        return "으" + stem if final not in (0, _RIEUL) else stem
    stem = particle.removeprefix("이")
    if stem in _AFTER_VOWEL:
        return "이" + stem if final else stem
    return particle


def copula_after(word: str, ending: str) -> str:
    """The ending of 이다 in the form that fits the word: 이에요/예요, 이었어/였어, 이야/야, 이라서/라서.

    `ending` is all that follows the noun. Forms grown together with 이 (인데, 일까, 입니다) fit every word.
    """
    if not ending:  # "영화 에요": a space before the copula
        return ""
    if final_consonant(word):
        if ending.startswith(("이", "인", "일", "임", "입", "잉")):
            return ending
        for after_consonant, after_vowel in _COPULA_CONTRACTIONS:
            if ending.startswith(after_vowel):
                return after_consonant + ending.removeprefix(after_vowel)
        return "이" + ending
    for after_consonant, after_vowel in _COPULA_CONTRACTIONS:
        if ending.startswith(after_consonant):
            return after_vowel + ending.removeprefix(after_consonant)
    return ending.removeprefix("이")
