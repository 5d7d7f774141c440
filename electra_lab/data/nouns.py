"""Raw conversations -> labelled ones by exchanging nouns: the verb `modify` without `--sources`.

A coded word is a noun in the wrong place. So the nouns that a conversation is about (the highest TF-IDF) are replaced
by nouns of other conversations, and the messages that changed are labelled 1. Rarity alone gives nothing away: the
replacement is as frequent in the corpus as what it replaces, and both occur in more than one conversation.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from electra_lab.data import chance
from electra_lab.data.conversation import Conversation
from electra_lab.data.korean import COPULA, PARTICLE, VOCATIVE, Analyser, Noun, kiwi_analyser
from electra_lab.data.modified_writer import ModifiedConversation, Span
from electra_lab.data.particles import copula_after, particle_after

_PARTICLE_SHARE = 0.25  # of a noun's occurrences; measured on chat: 요즘-like words and cries below, things above
_CHOICES = 20  # how many nouns of nearest frequency a replacement is drawn from


def modify(
    conversations: Iterable[Conversation],
    share: float = 0.7,
    nouns_per_conversation: int = 3,
    words: list[str] | None = None,
    seed: int = 0,
    analyse: Analyser | None = None,
) -> Iterator[ModifiedConversation]:
    """Yield every conversation, a share of them with nouns exchanged; the same arguments give the same result.

    Args:
        conversations: The whole corpus; it is read twice, so it is held in memory.
        share: Share of the conversations that are changed.
        nouns_per_conversation: How many different nouns are exchanged in each, wherever they occur.
        words: What to put in their place; None: nouns of other conversations, of like frequency in the corpus.
        seed: The same seed makes the same choices.
        analyse: Finds the nouns; None: kiwipiepy.

    Raises:
        ValueError: A share outside 0..1, an empty list of words, or kiwipiepy is needed and not installed.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be between 0 and 1, not {share}")
    if words is not None and not words:
        raise ValueError("the list of replacement words is empty")
    corpus = list(conversations)
    find_nouns = analyse or kiwi_analyser()
    counts, with_particle = noun_counts(corpus, find_nouns)
    frequency = Frequencies(counts, with_particle)
    changed = set(chance.generator(seed).permutation(len(corpus))[: round(share * len(corpus))].tolist())
    for index, conversation in enumerate(corpus):
        exchanges: dict[str, str] = {}
        if index in changed:
            chosen = frequency.topical(counts[index], nouns_per_conversation)
            exchanges = frequency.exchanges(chosen, counts[index], words, chance.generator(seed, index))
        yield exchanged(conversation, exchanges, find_nouns, seed, frequency)


def noun_counts(conversations: Sequence[Conversation], analyse: Analyser) -> tuple[list[Counter[str]], Counter[str]]:
    """How often each noun occurs in each conversation, and in all of them with a particle, the copula or 들.

    One pass over all messages, so that the analyser can work on many at once.
    """
    counts: list[Counter[str]] = [Counter() for _ in conversations]
    with_particle: Counter[str] = Counter()
    places = (index for index, conversation in enumerate(conversations) for _ in conversation.messages)
    texts = (message.text for conversation in conversations for message in conversation.messages)
    for index, nouns in zip(places, analyse(texts), strict=True):
        counts[index].update(noun.text for noun in nouns)
        with_particle.update(noun.text for noun in nouns if noun.follows)
    return counts, with_particle


class Frequencies:
    """The nouns of a corpus: how often each occurs, in how many conversations, and which are alike in that.

    Only nouns that more than one conversation has and that take particles: interjections (옹옹), which an analyser also
    takes for nouns, seldom do.
    """

    def __init__(self, counts: Sequence[Counter[str]], with_particle: Counter[str]) -> None:
        self.num_conversations = len(counts)
        self.total: Counter[str] = Counter()
        self.conversations: Counter[str] = Counter()
        for count in counts:
            self.total.update(count)
            self.conversations.update(count.keys())
        usable = [
            noun
            for noun, number in self.conversations.items()
            if number > 1 and with_particle[noun] >= _PARTICLE_SHARE * self.total[noun]
        ]
        self._ranked = sorted(usable, key=lambda noun: (self.total[noun], noun))
        self._rank = {noun: rank for rank, noun in enumerate(self._ranked)}

    def topical(self, count: Counter[str], number: int) -> list[str]:
        """The nouns of highest TF-IDF in one conversation, of the usable ones."""

        def weight(noun: str) -> float:
            return count[noun] * math.log(self.num_conversations / self.conversations[noun])

        candidates = [noun for noun in count if noun in self._rank]
        return sorted(candidates, key=lambda noun: (-weight(noun), noun))[:number]

    def exchanges(
        self, nouns: list[str], present: Counter[str], words: list[str] | None, rng: np.random.Generator
    ) -> dict[str, str]:
        """A replacement for each noun, none of which the conversation already has; fewer where no word is left."""
        exchanges: dict[str, str] = {}
        for noun in nouns:
            taken = present.keys() | set(exchanges.values())
            choices = [word for word in words if word not in taken] if words else self._alike(noun, taken)
            if choices:
                exchanges[noun] = choices[rng.integers(len(choices))]
        return exchanges

    def _alike(self, noun: str, taken: set[str]) -> list[str]:
        """The nouns whose number of occurrences is nearest to this noun's, without those that are taken."""
        wanted = math.log(self.total[noun])
        low, high = self._rank[noun] - 1, self._rank[noun] + 1
        alike: list[str] = []

        def distance(rank: int) -> float:
            if not 0 <= rank < len(self._ranked):
                return math.inf
            return abs(math.log(self.total[self._ranked[rank]]) - wanted)

        while len(alike) < _CHOICES and (low >= 0 or high < len(self._ranked)):
            if distance(low) <= distance(high):
                nearest, low = low, low - 1
            else:
                nearest, high = high, high + 1
            if self._ranked[nearest] not in taken:
                alike.append(self._ranked[nearest])
        return alike


def exchanged(
    conversation: Conversation, exchanges: dict[str, str], analyse: Analyser, seed: int, frequency: Frequencies
) -> ModifiedConversation:
    """The conversation with these nouns exchanged wherever they stand as nouns; labels say which messages changed."""
    texts = [message.text for message in conversation.messages]
    touched = [index for index, text in enumerate(texts) if any(noun in text for noun in exchanges)]
    spans: list[tuple[Span, ...]] = [()] * len(texts)
    for index, nouns in zip(touched, analyse(texts[index] for index in touched), strict=True):
        texts[index], spans[index] = replaced(texts[index], nouns, exchanges)
    messages = tuple(
        replace(message, text=text, label=int(bool(places)))
        for message, text, places in zip(conversation.messages, texts, spans, strict=True)
    )
    used = {span.original for places in spans for span in places}
    provenance: dict[str, object] = {
        "kind": "nouns",
        "seed": seed,
        "exchanges": [
            {
                "original": noun,
                "replacement": word,
                "original_count": frequency.total[noun],
                "replacement_count": frequency.total[word],
            }
            for noun, word in exchanges.items()
            if noun in used
        ],
    }
    return ModifiedConversation(replace(conversation, messages=messages), tuple(spans), provenance)


def replaced(text: str, nouns: Sequence[Noun], exchanges: dict[str, str]) -> tuple[str, tuple[Span, ...]]:
    """The text with its nouns exchanged and their particles made right, and where the new nouns stand in it."""
    new, spans, done = "", [], 0
    for noun in nouns:
        if noun.text not in exchanges:
            continue
        word = exchanges[noun.text]
        new += text[done : noun.start]
        spans.append(Span(len(new), len(new) + len(word), noun.text, word))
        new += word
        done = noun.end
        if noun.follows in (PARTICLE, VOCATIVE):
            new += particle_after(word, noun.particle, noun.follows == VOCATIVE)
            done += len(noun.particle)
        elif noun.follows == COPULA:
            ending = re.match(r"\w*", text[noun.end :])[0]  # type: ignore[index]  # \w* always matches
            new += copula_after(word, ending)
            done += len(ending)
    return new + text[done:], tuple(spans)
