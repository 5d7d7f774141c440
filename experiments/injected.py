"""Data of the injection benchmark: for every fold its conversations and splits, and the test again with other kinds.

Hosts are cut into conversations of equal length (those of fewer than four messages are left out), split contiguously,
and only then given insertions, each part from sources of its own. Validation and test have a prevalence as asked for;
training may have more insertions a host, since its prevalence is nobody's figure. Kinds that are held out are inserted
into the hosts of the test alone, in a copy of it (`held-out/`), so that both figures stand for the same hosts.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from electra_lab.data.conversation import Conversation
from electra_lab.data.injection import blocks, inject
from electra_lab.data.modified_writer import ModifiedConversation, write_modified
from electra_lab.data.sources import Source
from electra_lab.data.splits import Splits, fold_of, save

CONVERSATIONS, HELD_OUT, SPLITS = "conversations", "held-out", "splits.json"
_LONGEST = 4  # messages of an insertion; a host that is shorter is left out
_SHARES = (0.6, 0.2)  # of the sources for training and validation; the rest is for the test


class Texts(NamedTuple):
    """What the corpora are made of."""

    hosts: Sequence[Conversation]
    positives: Sequence[Source]
    harmless: Sequence[Source]
    held_out: Sequence[Source]  # anomalous, of kinds that are never trained on


@dataclass(frozen=True)
class Injected:
    """How the corpora are made.

    Attributes:
        num_folds: blocks of neighbouring hosts; each is the test once.
        host_messages: longer hosts are cut into conversations of so many messages.
        gap: conversations left out between the parts.
        share: of the conversations of validation and test that get an anomalous insertion; as many get a harmless one.
        train_share: insertions a host in training; 3 is three anomalous and three harmless ones in each.
        harmless_in_training: False leaves the hard negatives out of training and validation, as earlier work did.
        seed: of all choices.
    """

    num_folds: int = 5
    host_messages: int = 40
    gap: int = 1
    share: float = 0.15
    train_share: float = 3.0
    harmless_in_training: bool = True
    seed: int = 42


def build(texts: Texts, fold: int, settings: Injected, folder: Path) -> Path:
    """Make the corpus of a fold unless it is there: `conversations/`, `splits.json` and, with such kinds, `held-out/`.

    Raises:
        ValueError: too few hosts or sources, or a corpus with other settings is there.
    """
    record = json.dumps(asdict(settings) | {"fold": fold}, indent=1)
    done = folder / "settings.json"  # written last
    if done.is_file():
        if done.read_text(encoding="utf-8") != record:
            raise ValueError(f"{folder} was made with other settings; give another --output, or remove it")
        return folder
    short = [host for host in blocks(texts.hosts, settings.host_messages) if len(host.messages) >= _LONGEST]
    splits = fold_of(short, fold, settings.num_folds, settings.gap)
    anomalous, foreign = (_shared_out(sources, settings.seed + fold) for sources in (texts.positives, texts.harmless))
    parts: list[ModifiedConversation] = []
    for number, (name, indices) in enumerate(splits._asdict().items()):
        training = name == "train"
        with_harmless = settings.harmless_in_training or name == "test"
        parts += inserted(
            [short[index] for index in indices],
            anomalous[number],
            foreign[number] if with_harmless else [],
            settings.train_share if training else settings.share,
            settings.seed + fold,
        )
    write_modified(parts, _emptied(folder / CONVERSATIONS))
    written = [part.conversation for part in parts]
    bounds = np.cumsum([0, *map(len, splits)]).tolist()
    save(Splits(*(list(range(*pair)) for pair in pairwise(bounds))), written, folder / SPLITS)
    if texts.held_out:
        unused = [source for source in foreign[2] if source.id not in _sources_in(written)]
        test = [short[index] for index in splits.test]
        write_modified(
            inserted(test, texts.held_out, unused, settings.share, settings.seed + fold), _emptied(folder / HELD_OUT)
        )
    done.write_text(record, encoding="utf-8")
    return folder


def inserted(
    hosts: Sequence[Conversation], positives: Sequence[Source], harmless: Sequence[Source], share: float, seed: int
) -> list[ModifiedConversation]:
    """The hosts with `share` anomalous and as many harmless insertions each: above 1 in rounds, with new sources."""
    rounds = max(1, math.ceil(share))
    current = list(hosts)
    for number in range(rounds):
        modified = inject(
            current,
            positives[number::rounds],
            harmless[number::rounds],
            share=share / rounds,
            harmless_share=share / rounds if harmless else 0.0,
            both_share=1.0 if share / rounds > 0.5 else 0.0,  # else no host is left for the harmless ones
            most=_LONGEST,
            seed=seed + number,
        )
        current = [item.conversation for item in modified]
    return modified


def _shared_out(sources: Sequence[Source], seed: int) -> list[list[Source]]:
    """Sources of training, validation and test, of every kind the same share."""
    parts: list[list[Source]] = [[], [], []]
    for kind in sorted({source.kind for source in sources}):
        of_kind = [source for source in sources if source.kind == kind]
        order = np.random.default_rng(seed).permutation(len(of_kind)).tolist()
        first, second = (round(sum(_SHARES[: number + 1]) * len(order)) for number in range(2))
        for part, places in zip(parts, (order[:first], order[first:second], order[second:]), strict=True):
            part += [of_kind[place] for place in places]
    order = np.random.default_rng(seed)
    return [[part[place] for place in order.permutation(len(part)).tolist()] for part in parts]


def _sources_in(conversations: Sequence[Conversation]) -> set[str | None]:
    return {message.source for conversation in conversations for message in conversation.messages}


def _emptied(folder: Path) -> Path:
    """The folder without what an interrupted call left in it."""
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
    return folder
