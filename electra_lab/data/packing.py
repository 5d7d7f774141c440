"""The example index: which run of tokens becomes which `[CLS] A [SEP] B [SEP]`.

The published builder (google-research/electra build_pretraining_dataset.py:44-95) with one difference: what does not
fit into an example begins the next one instead of being thrown away, so no token is lost. Segments stay in the order
of the text.
"""

import random

import numpy as np
from numpy.typing import NDArray

SINGLE_SEGMENT = 0.1  # of the examples have no B (:60)
SHORT_EXAMPLE = 0.05  # have a random target length (:88-93)
MIN_TARGET = 5  # the shortest such target


def pack_examples(
    line_offsets: NDArray[np.int64], document_offsets: NDArray[np.int64], max_length: int, seed: int
) -> NDArray[np.int64]:
    """Cut documents into examples.

    Args:
        line_offsets: (lines + 1,) token at which each line starts; the last is the number of tokens.
        document_offsets: (documents + 1,) line at which each document starts; the last is the number of lines.
        max_length: tokens of an example with its [CLS] and [SEP].
        seed: for the choice of segments and short examples.

    Returns:
        (examples, 3): token at which A starts, B starts, B ends; without B the last two are equal. Examples follow
        each other without gap or overlap.
    """
    builder = _Builder(max_length, random.Random(seed))
    for first_line, last_line in zip(document_offsets[:-1].tolist(), document_offsets[1:].tolist(), strict=True):
        builder.add_document(line_offsets[first_line : last_line + 1].tolist())
    return np.asarray(builder.examples, dtype=np.int64).reshape(-1, 3)


class _Builder:
    def __init__(self, max_length: int, chance: random.Random) -> None:
        self.max_length = max_length
        self.chance = chance
        self.target = max_length
        self.examples: list[tuple[int, int, int]] = []

    def add_document(self, bounds: list[int]) -> None:
        """Cut the lines between these bounds."""
        start, ends = bounds[0], list[int]()  # ends of the lines collected since `start`
        for end in bounds[1:]:
            ends.append(end)
            while ends and ends[-1] - start >= self.target:
                start, ends = self._cut(start, ends)
        while ends and ends[-1] > start:
            start, ends = self._cut(start, ends)

    def _cut(self, start: int, ends: list[int]) -> tuple[int, list[int]]:
        split = self._split(start, ends)
        room = self.max_length - 3  # [CLS] A [SEP] B [SEP]
        if split - start >= room or split == ends[-1]:  # no room for B, or none to come: [CLS] A [SEP]
            end = split = min(split, start + self.max_length - 2)
        else:
            end = min(ends[-1], start + room)
        self.examples.append((start, split, end))
        short = self.chance.random() < SHORT_EXAMPLE
        self.target = self.chance.randint(MIN_TARGET, self.max_length) if short else self.max_length
        return end, [line_end for line_end in ends if line_end > end]

    def _split(self, start: int, ends: list[int]) -> int:
        """Where A ends: lines go to A until it is about half full, and then, half the time, one more (:65-76)."""
        if self.chance.random() < SINGLE_SEGMENT:
            return ends[-1]
        half = (self.target - 3) // 2
        split = ends[0]
        for end in ends[1:]:
            if end - start < half or (split - start < half and self.chance.random() < 0.5):
                split = end
            else:
                break
        return split
