"""Made-up paragraphs from a small grammar with real dependencies, so that a tiny model has something to learn.

A particle depends on the noun before it, a counter on what is counted, a verb's form on the time word and on the
paragraph's register, things and deeds on the scene, a name on the name before, a sum on its terms.
"""

from collections.abc import Callable, Iterator

import numpy as np

from electra_lab.data import chance
from electra_lab.data.synthetic.words import (
    CAUSES,
    COMING_TIMES,
    NAMES,
    NUMBERS,
    PAST_TIMES,
    PRESENT_TIMES,
    SCENES,
    SEASONS,
    WEEKDAYS,
    Scene,
    Verb,
    counted,
    pick,
    with_copula,
    with_particle,
)

_CHAT_SHARE = 0.3  # of the documents are everyday chat, so that its tone is in the vocabulary


def documents(num_documents: int = 3000, seed: int = 0) -> Iterator[list[str]]:
    """Yield paragraphs, each a list of lines; about 1.5 MB in all by default. Document k depends on (seed, k) alone."""
    from electra_lab.data.synthetic.chat import everyday_lines

    for index in range(num_documents):
        rng = chance.generator(seed, index)
        yield everyday_lines(rng) if rng.random() < _CHAT_SHARE else paragraph(rng)


def paragraph(rng: np.random.Generator) -> list[str]:
    """A few lines of one or two sentences about one scene, two people and one register."""
    writer = _Writer(rng)
    return [" ".join(writer.sentence() for _ in range(rng.integers(1, 3))) for _ in range(rng.integers(4, 9))]


class _Writer:
    """What stays the same through a paragraph."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.scene: Scene = pick(rng, SCENES)
        self.names = [NAMES[number] for number in rng.permutation(len(NAMES))[:2]]
        self.is_polite = bool(rng.random() < 0.5)

    def sentence(self) -> str:
        return pick(self.rng, _SENTENCES)(self)

    def thing(self) -> str:
        return pick(self.rng, tuple(self.scene.things))

    def some(self) -> str:
        """사과 세 개."""
        thing = self.thing()
        return counted(thing, int(self.rng.integers(1, 11)), self.scene.things[thing])

    def timed(self, verb: Verb) -> tuple[str, str]:
        """A time word and the verb in the tense and register that go with it."""
        polite = self.is_polite
        past = (pick(self.rng, PAST_TIMES), verb.past + ("어요" if polite else "다"))
        now = (pick(self.rng, PRESENT_TIMES), verb.now + "요" if polite else verb.plain + "다")
        coming = (pick(self.rng, COMING_TIMES), verb.coming + (" 거예요" if polite else " 것이다"))
        return pick(self.rng, (past, now, coming))

    def said(self, past: str) -> str:
        """A past stem with its ending."""
        return past + ("어요." if self.is_polite else "다.")


def _deed(w: _Writer) -> str:
    time, verb = w.timed(pick(w.rng, w.scene.verbs))
    place, name = pick(w.rng, w.scene.places), pick(w.rng, w.names)
    return f"{time} {with_particle(name, '은')} {place}에서 {with_particle(w.some(), '을')} {verb}."


def _together(w: _Writer) -> str:
    first, second = w.names
    time, verb = w.timed(Verb("갔", "가", "갈", "간"))
    place = pick(w.rng, w.scene.places)
    return f"{time} {with_particle(first, '은')} {with_particle(second, '과')} 함께 {place}에 {verb}."


def _there_is(w: _Writer) -> str:
    ending = "있어요" if w.is_polite else "있다"
    return f"{pick(w.rng, w.scene.places)}에는 {with_particle(w.some(), '이')} {ending}."


def _quality(w: _Writer) -> str:
    first, second = (pick(w.rng, w.scene.adjectives) for _ in range(2))
    name = pick(w.rng, w.names)
    because = with_particle(w.thing(), "이") + f" {first.past}기 때문에 {with_particle(name, '은')} 기뻐했"
    simple = with_particle(w.thing(), "은") + f" 아주 {second.past}"
    return w.said(pick(w.rng, (because, simple)))


def _sum(w: _Writer) -> str:
    thing = w.thing()
    counter = w.scene.things[thing]
    first, second = (int(w.rng.integers(1, 10)) for _ in range(2))
    total = f"{NUMBERS[first + second]} {counter}"
    ending = with_copula(total, "이에요" if w.is_polite else "이다")
    return f"{counted(thing, first, counter)}에 {NUMBERS[second]} {with_particle(counter, '을')} 더하면 모두 {ending}."


def _next_day(w: _Writer) -> str:
    day = int(w.rng.integers(7))
    ending = with_copula(WEEKDAYS[(day + 1) % 7], "이에요" if w.is_polite else "이다")
    return f"{WEEKDAYS[day]} 다음 날은 {ending}."


def _season(w: _Writer) -> str:
    season = pick(w.rng, tuple(SEASONS))
    months, weather, sight = SEASONS[season]
    return f"{with_particle(pick(w.rng, months), '은')} {with_copula(season, '이라서')} {weather}고 {sight}."


def _cause(w: _Writer) -> str:
    cause = pick(w.rng, tuple(CAUSES))
    return w.said(f"{cause}기 때문에 {with_particle(pick(w.rng, w.names), '은')} {CAUSES[cause]}")


def _quote(w: _Writer) -> str:
    person, name = pick(w.rng, w.scene.people), pick(w.rng, w.names)
    wish = pick(w.rng, (f"{w.some()}만 주세요", f"{with_particle(w.thing(), '이')} 있나요", f"{w.some()}면 될까요"))
    return w.said(f'{with_particle(name, "이")} {person}에게 "{wish}" 하고 말했')


def _work(w: _Writer) -> str:
    person, verb = pick(w.rng, w.scene.people), pick(w.rng, w.scene.verbs)
    ending = verb.now + "요." if w.is_polite else verb.plain + "다."
    place = pick(w.rng, w.scene.places)
    return f"{with_particle(person, '은')} {place}에서 {with_particle(w.thing(), '을')} {ending}"


_SENTENCES: tuple[Callable[[_Writer], str], ...] = (
    *(_deed, _deed, _deed, _there_is, _there_is, _quality, _quality, _cause, _cause),
    *(_together, _sum, _next_day, _season, _quote, _work),
)
