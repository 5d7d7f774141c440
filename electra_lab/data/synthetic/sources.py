"""Made-up texts to insert into made-up conversations, so that injection can be tried where no data is given.

Anomalous are threats and coded exchanges; harmless are everyday talk and, since a foreign style alone must not tell,
narrative prose.
"""

from collections.abc import Callable

import numpy as np

from electra_lab.data import chance
from electra_lab.data.sources import Source
from electra_lab.data.synthetic.chat import coded_lines, everyday_lines
from electra_lab.data.synthetic.prose import paragraph
from electra_lab.data.synthetic.words import COMING_TIMES, NAMES, SCENES, WEEKDAYS, pick, with_particle

_SOURCES = 2  # stream of chance that is neither that of the documents nor that of the conversations


def sources(seed: int = 0, number: int = 150) -> tuple[list[Source], list[Source]]:
    """Anomalous and harmless sources, `number` of each of two kinds; source k depends on (seed, kind, k) alone."""
    made = [
        [
            Source(f"{kind}-{index:03d}", kind, tuple(write(chance.generator(seed, _SOURCES, stream, index))))
            for index in range(number)
        ]
        for stream, (kind, write) in enumerate(_KINDS.items())
    ]
    return made[0] + made[1], made[2] + made[3]


def _threat(rng: np.random.Generator) -> list[str]:
    """Somebody demands and threatens, turn by turn with somebody who gives way."""
    when, day, name = pick(rng, COMING_TIMES), pick(rng, WEEKDAYS), pick(rng, NAMES)
    place = pick(rng, pick(rng, SCENES).places)
    demands = (
        f"{when} {place} 앞으로 혼자 나와",
        f"{day}까지 돈 안 가져오면 가만 안 둔다",
        "너 왜 내 연락 무시하냐",
        f"{name} 앞에서 나한테 대든 거 기억하지",
        f"{when} 안 갚으면 어떻게 되는지 보여 줄게",
    )
    replies = ("왜 그래 진짜", "미안해 시간 좀 줘", "나한테 왜 이러는 거야", "제발 그만해", "다음 주에는 꼭 줄게")
    threats = (
        f"{with_particle(name, '도')} 다칠 수 있어" if rng.random() < 0.5 else "너희 집 어딘지 다 알아",
        "신고하면 너만 손해야",
        f"{place}에서 마주치면 각오해",
        "학교에 소문내도 괜찮지?",
        "시키는 대로 안 하면 후회할 거다",
    )
    pleas = ("알았어 갈게", "누구한테도 말 안 할게", "제발 그러지 마", "무서워 그만해", "한 번만 봐줘")
    lines = [pick(rng, demands), pick(rng, replies), pick(rng, threats), pick(rng, pleas)]
    return lines if rng.random() < 0.5 else [*lines, pick(rng, threats), pick(rng, replies)]


_KINDS: dict[str, Callable[[np.random.Generator], list[str]]] = {
    "threat": _threat,
    "coded": coded_lines,
    "everyday": everyday_lines,
    "narrative": paragraph,
}
