"""Figures of scores against labels, for one or for many weightings of the conversations at once.

A bootstrap over conversations draws such weights, so that scores are sorted once and a draw is a cumulative sum.
n scores, C conversations, D weightings.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FIGURES = ("average_precision", "auroc", "recall_at_fpr_1", "f1")
_ALLOWED_FPR = 0.01
_AT_ONCE = 200_000  # weights of a chunk of draws; bounds the memory


class Ranking(NamedTuple):
    """Scores from the highest to the lowest; the P positives among them stand in K groups of equal scores."""

    conversations: Integers  # (n,) 0..C-1
    positives: Integers  # (P,) places of the positives
    starts: Integers  # (K,) first place of each group that holds a positive
    ends: Integers  # (K,) one past its last
    found: Integers  # (K,) positives down to there
    num_alarms: int  # how many of all are at or above the threshold


def ranking(scores: ArrayLike, labels: ArrayLike, conversations: ArrayLike, threshold: float = 0.5) -> Ranking:
    """Sort (n,) scores with their (n,) labels 0 or 1 and conversations."""
    scores = np.asarray(scores, np.float64)
    order = np.argsort(-scores, kind="stable")
    falling = -scores[order]
    positives = np.flatnonzero(np.asarray(labels)[order] == 1)
    groups = np.unique(falling[positives])
    starts, ends = (np.searchsorted(falling, groups, side=side) for side in ("left", "right"))
    found = np.searchsorted(positives, ends)
    return Ranking(np.asarray(conversations)[order], positives, starts, ends, found, int((scores >= threshold).sum()))


def figures(ranked: Ranking, weights: Integers) -> dict[str, Floats]:
    """Each of FIGURES, (D,), where conversation c counts `weights[d, c]` times; NaN where a class is missing.

    Average precision is the step-wise sum of precision over recall, and AUROC takes two equal scores as half right, as
    in scikit-learn; `recall_at_fpr_1` is the highest recall with at most 1 % of the negatives above the cut.
    """
    chunks = list(_chunks(ranked, weights))
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in FIGURES}


def bootstrap_weights(num_conversations: int, number: int, seed: int) -> Integers:
    """How often each conversation comes in each of `number` bootstrap samples, (number, C)."""
    random = np.random.default_rng(seed)
    return random.multinomial(num_conversations, np.full(num_conversations, 1 / num_conversations), size=number)


def interval(values: Floats) -> list[float] | None:
    """The middle 95 % of bootstrap values; those of samples with one class only say nothing."""
    defined = values[~np.isnan(values)]
    return np.quantile(defined, [0.025, 0.975]).tolist() if len(defined) else None


def _chunks(ranked: Ranking, weights: Integers) -> Iterator[dict[str, Floats]]:
    size = max(1, _AT_ONCE // max(1, len(ranked.conversations)))
    for first in range(0, len(weights), size):
        yield _figures(ranked, weights[first : first + size])


def _figures(ranked: Ranking, weights: Integers) -> dict[str, Floats]:
    counts = weights[:, ranked.conversations]  # (d, n)
    above, hits = _running(counts), _running(counts[:, ranked.positives])  # (d, n + 1) and (d, P + 1)
    num_positive = hits[:, -1]  # (d,)
    num_negative = above[:, -1] - num_positive
    right = hits[:, ranked.found]  # (d, K) down to each group, itself included
    wrong = above[:, ranked.ends] - right
    more = np.diff(right, axis=1, prepend=0)
    wrong_before = above[:, ranked.starts] - (right - more)
    allowed = wrong <= _ALLOWED_FPR * num_negative[:, None]
    alarms, right_alarms = above[:, ranked.num_alarms], hits[:, np.searchsorted(ranked.positives, ranked.num_alarms)]
    with np.errstate(divide="ignore", invalid="ignore"):
        in_order = (more * (num_negative[:, None] - (wrong + wrong_before) / 2)).sum(1)  # pairs, equal ones half
        values = {
            "average_precision": (more * right / np.maximum(right + wrong, 1)).sum(1) / num_positive,
            "auroc": in_order / (num_positive * num_negative),
            "recall_at_fpr_1": np.where(allowed, right, 0).max(1, initial=0) / num_positive,
            "f1": 2 * right_alarms / (alarms + num_positive),
        }
    both = (num_positive > 0) & (num_negative > 0)
    return {name: np.where(both, value, np.nan) for name, value in values.items()}


def _running(counts: Integers) -> Integers:
    """Sums of the first 0, 1, ... of each row."""
    sums = np.zeros((len(counts), counts.shape[1] + 1), np.int64)
    np.cumsum(counts, axis=1, out=sums[:, 1:])
    return sums
