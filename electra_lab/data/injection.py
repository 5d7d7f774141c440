"""Raw conversations -> labelled ones by inserting foreign messages: the verb `modify` with `--sources`.

A detector that learns on insertions may learn what is foreign instead of what is anomalous. So every insertion of an
anomalous text is matched by one of a harmless text, of as many messages, put in the same way: by construction only
what is said tells them apart.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from electra_lab.data import chance
from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.modified_writer import ModifiedConversation
from electra_lab.data.sources import Source

PLACEMENTS = ("together", "scattered", "mixed")
_CHOICE_OF_HOSTS, _POSITIVES, _HARMLESS, _IN_HOST = range(4)  # streams of chance

_logger = logging.getLogger(__name__)


class Insertion(NamedTuple):
    """A run of a source's messages, and how they are put into a host."""

    source: Source
    label: int
    pair: int  # an anomalous and a harmless one of the same pair are put in alike
    size: int  # messages
    is_together: bool  # one after the other; else scattered over the host, in order


def inject(
    conversations: Iterable[Conversation],
    positives: Sequence[Source],
    harmless: Sequence[Source],
    share: float = 0.15,
    harmless_share: float | None = None,
    both_share: float = 0.0,
    most: int = 4,
    placement: str = "mixed",
    seed: int = 0,
) -> list[ModifiedConversation]:
    """Every conversation, some of them with messages of a foreign text; the same arguments give the same result.

    Messages of the hosts keep their labels, 0 where they have none. An inserted message has one of the host's speakers
    and the time of the message before it. Every source is used at most once.

    Args:
        conversations: The hosts; those of fewer than `most` messages get no insertion.
        positives: Anomalous texts.
        harmless: Texts that are as foreign, but harmless (hard negatives).
        share: Share of the conversations that get an anomalous insertion.
        harmless_share: Share of them that get a harmless one; None: as many as get an anomalous one.
        both_share: Share of the harmless insertions that go to a host with an anomalous one.
        most: Messages of an insertion, at most; how many is drawn, each number as likely.
        placement: "together", "scattered" or "mixed" (either, drawn).
        seed: The same seed makes the same choices.

    Raises:
        ValueError: an option out of its range; too few conversations or sources, and how many are needed.
    """
    if placement not in PLACEMENTS:
        raise ValueError(f"no placement is called {placement!r}; there are {', '.join(PLACEMENTS)}")
    if not (0 < share <= 1 and 0 <= both_share <= 1 and most >= 1):
        raise ValueError(f"share {share} and both_share {both_share} must be in 0..1, share and most {most} above 0")
    if both := {source.id for source in positives} & {source.id for source in harmless}:
        raise ValueError(f"the source {min(both)} is both anomalous and harmless")
    hosts = list(conversations)
    num_positive = round(share * len(hosts))
    if not num_positive:
        raise ValueError(
            f"a share of {share} of {len(hosts)} conversations is none: give more of them, or a larger share"
        )
    num_harmless = num_positive if harmless_share is None else round(harmless_share * len(hosts))
    if not num_harmless:
        _logger.warning("no harmless insertions: what is foreign is anomalous, and a detector will learn just that")
    insertions = _positive(positives, num_positive, most, placement, seed)
    insertions += _matched(harmless, insertions, num_harmless, seed)
    of_host: defaultdict[int, list[Insertion]] = defaultdict(list)
    for index, insertion in zip(
        _hosts(hosts, num_positive, num_harmless, round(both_share * num_harmless), most, seed), insertions, strict=True
    ):
        of_host[index].append(insertion)
    return [_modified(host, of_host[index], seed) for index, host in enumerate(hosts)]


def blocks(conversations: Iterable[Conversation], size: int) -> list[Conversation]:
    """Long conversations cut into ones of `size` messages, `ID.1`, `ID.2`, ...: neighbours that continue each other.

    A rest of less than half a block stays with the block before it. With ten blocks or more, the first is `ID.01`.

    Raises:
        ValueError: a size below 1.
    """
    if size < 1:
        raise ValueError(f"a block must have at least 1 message, not {size}")
    cut = []
    for conversation in conversations:
        whole, rest = divmod(len(conversation.messages), size)
        number = whole + (2 * rest >= size)
        if number < 2:
            cut.append(conversation)
            continue
        bounds = [*range(0, number * size, size), len(conversation.messages)]
        for block in range(number):
            identity = f"{conversation.id}.{block + 1:0{len(str(number))}}"  # files in a folder are read by name
            messages = conversation.messages[bounds[block] : bounds[block + 1]]
            cut.append(replace(conversation, id=identity, messages=messages))
    return cut


def _positive(sources: Sequence[Source], number: int, most: int, placement: str, seed: int) -> list[Insertion]:
    """Insertions of drawn sources: as many messages as drawn, of those that the source has."""
    if number > len(sources):
        raise ValueError(f"{number} anomalous insertions need as many different sources; there are {len(sources)}")
    rng = chance.generator(seed, _POSITIVES)
    insertions = []
    for pair, place in enumerate(rng.permutation(len(sources))[:number].tolist()):
        size = 1 + int(rng.integers(min(most, len(sources[place].messages))))
        is_together = placement == "together" or (placement == "mixed" and bool(rng.integers(2)))
        insertions.append(Insertion(sources[place], 1, pair, size, is_together))
    return insertions


def _matched(sources: Sequence[Source], like: list[Insertion], number: int, seed: int) -> list[Insertion]:
    """Harmless insertions that look like the given ones, in turn."""
    looks = [like[place % len(like)] for place in range(number)] if like else []
    order = chance.generator(seed, _HARMLESS).permutation(len(sources)).tolist()
    insertions: dict[int, Insertion] = {}
    for place in sorted(range(len(looks)), key=lambda place: -looks[place].size):  # what few sources can serve first
        size = looks[place].size
        fitting = next((index for index in order if len(sources[index].messages) >= size), None)
        if fitting is None:
            needed = sum(look.size >= size for look in looks)
            there = sum(len(source.messages) >= size for source in sources)
            raise ValueError(
                f"{len(looks)} harmless insertions need as many different sources, {needed} of them with {size} or "
                f"more messages; there are {len(sources)}, {there} of them so long"
            )
        order.remove(fitting)
        insertions[place] = looks[place]._replace(source=sources[fitting], label=0)
    return [insertions[place] for place in range(len(looks))]


def _hosts(
    conversations: list[Conversation], num_positive: int, num_harmless: int, num_both: int, most: int, seed: int
) -> list[int]:
    """Drawn hosts of the positive insertions and then of the harmless ones."""
    num_both = min(num_both, num_positive)
    able = [index for index, conversation in enumerate(conversations) if len(conversation.messages) >= most]
    if num_positive + num_harmless - num_both > len(able):
        raise ValueError(
            f"{num_positive} anomalous and {num_harmless} harmless insertions need "
            f"{num_positive + num_harmless - num_both} conversations of {most} or more messages; there are {len(able)}"
        )
    order = [able[place] for place in chance.generator(seed, _CHOICE_OF_HOSTS).permutation(len(able)).tolist()]
    positive, others = order[:num_positive], order[num_positive:]
    return positive + (positive[1:] + positive[:1])[:num_both] + others[: num_harmless - num_both]


def _modified(host: Conversation, insertions: list[Insertion], seed: int) -> ModifiedConversation:
    """The host with its insertions; what is drawn for one depends on its pair, not on its label."""
    after: defaultdict[int, list[Message]] = defaultdict(list)  # number of a message of the host -> what follows it
    for insertion in insertions:
        source = insertion.source
        rng = chance.generator(seed, _IN_HOST, insertion.pair)
        places = _places(insertion, len(host.messages), rng)
        speakers = _speakers(host, places[0], insertion.size, rng)
        first = int(rng.integers(len(source.messages) - insertion.size + 1))
        texts = source.messages[first : first + insertion.size]
        for place, speaker, text in zip(places, speakers, texts, strict=True):
            time = host.messages[place].time
            after[place].append(Message(text, speaker, insertion.label, time, source.id, source.kind))
    messages: list[Message] = []
    for place, message in enumerate(host.messages):
        messages += [replace(message, label=message.label or 0), *after[place]]
    provenance: dict[str, object] = {
        "kind": "injection",
        "seed": seed,
        "insertions": [
            {
                "source": insertion.source.id,
                "kind": insertion.source.kind,
                "label": insertion.label,
                "placement": "together" if insertion.is_together else "scattered",
                "places": [place for place, message in enumerate(messages) if message.source == insertion.source.id],
            }
            for insertion in insertions
        ],
    }
    return ModifiedConversation(replace(host, messages=tuple(messages)), ((),) * len(messages), provenance)


def _places(insertion: Insertion, num_messages: int, rng: np.random.Generator) -> list[int]:
    """After which message of the host each inserted one comes, in order: the same parts of a host of any length."""
    size = insertion.size
    parts = np.sort(rng.random(size))
    if insertion.is_together:
        return [int(rng.random() * num_messages)] * size
    return [int(part * (num_messages - size + 1)) + place for place, part in enumerate(parts.tolist())]


def _speakers(host: Conversation, place: int, size: int, rng: np.random.Generator) -> list[str | None]:
    """Who says the inserted messages: one goes on as the speaker before, several go turn by turn, either one first."""
    speakers = [message.speaker for message in host.messages]
    before = speakers[place]
    nearest = [speaker for speaker in [*reversed(speakers[:place]), *speakers[place:]] if speaker != before]
    turns = [before, *nearest[:1]]
    start = int(rng.integers(2)) if size > 1 else 0
    return [turns[(start + turn) % len(turns)] for turn in range(size)]
