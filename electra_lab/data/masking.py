"""Which positions are masked: a pure function of (seed, epoch, example), drawn for a whole batch at once."""

import numpy as np
from numpy.typing import NDArray

from electra_lab.data.chance import uniform

KEEP_PROBABILITY = 0.15  # of the chosen tokens stay as they are; none becomes random (pretrain_helpers.py:201-202)
_CHOOSE, _KEEP = 0, 1  # so that the two draws for one position differ


def max_masked(max_length: int, probability: float) -> int:
    """Slots for chosen positions in an example (configure_pretraining.py:106): 19 of 128, 79 or 130 of 512."""
    return max(1, int((probability + 0.005) * max_length))


def num_masked(lengths: NDArray[np.int64], max_length: int, probability: float) -> NDArray[np.int64]:
    """How many positions are chosen in examples of these lengths, [CLS] and [SEP] included in the length.

    Rounded half to even like `tf.round` (pretrain_helpers.py:173-176); never more than there are text tokens.
    """
    wanted = np.rint(lengths.astype(np.float32) * np.float32(probability)).astype(np.int64)
    return np.clip(wanted, 1, max_masked(max_length, probability))


def choose_positions(
    candidates: NDArray[np.bool_],
    counts: NDArray[np.int64],
    num_slots: int,
    seed: int,
    epoch: int,
    examples: NDArray,
    words: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Positions to predict, without replacement.

    With `words`, words are drawn instead of tokens, and the tokens of each follow one another until the count is
    reached: of the last word drawn perhaps only the first pieces. The count stays that of single tokens, because the
    losses are divided by it; which tokens are hidden and which are kept is still drawn for each.

    Args:
        candidates: (B, L) whether a token may be chosen: text, never [CLS], [SEP] or [PAD].
        counts: (B,) positions to choose.
        num_slots: N, the fixed width of the result.
        seed: of the run.
        epoch: masks are new in every epoch.
        examples: (B,) ids of the examples.
        words: (B, L) column of the first token of each token's word (`words.first_of_word`). If not given, every
            token is a word.

    Returns:
        positions (B, N), 0 in unused slots; weights (B, N), 1 chosen, 0 unused; and whether the token there is
        hidden behind [MASK] (B, N) or kept.
    """
    rows = examples[:, None]
    columns = np.arange(candidates.shape[1])[None]
    words = columns if words is None else words
    priority = np.where(candidates, uniform(seed, epoch, rows, words, _CHOOSE), 2.0)  # (B, L), equal within a word
    positions = np.argsort(priority, axis=1, kind="stable")[:, :num_slots]
    counts = np.minimum(counts, candidates.sum(axis=1))
    chosen = np.arange(num_slots)[None] < counts[:, None]
    positions = np.where(chosen, positions, 0)
    hidden = chosen & (uniform(seed, epoch, rows, positions, _KEEP) >= KEEP_PROBABILITY)
    return positions, chosen.astype(np.float32), hidden
