"""Which nouns of a Korean message can be exchanged for others, by the morphological analyser kiwipiepy."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kiwipiepy import Token

PARTICLE, VOCATIVE, COPULA = "particle", "vocative", "copula"


class Noun(NamedTuple):
    """A common noun at a word's beginning, and what hangs on it."""

    text: str
    start: int  # in characters of the message
    end: int
    follows: str = ""  # PARTICLE, VOCATIVE, COPULA, or "" where nothing depends on the noun's last sound
    particle: str = ""  # of a particle: as it is written after the noun


# nouns by their tag that stand for no thing: they work as adverbs or need a word before them
_GRAMMATICAL_WORDS = """
    아무것 아무 나머지 전부 모두 대부분 자체 실제 사실 정도 이상 이하 이전 이후 때문 덕분 경우 동안 사이 요즘 요새
    최근 지금 오늘 어제 내일 아까 이제 방금 나중 다음 처음 마지막 항상 평소 당시 그때 이번 저번 지난번 혼자 자기
    서로 각자 본인 진짜 정말 완전 대박 그냥 보통 거의 결국 우선 일단 당연 물론 만약 조금 그거 이거 저거
"""
_GRAMMATICAL = frozenset(_GRAMMATICAL_WORDS.split())

Analyser = Callable[[Iterable[str]], Iterator[list[Noun]]]


def kiwi_analyser() -> Analyser:
    """Kiwi's analyser, one list of nouns a message, in order.

    Raises:
        ValueError: kiwipiepy is not installed.
    """
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise ValueError("finding nouns needs the analyser kiwipiepy: type pip install electra_lab[korean]") from error
    kiwi = Kiwi()

    def analyse(texts: Iterable[str]) -> Iterator[list[Noun]]:
        for tokens, text in kiwi.tokenize(texts, echo=True):
            yield exchangeable(text, tokens)

    return analyse


def exchangeable(text: str, tokens: "list[Token]") -> list[Noun]:
    """The nouns of one analysed message that another noun can stand for.

    Compounds (수상소감) are one noun. Left out, because another noun would not read like Korean there: proper names,
    one-syllable nouns, roots of verbs (공부+하다), nouns with a suffix but 들, after a number or inside a longer word,
    nouns grown together with their particle (영활), and nouns that stand for no thing (오늘, 정도).
    """
    nouns = []
    index = 0
    while index < len(tokens):
        first = index
        while index < len(tokens) and tokens[index].tag[0] in "NX" and (index == first or _touch(tokens, index - 1)):
            index += 1
        if index > first and (first == 0 or not _touch(tokens, first - 1) or _separates(tokens[first - 1])):
            noun = _noun(text, tokens, first, index)
            if noun:
                nouns.append(noun)
        index = max(index, first + 1)
    return nouns


def _noun(text: str, tokens: "list[Token]", first: int, after: int) -> Noun | None:
    """The run of touching nouns and affixes `tokens[first:after]` as one noun, if it is a common one."""
    plural = tokens[after - 1].tag == "XSN" and tokens[after - 1].form == "들"
    parts = tokens[first : after - plural]
    form = "".join(part.form for part in parts)
    if not parts or any(part.tag != "NNG" for part in parts):
        return None
    start, end = parts[0].start, parts[-1].end
    if len(form) < 2 or text[start:end] != form or not all("가" <= letter <= "힣" for letter in form):
        return None
    if form in _GRAMMATICAL:
        return None
    if plural:  # what follows depends on 들, not on the noun
        return Noun(form, start, end) if text[end : end + 1] == "들" else None
    if after == len(tokens) or not _touch(tokens, after - 1):
        return Noun(form, start, end)
    follower = tokens[after]
    if _separates(follower):
        return Noun(form, start, end)
    if follower.start < end:  # grown together
        return None
    if follower.tag == "VCP":
        return Noun(form, start, end, COPULA)
    if follower.tag[0] == "J" and _ends_with_particles(tokens, after):
        follows = VOCATIVE if follower.tag == "JKV" else PARTICLE
        return Noun(form, start, end, follows, text[follower.start : follower.end])
    return None


def _ends_with_particles(tokens: "list[Token]", index: int) -> bool:
    """Whether nothing but particles and the copula comes before the next space or sign."""
    while index < len(tokens):
        if tokens[index].tag == "VCP" or _separates(tokens[index]):
            return True
        if tokens[index].tag[0] != "J":
            return False
        if index + 1 < len(tokens) and not _touch(tokens, index):
            return True
        index += 1
    return True


def _touch(tokens: "list[Token]", index: int) -> bool:
    """Whether no space stands between this token and the next."""
    return tokens[index].end >= tokens[index + 1].start


def _separates(token: "Token") -> bool:
    """Whether the token is a sign (. , ! ㅋㅋ, emoji), which ends a word like a space does; no letter or digit is."""
    return token.tag[0] in "SW" and token.tag not in ("SL", "SH", "SN")
