"""Small changes to a training window; what the messages are labelled is not known here, so nothing can depend on it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from electra_lab.data.encoding import MARKS_PER_MESSAGE, Ids

KINDS = ("shuffle", "drop", "duplicate", "mask")

BLOCK = 3  # messages that may change places among themselves
KEPT = 3  # messages that stay in any case
MESSAGE_SHARE = 0.2  # of the messages are dropped or said twice
WORD_SHARE = 0.15  # of the words are masked


def augmented(
    message_ids: Sequence[Ids],
    rng: np.random.Generator,
    mask_token_id: int,
    starts_word: NDArray[np.bool_],
    budget: int,
) -> tuple[list[int], list[Ids]]:
    """A window with one of the `KINDS` of change, each as likely.

    Args:
        message_ids: tokens of the window's messages, without marks.
        rng: where chance comes from.
        mask_token_id: what stands for a masked token.
        starts_word: (vocabulary,) from `starts_of_words`.
        budget: tokens that the messages and their marks may take.

    Returns:
        For each message of the new window, which of the old ones it is (its label, speaker and number follow), and
        its tokens.
    """
    kind = KINDS[rng.integers(len(KINDS))]
    messages = list(range(len(message_ids)))
    if kind == "mask":
        return messages, with_masked_words(message_ids, rng, mask_token_id, starts_word)
    if kind == "shuffle":
        messages = shuffled_in_blocks(len(message_ids), rng)
    elif kind == "drop":
        messages = with_some_dropped(len(message_ids), rng)
    else:
        messages = with_some_twice([len(ids) + MARKS_PER_MESSAGE for ids in message_ids], rng, budget)
    return messages, [message_ids[message] for message in messages]


def shuffled_in_blocks(num_messages: int, rng: np.random.Generator) -> list[int]:
    """The messages, those of each block of three in any order."""
    blocks = (np.arange(start, min(start + BLOCK, num_messages)) for start in range(0, num_messages, BLOCK))
    return [int(message) for block in blocks for message in rng.permutation(block)]


def with_some_dropped(num_messages: int, rng: np.random.Generator) -> list[int]:
    """The messages without a fifth of them, but never fewer than three (or than there were)."""
    num_dropped = max(0, min(_share(num_messages), num_messages - KEPT))
    dropped = set(rng.permutation(num_messages)[:num_dropped].tolist())
    return [message for message in range(num_messages) if message not in dropped]


def with_some_twice(lengths: Sequence[int], rng: np.random.Generator, budget: int) -> list[int]:
    """The messages, a fifth of them said twice in a row, as far as the budget allows."""
    total = sum(lengths)
    twice = set()
    for message in rng.permutation(len(lengths))[: _share(len(lengths))].tolist():
        if total + lengths[message] <= budget:
            twice.add(message)
            total += lengths[message]
    return [message for message in range(len(lengths)) for _ in range(1 + (message in twice))]


def with_masked_words(
    message_ids: Sequence[Ids], rng: np.random.Generator, mask_token_id: int, starts_word: NDArray[np.bool_]
) -> list[Ids]:
    """The messages with 15 % of the window's words masked, every piece of a word."""
    ids = np.concatenate(message_ids)
    starts = starts_word[ids]
    edges = np.cumsum([len(message) for message in message_ids])
    starts[np.array([0, *edges[:-1]])[[len(message) > 0 for message in message_ids]]] = True
    word_of_token = np.cumsum(starts) - 1
    num_words = int(starts.sum())
    chosen = rng.permutation(num_words)[: max(1, round(WORD_SHARE * num_words))]
    masked = np.where(np.isin(word_of_token, chosen), mask_token_id, ids)
    return np.split(masked, edges[:-1])


def _share(num_messages: int) -> int:
    return max(1, int(MESSAGE_SHARE * num_messages))
