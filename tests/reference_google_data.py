"""What the published code feeds its model: the example builder and the choice of masked positions, without tensors.

Read from https://github.com/google-research/electra (file:line beside each function) and written anew; chance is
handed in. The model itself is in `tests/reference_google.py`.
"""

import random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Sentence = list[int]  # token ids


class Example(NamedTuple):
    """The two segments between `[CLS]`, `[SEP]` and `[SEP]`; the second may be empty."""

    first: list[int]
    second: list[int]


def build_examples(documents: list[list[Sentence]], max_length: int, chance: random.Random) -> list[Example]:
    """Examples of documents given as lists of sentences, build_pretraining_dataset.py:44-95.

    Sentences are collected until they have the target length, at first `max_length`; what is collected at the end of
    a document becomes an example too. A twentieth of the examples is followed by one of a random target (:88-93).
    """
    examples: list[Example] = []
    target = max_length
    for document in documents:
        waiting: list[Sentence] = []
        for number, sentence in enumerate(document, start=1):
            waiting.append(sentence)
            if sum(map(len, waiting)) < target and number < len(document):
                continue
            examples.append(cut(waiting, target, max_length, chance))
            waiting = []
            target = chance.randint(5, max_length) if chance.random() < 0.05 else max_length
    return examples


def cut(sentences: list[Sentence], target: int, max_length: int, chance: random.Random) -> Example:
    """One example; what does not fit is thrown away, :57-82.

    A sentence goes to the first segment if that is empty, or stays short of half the target with it, or, while the
    second segment is empty and the first is short, by the toss of a coin. A later short sentence may so land in the
    first segment behind a longer one in the second.
    """
    half = 100_000 if chance.random() < 0.1 else (target - 3) // 2
    first: list[int] = []
    second: list[int] = []
    for sentence in sentences:
        fits = not first or len(first) + len(sentence) < half
        if fits or (not second and len(first) < half and chance.random() < 0.5):
            first = first + sentence
        else:
            second = second + sentence
    first = first[: max_length - 2]
    return Example(first, second[: max(0, max_length - len(first) - 3)])


def draw_positions(
    candidates: NDArray[np.bool_], counts: NDArray[np.int64], num_slots: int, chance: np.random.Generator
) -> NDArray[np.int64]:
    """Masked positions (B, N), 0 in unused slots, *with* replacement; pretrain/pretrain_helpers.py:182-191."""
    drawn = np.stack([chance.choice(np.flatnonzero(row), num_slots) for row in candidates])
    return np.where(np.arange(num_slots)[None] < counts[:, None], drawn, 0)
