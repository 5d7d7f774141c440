"""Made-up conversations, labelled per message: some hold a coded exchange, others ask for the same things honestly.

In a coded exchange a thing is spoken of with another thing's counter, away from where it belongs (사탕 두 장): a noun
in the wrong place, as in real code. Every word and almost every sentence of it also occurs in honest exchanges, so
that no single word tells them apart; what is asked for, how it is counted and what else is being talked about do.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from electra_lab.data import chance
from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.synthetic.words import (
    CAUSES,
    COMING_TIMES,
    NUMBERS,
    PAST_TIMES,
    SCENES,
    WEEKDAYS,
    Scene,
    counted,
    pick,
    with_copula,
    with_particle,
)

_CODED_SHARE = 0.35  # of the conversations
_TALK = 1  # stream of chance that is not that of the documents


class Line(NamedTuple):
    """What one of the two who talk says."""

    speaker: int  # 0 asks, 1 answers
    text: str
    label: int = 0


class Wish(NamedTuple):
    """What an exchange is about: a thing, its counter (the right one or not) and two numbers."""

    thing: str
    counter: str
    number: int
    offered: int


def conversations(num_conversations: int = 800, seed: int = 0) -> list[Conversation]:
    """Conversations of 12 to 45 messages and two or three speakers; about a third are anomalous.

    Conversation k depends on (seed, k) alone.
    """
    return [_conversation(chance.generator(seed, _TALK, index), index) for index in range(num_conversations)]


def everyday_lines(rng: np.random.Generator) -> list[str]:
    """An unlabelled bit of everyday chat: a document for pretraining."""
    lines = [line for _ in range(rng.integers(2, 5)) for line in pick(rng, _EVERYDAY)(rng, pick(rng, SCENES))]
    return [_colloquial(rng, line.text) for line in lines]


def coded_lines(rng: np.random.Generator) -> list[str]:
    """A coded exchange alone."""
    return [_colloquial(rng, line.text) for line in _coded(rng) if line.label]


def _conversation(rng: np.random.Generator, index: int) -> Conversation:
    coded = _coded(rng) if rng.random() < _CODED_SHARE else []
    num_honest = int(rng.integers(12, 46)) - len(coded)
    parts: list[list[Line]] = []
    scene = pick(rng, SCENES)
    while (missing := num_honest - sum(map(len, parts))) > 0:
        if rng.random() < 0.4:  # people stay with a scene for a while
            scene = pick(rng, SCENES)
        parts.append(pick(rng, _EVERYDAY)(rng, scene)[:missing])
    if coded:
        parts.insert(int(rng.integers(len(parts) + 1)), coded)
    num_speakers = 2 if rng.random() < 0.7 else 3
    messages = []
    for part in parts:
        pair = rng.permutation(num_speakers)  # who asks and who answers in this part
        messages += [Message(_colloquial(rng, line.text), f"P{pair[line.speaker] + 1}", line.label) for line in part]
    return Conversation(f"synthetic-{index:04d}", tuple(messages))


def _coded(rng: np.random.Generator) -> list[Line]:
    """An exchange about a thing of one scene with the counter of another."""
    thing, right = _thing(rng)
    while (counter := _thing(rng)[1]) == right:  # as common among the counters as honest ones are
        pass
    lines = _exchange(rng, Wish(thing, counter, int(rng.integers(1, 10)), int(rng.integers(1, 10))), 0.8)
    coded = [line._replace(label=1) for line in lines]
    if rng.random() < 0.5:  # something harmless in between
        coded.insert(int(rng.integers(1, len(coded))), Line(int(rng.integers(2)), pick(rng, _ASIDES)))
    return coded


def _thing(rng: np.random.Generator) -> tuple[str, str]:
    """A thing of any scene and its counter."""
    return pick(rng, tuple(pick(rng, SCENES).things.items()))


def _honest(rng: np.random.Generator, scene: Scene) -> list[Line]:
    """The same exchange about a thing that belongs here: what a detector must leave alone."""
    thing = pick(rng, tuple(scene.things))
    wish = Wish(thing, scene.things[thing], int(rng.integers(1, 10)), int(rng.integers(1, 10)))
    lines = _exchange(rng, wish, 0.3)
    if rng.random() < 0.5:
        lines.append(Line(0, pick(rng, (f"{pick(rng, scene.places)}에서 쓸 거야", "깜짝 파티 준비하는 거야"))))
    return lines


def _exchange(rng: np.random.Generator, wish: Wish, secrecy: float) -> list[Line]:
    """Asking, offering, agreeing, where, not to tell; each with a few wordings, the last ones now and then."""
    thing, number = wish.thing, f"{NUMBERS[wish.number]} {wish.counter}"
    offered = f"{NUMBERS[wish.offered]} {wish.counter}"
    asking = (
        f"혹시 {thing} 아직 남았어?",
        f"{counted(thing, wish.number, wish.counter)} 될까?",
        f"{thing} 구할 수 있어?",
    )
    offering = (f"응 {offered} 남았어", f"{offered}까지는 돼", f"{thing} {offered} 챙겨 뒀어", "저번이랑 같은 걸로?")
    agreeing = (
        f"그럼 {number}만 부탁해",
        f"{with_copula(number, '이면')} 충분해",
        f"{thing} {with_particle(number, '로')} 할게",
    )
    where = ("늘 보던 데서 봐", "저번에 만난 데로 갈게", "도착하면 말해 줘", "오늘은 다른 데서 보자")
    telling = ("다른 사람한테는 말하지 마", "이 얘기는 지워 줘", "우리끼리만 아는 걸로 하자", "확인하면 대답해 줘")
    closing = ("응 알았어", "그래 이따 봐", "고마워", "걱정 마")
    lines = [Line(0, pick(rng, asking)), Line(1, pick(rng, offering)), Line(0, pick(rng, agreeing))]
    if rng.random() < 0.7:
        lines.append(Line(1, pick(rng, where)))
    if rng.random() < secrecy:
        lines.append(Line(int(rng.integers(2)), pick(rng, telling)))
    if rng.random() < 0.6:
        lines.append(Line(1, pick(rng, closing)))
    return lines


def _plan(rng: np.random.Generator, scene: Scene) -> list[Line]:
    first, second = (WEEKDAYS[number] for number in rng.permutation(7)[:2])
    lines = [Line(0, f"{first}에 {pick(rng, scene.places)} 갈래?")]
    if rng.random() < 0.5:
        return [*lines, Line(1, pick(rng, ("좋아 몇 시에 볼까?", "응 좋아"))), Line(0, f"{pick(rng, _HOURS)} 시 어때?")]
    lines += [Line(1, f"{first}에는 안 돼"), Line(0, f"그럼 {with_particle(second, '은')} 어때?")]
    return [*lines, Line(1, f"{second}에는 괜찮아")]


def _tale(rng: np.random.Generator, scene: Scene) -> list[Line]:
    thing, verb, adjective = (
        pick(rng, tuple(scene.things)),
        pick(rng, scene.verbs),
        pick(rng, scene.adjectives),
    )
    some = counted(thing, int(rng.integers(1, 10)), scene.things[thing])
    lines = [
        Line(0, f"나 {pick(rng, PAST_TIMES)} {pick(rng, scene.places)}에서 {some} {verb.past}어"),
        Line(1, pick(rng, (f"오 {with_particle(thing, '은')} 어땠어?", "진짜? 어땠어?", "누구랑 갔어?"))),
        Line(0, f"{pick(rng, ('생각보다', '정말', '좀'))} {adjective.past}어"),
    ]
    return lines + [Line(1, pick(rng, ("나도 가고 싶다", "부럽다", "다음에 같이 가")))] * int(rng.random() < 0.6)


def _errand(rng: np.random.Generator, scene: Scene) -> list[Line]:
    thing = pick(rng, tuple(scene.things))
    number = f"{NUMBERS[rng.integers(1, 10)]} {scene.things[thing]}"
    return [
        Line(0, f"{pick(rng, COMING_TIMES)} 올 때 {thing} {number}만 가져다줘"),
        Line(1, f"알았어 {with_copula(number, '이면')} 되지?"),
        Line(0, pick(rng, ("응 고마워", "응 부탁해", "한 번 더 말해 줄게"))),
    ]


def _cause(rng: np.random.Generator, scene: Scene) -> list[Line]:
    cause = pick(rng, tuple(CAUSES))
    lines = [Line(0, f"아까 {cause}어"), Line(1, "그래서 어떻게 했어?"), Line(0, f"그냥 {CAUSES[cause]}어")]
    return lines if rng.random() < 0.7 else [lines[0], Line(1, "나도")]


def _small_talk(rng: np.random.Generator, scene: Scene) -> list[Line]:
    opening = pick(rng, ("뭐 해?", "자?", "밥 먹었어?", "오늘 바빠?"))
    return [Line(0, opening), Line(1, pick(rng, _ASIDES)), Line(0, pick(rng, ("그렇구나", "나도", "알았어")))]


_HOURS = ("한", "두", "세", "네", "다섯", "여섯", "일곱")
_ASIDES = (
    "나 지금 버스 탔어",
    "잠깐만 전화 왔어",
    "방금 일어났어",
    "아직 일하는 중",
    "이제 집에 가려고",
    "숙제하고 있어",
)
_EVERYDAY: tuple[Callable[[np.random.Generator, Scene], list[Line]], ...] = (
    *(_honest, _honest, _honest, _errand, _errand, _tale, _tale),
    *(_plan, _cause, _small_talk),
)


def _colloquial(rng: np.random.Generator, text: str) -> str:
    """The line as it might be typed: laughter, drawn-out signs, a dropped space, a slip; whatever its label."""
    if rng.random() < 0.08 and " " in text:
        spaces = [place for place, letter in enumerate(text) if letter == " "]
        drop = pick(rng, spaces)
        text = text[:drop] + text[drop + 1 :]
    if rng.random() < 0.06:
        text = text.replace("했", "햇").replace("있", "잇").replace("됐", "됬")
    if rng.random() < 0.05:
        text = text.replace("응", "ㅇㅇ").replace("진짜", "ㄹㅇ").replace("고마워", "ㄱㅅ")
    if text.endswith("?") and rng.random() < 0.3:
        return text + "?" * int(rng.integers(1, 3))
    if rng.random() < 0.25:
        return text + pick(rng, ("ㅋ", "ㅎ", "ㅠ", "~", ".", "!")) * int(rng.integers(1, 4))
    return text
