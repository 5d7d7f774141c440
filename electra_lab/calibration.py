"""From logits to probabilities and decisions: temperature and threshold, chosen on validation data, never on the test.

numpy in float64; n scores or logits with their labels, 0 or 1.
"""

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

UNDECIDED = 0.5  # the threshold where the labels cannot say anything better
_SMALLEST, _LARGEST = 0.05, 20.0  # temperatures
_NUM_BINS = 15
_LIMIT = re.compile(r"(fpr<=|precision>=)(\d*\.?\d+)")


class Calibration(NamedTuple):
    """What one level needs to turn logits into a decision."""

    temperature: float = 1.0  # logits are divided by it
    threshold: float = UNDECIDED  # an alarm from there on (>=)
    review: float = UNDECIDED  # worth a look from there on; never above the threshold
    is_met: bool = True  # False: no threshold is known to keep the policy and to find anything


def check_policy(policy: str) -> None:
    """Raises ValueError unless the policy is one of `threshold`."""
    limit = _LIMIT.fullmatch(policy)
    if policy not in _BETA and not (limit and 0 <= float(limit[2]) <= 1):
        raise ValueError(
            f"there is no threshold policy {policy!r}; known are {', '.join(_BETA)}, fpr<=X and precision>=X "
            "with X between 0 and 1, such as fpr<=0.01"
        )


def threshold(policy: str, scores: ArrayLike, labels: ArrayLike) -> float:
    """The threshold that a policy chooses when a score counts as an alarm from the threshold on (>=).

    `max_f1` and `max_f2` maximise F1 and F2; `fpr<=X` finds as much as it can with at most that share of false alarms
    among the negatives, `precision>=X` with at least that share of right ones among the alarms. The threshold lies
    half-way to the next lower score (half-way to 0 below the lowest), so that rounding between devices moves no
    decision. Equal scores are never torn apart; of equally good thresholds the highest wins, which raises the fewest
    alarms. With one class only there is nothing to choose: .5. Where no alarm keeps the policy, or none of those that
    do is right, the threshold is above every score: see `is_met`.

    Args:
        policy: one of the four.
        scores: (n,) probabilities.
        labels: (n,) 0 or 1.

    Raises:
        ValueError: there is no such policy.
    """
    check_policy(policy)
    scores, positives = np.asarray(scores, np.float64), np.asarray(labels) == 1
    num, num_positive = len(scores), int(positives.sum())
    if num_positive in (0, num):
        return UNDECIDED
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    cuts = np.append(np.flatnonzero(scores[1:] < scores[:-1]), num - 1)  # the last of each group of equal scores
    alarms = cuts + 1
    hits = positives[order].cumsum()[cuts]
    quality = _quality(policy, hits, alarms, num_positive, num)
    best = int(quality.argmax())  # the first of the highest
    if quality[best] <= 0:
        highest = scores[0]
        return float((highest + 1) / 2 if highest < (highest + 1) / 2 else np.nextafter(highest, np.inf))
    at, below = scores[cuts[best]], scores[cuts[best] + 1] if alarms[best] < num else 0.0
    half_way = (at + below) / 2
    return float(half_way if half_way > below else at)  # no number lies between two neighbours


def is_met(policy: str, scores: ArrayLike, labels: ArrayLike, threshold: float) -> bool:
    """Whether a threshold keeps the limit of its policy and still raises a right alarm; without a limit always."""
    scores, positives = np.asarray(scores, np.float64), np.asarray(labels) == 1
    num, num_positive = len(positives), int(positives.sum())
    if policy in _BETA or num_positive in (0, num):
        return policy in _BETA
    alarms = scores >= threshold
    quality = _quality(policy, np.array([(alarms & positives).sum()]), np.array([alarms.sum()]), num_positive, num)
    return bool(quality[0] > 0)


def temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature T in [.05, 20] for which sigmoid(logit / T) has the lowest negative log-likelihood.

    The labels are softened by one made-up case of each class, as in Platt (1999, section 2.2), so that a few
    validation conversations told apart without a mistake do not make the scores certain. With one class only: 1.

    Args:
        logits: (n,) of the positive class against the other, or (n, 2) of both.
        labels: (n,) 0 or 1.
    """
    values, positives = np.asarray(logits, np.float64), np.asarray(labels) == 1
    margins = values[:, 1] - values[:, 0] if values.ndim == 2 else values
    num_positive = int(positives.sum())
    num_negative = len(positives) - num_positive
    if not num_positive or not num_negative:
        return 1.0
    targets = np.where(positives, (num_positive + 1) / (num_positive + 2), 1 / (num_negative + 2))
    low, high = np.log(_SMALLEST), np.log(_LARGEST)
    for _ in range(50):  # the likelihood is concave in 1 / T: its slope changes sign once
        middle = (low + high) / 2
        too_sharp = np.mean(margins * (sigmoid(margins * np.exp(-middle)) - targets)) > 0
        low, high = (middle, high) if too_sharp else (low, middle)
    return float(np.exp((low + high) / 2))


def calibrated(policy: str, logits: ArrayLike, labels: ArrayLike, review_policy: str = "max_f2") -> Calibration:
    """Temperature and thresholds of one level from its validation logits (n,) and labels (n,) 0 or 1."""
    scale = temperature(logits, labels)
    scores = sigmoid(np.asarray(logits, np.float64) / scale)
    alert = threshold(policy, scores, labels)
    review = min(alert, threshold(review_policy, scores, labels))
    return Calibration(scale, alert, review, is_met(policy, scores, labels, alert))


def sigmoid(logits: ArrayLike) -> Floats:
    """Probabilities of logits of any size, in float64, where those of different logits below 36 stay different."""
    values = np.asarray(logits, np.float64)
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1, small) / (1 + small)


def logit(probabilities: ArrayLike) -> Floats:
    """The logits of probabilities; 0 and 1, which have none, become as small and as large as float64 tells apart."""
    values = np.asarray(probabilities, np.float64)
    smallest = np.finfo(np.float64).tiny
    return np.log(np.maximum(values, smallest)) - np.log(np.maximum(1 - values, np.finfo(np.float64).eps / 2))


def brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean squared distance of (n,) probabilities to (n,) labels 0 or 1; 0 is best."""
    return float(np.mean((np.asarray(probabilities, np.float64) - np.asarray(labels)) ** 2))


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean distance between probability and share of positives over 15 bins of (almost) equally many cases.

    A case counts with the share of positives among all cases of the same probability, so that the order in which
    they come says nothing.

    Args:
        probabilities: (n,).
        labels: (n,) 0 or 1.
    """
    values, groups, counts = np.unique(np.asarray(probabilities, np.float64), return_inverse=True, return_counts=True)
    shares = np.bincount(groups, np.asarray(labels)) / counts
    gaps = np.repeat(values - shares, counts)  # in the order of the probabilities
    return float(sum(abs(bin_.sum()) for bin_ in np.array_split(gaps, _NUM_BINS)) / len(gaps))


_BETA = {"max_f1": 1.0, "max_f2": 2.0}


def _quality(policy: str, hits: Labels, alarms: Labels, num_positive: int, num: int) -> Floats:
    """How good each number of right and of all alarms is; 0 or less is no better than no alarm at all."""
    if policy in _BETA:
        weight = _BETA[policy] ** 2
        return np.asarray((1 + weight) * hits / (alarms + weight * num_positive))
    limit = _LIMIT.fullmatch(policy)
    assert limit, "checked before"
    kept = (
        alarms - hits <= float(limit[2]) * (num - num_positive)
        if limit[1] == "fpr<="
        else hits >= float(limit[2]) * np.maximum(alarms, 1)
    )
    return np.where(kept, hits / num_positive, -1.0)
