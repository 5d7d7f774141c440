"""Figures over the folds of a cross-validation, with a bootstrap over conversations within each fold.

A fold's scores come from a model of its own, so they are never ranked together: a figure is measured in each fold and
averaged. F folds, D draws.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from electra_lab.data.parts import Part
from electra_lab.evaluation import Scores, measurable
from electra_lab.ranking import bootstrap_weights, figures, interval, ranking

Floats = NDArray[np.float64]
Estimate = tuple[float, float, float]  # value, low and high end of the 95 % interval


def mean_over_folds(
    parts: Sequence[Part], scores: Sequence[Sequence[Scores]], level: str, figure: str, draws: int = 1000
) -> Estimate:
    """The mean of a figure over folds and seeds.

    Args:
        parts: test part of each fold.
        scores: for each fold those of every seed.
        level: "message", "window" or "conversation".
        figure: average_precision, auroc or recall_at_fpr_1.
        draws: of the bootstrap.
    """
    folds = enumerate(zip(parts, scores, strict=True))
    return _estimate([_drawn(number, *fold, level, figure, draws) for number, fold in folds])


def difference_over_folds(
    parts: Sequence[Part],
    first: Sequence[Sequence[Scores]],
    second: Sequence[Sequence[Scores]],
    level: str,
    figure: str = "average_precision",
    draws: int = 1000,
) -> Estimate:
    """How much better the first is than the second, both measured on the same draws of conversations (paired).

    Args:
        parts: test part of each fold.
        first: for each fold the scores of every seed.
        second: likewise; what has no seed has one.
        level: "message", "window" or "conversation".
        figure: average_precision, auroc or recall_at_fpr_1.
        draws: of the bootstrap.
    """
    folds = enumerate(zip(parts, first, second, strict=True))
    return _estimate(
        [
            _drawn(number, part, one, level, figure, draws) - _drawn(number, part, other, level, figure, draws)
            for number, (part, one, other) in folds
        ]
    )


def _drawn(number: int, part: Part, scores: Sequence[Scores], level: str, figure: str, draws: int) -> Floats:
    """The figure of fold `number`, mean over its seeds: first as it is, then of every draw, (1 + D,)."""
    size = len(part.bounds)
    weights = np.concatenate([np.ones((1, size), np.int64), bootstrap_weights(size, draws, seed=number)])
    values = []
    for of_seed in scores:
        known, labels, conversations = measurable(part, level, getattr(of_seed, level))
        values.append(figures(ranking(known, labels, conversations), weights)[figure])
    return np.mean(values, axis=0)


def _estimate(folds: Sequence[Floats]) -> Estimate:
    """Mean over the folds and its interval; a draw without both classes in a fold is left out of its mean."""
    values = np.nanmean(folds, axis=0)
    low, high = interval(values[1:]) or (np.nan, np.nan)
    return float(values[0]), low, high
