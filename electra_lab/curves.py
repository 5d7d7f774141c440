"""Curves of scores against labels as numbers, for whoever draws them: no display, no text, n scores a level."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Levels = Mapping[str, tuple[NDArray[np.float64], NDArray[np.int64]]]  # level -> probabilities, labels 0 or 1, (n,) each
Rows = list[tuple[str, float, float]]  # line, x, y

AXES = {  # of each curve: x, y
    "precision_recall": ("recall", "precision"),
    "roc": ("false positive rate", "true positive rate"),
    "thresholds": ("threshold", "share"),
    "calibration": ("probability", "share anomalous"),
}
_POINTS = 200  # of a line at most
_THRESHOLDS = np.arange(101) / 100
_BINS = 15  # as `calibration.expected_calibration_error` has


def curves(levels: Levels) -> dict[str, Rows]:
    """The points of every curve in AXES, a line a level; a level with one class only has none.

    `precision_recall` and `roc` have a point for every distinct score, thinned to 200 with both ends; `thresholds` has
    precision, recall and F1 from each threshold on (>=), precision only where there is an alarm; `calibration` has the
    mean probability and the share of anomalous ones in 15 bins of (almost) equally many cases.
    """
    rows: dict[str, Rows] = {name: [] for name in AXES}
    for level, (scores, labels) in levels.items():
        positives = labels == 1
        if not 0 < positives.sum() < len(positives):
            continue
        found, alarms = _counts(scores, positives)
        recall, false_alarms = found / positives.sum(), (alarms - found) / (~positives).sum()
        rows["precision_recall"] += _line(level, recall[1:], found[1:] / alarms[1:])
        rows["roc"] += _line(level, false_alarms, recall)
        rows["thresholds"] += _sweep(level, scores, positives)
        rows["calibration"] += _bins(level, scores, positives)
    return rows


def _counts(scores: NDArray[np.float64], positives: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positives and all at or above each distinct score, the highest first; before them none."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    lasts = np.append(np.flatnonzero(falling[1:] < falling[:-1]), len(falling) - 1)
    return np.append(0, positives[order].cumsum()[lasts]), np.append(0, lasts + 1)


def _sweep(level: str, scores: NDArray[np.float64], positives: NDArray[np.bool_]) -> Rows:
    rising, hits = np.sort(scores), np.sort(scores[positives])
    alarms = len(rising) - np.searchsorted(rising, _THRESHOLDS)
    found = len(hits) - np.searchsorted(hits, _THRESHOLDS)
    raised = alarms > 0
    return [
        *_line(f"{level} precision", _THRESHOLDS[raised], found[raised] / alarms[raised]),
        *_line(f"{level} recall", _THRESHOLDS, found / len(hits)),
        *_line(f"{level} F1", _THRESHOLDS, 2 * found / (alarms + len(hits))),
    ]


def _bins(level: str, scores: NDArray[np.float64], positives: NDArray[np.bool_]) -> Rows:
    order = np.argsort(scores, kind="stable")
    bins = [places for places in np.array_split(order, _BINS) if len(places)]
    return [(level, float(scores[places].mean()), float(positives[places].mean())) for places in bins]


def _line(name: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> Rows:
    shown = np.unique(np.linspace(0, len(x) - 1, min(_POINTS, len(x))).round().astype(np.int64))
    return [(name, float(x[place]), float(y[place])) for place in shown]
