"""Conversations that may not be in two parts of a split: equal ones, nearly equal ones, and those that share a source.

In the earlier work and in collected data alike, copies are what makes a test easy: a part of it has been learned by
heart.
"""

from collections.abc import Iterable, Iterator, Sequence

from electra_lab.data.conversation import Conversation
from electra_lab.data.near_duplicates import near_duplicates
from electra_lab.data.text import for_model


def related(conversations: Sequence[Conversation]) -> list[int]:
    """Number of each conversation's group: the index of the first conversation in it.

    Related are, also by way of a third: conversations whose texts share 80 % of their character 5-grams, however they
    are encoded and whoever is said to write, and conversations with messages inserted from the same source.
    """
    first = list(range(len(conversations)))
    texts = [text_of(conversation) for conversation in conversations]
    for pairs in (near_duplicates(texts), _share_source(conversations)):
        _join(first, pairs)
    return [_first(first, index) for index in range(len(conversations))]


def text_of(conversation: Conversation) -> str:
    """All messages as the model reads them, one a line."""
    return for_model("\n".join(message.text.strip() for message in conversation.messages))


def _share_source(conversations: Sequence[Conversation]) -> Iterator[tuple[int, int]]:
    holder: dict[str, int] = {}
    for index, conversation in enumerate(conversations):
        for source in {message.source for message in conversation.messages if message.source is not None}:
            yield holder.setdefault(source, index), index


def _join(first: list[int], pairs: Iterable[tuple[int, int]]) -> None:
    """Make groups that a pair connects one: a disjoint-set forest, in place."""
    for pair in pairs:
        low, high = sorted(_first(first, index) for index in pair)
        first[high] = low


def _first(first: list[int], index: int) -> int:
    while first[index] != index:
        first[index] = first[first[index]]  # halves the path for the next time
        index = first[index]
    return index
