"""The one evaluator, for the detector and for what it is compared with: scores of a part -> figures with intervals.

M messages, W windows, C conversations.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from electra_lab.calibration import brier, expected_calibration_error
from electra_lab.data.parts import Part, group_labels
from electra_lab.decisions import LEVELS
from electra_lab.metrics import Collected, detection_figures
from electra_lab.ranking import FIGURES, bootstrap_weights, figures, interval, ranking

Figures = dict[str, object]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_COMPARED = tuple(name for name in FIGURES if name != "f1")  # it would need the thresholds


class Scores(NamedTuple):
    """Probabilities of being anomalous, or None where a detector says nothing; NaN is left out like no label."""

    message: Floats | None = None  # (M,)
    window: Floats | None = None  # (W,)
    conversation: Floats | None = None  # (C,)


def evaluate(
    part: Part,
    scores: Scores,
    thresholds: Mapping[str, float],
    *,
    unscaled: Scores | None = None,
    seed: int = 0,
    draws: int = 1000,
) -> dict[str, Figures]:
    """The figures of each level that has scores: those of `metrics.detection_figures`, and what only a part can tell.

    `interval` holds the 95 % of average precision, AUROC, recall at 1 % false positives and F1 (at the given
    threshold) from a bootstrap over conversations. Messages: `hit_at_1` is the share of the anomalous conversations
    whose highest message is anomalous (`chance_hit_at_1`: by guessing) and `recall_by_kind` that of each kind of
    insertion. Windows: the share of alarms among those with a harmless insertion, and among those without any
    insertion. What cannot be measured is None.

    Args:
        part: what was scored.
        scores: of the part.
        thresholds: level -> threshold, from validation data.
        unscaled: the same before temperature scaling, for `ece_unscaled` and `brier_unscaled`.
        seed: of the bootstrap.
        draws: of the bootstrap.
    """
    evaluated = {}
    for level in LEVELS:
        values = getattr(scores, level)
        if values is None:
            continue
        threshold = float(thresholds[level])
        known, labels, conversations = measurable(part, level, values)
        found: Figures = dict(detection_figures(known, labels, threshold))
        before = None if unscaled is None else getattr(unscaled, level)
        if before is not None and len(known):
            before = measurable(part, level, before)[0]
            found["ece_unscaled"] = expected_calibration_error(before, labels)
            found["brier_unscaled"] = brier(before, labels)
        if level == "message":
            found |= _of_messages(part, values, threshold)
        elif level == "window":
            found |= _of_windows(part, values, threshold)
        if found["f1"] is not None:
            ranked = ranking(known, labels, conversations, threshold)
            drawn = figures(ranked, bootstrap_weights(len(part.bounds), draws, seed))
            found["interval"] = {name: interval(drawn[name]) for name in FIGURES}
        else:
            found["interval"] = dict.fromkeys(FIGURES)
        evaluated[level] = found
    return evaluated


def measurable(part: Part, level: str, scores: Floats) -> tuple[Floats, Integers, Integers]:
    """Scores, labels 0 or 1 and conversations of what has both a score and a label at a level."""
    labels, conversations = _truth(part, level)
    known = (labels >= 0) & ~np.isnan(scores)
    return scores[known], labels[known], conversations[known]


def harmless_windows(part: Part) -> NDArray[np.bool_]:
    """(W,) Whether a window has an inserted message and none that is anomalous or unknown."""
    has_foreign = group_labels(part.is_foreign.astype(np.int64), part.windows) == 1
    return (group_labels(part.labels, part.windows) == 0) & has_foreign


def paired_difference(
    part: Part,
    first: Scores,
    second: Scores,
    level: str,
    figure: str = "average_precision",
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """How much better the first is than the second, and the 95 % of it over the same draws of conversations.

    Args:
        part: what both scored.
        first: its scores.
        second: what it is compared with.
        level: "message", "window" or "conversation"; what one of them did not score is left out.
        figure: average_precision, auroc or recall_at_fpr_1.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        (difference, low, high), NaN where there is one class only.

    Raises:
        ValueError: one of them has no scores of that level, or there is no such level or figure.
    """
    if figure not in _COMPARED or level not in Scores._fields:
        known_names = f"{', '.join(_COMPARED)} at {', '.join(Scores._fields)}"
        raise ValueError(f"no {figure!r} can be compared at level {level!r}; there is {known_names}")
    both = [getattr(scores, level) for scores in (first, second)]
    if any(scores is None for scores in both):
        raise ValueError(f"one of the two has no scores at level {level!r}")
    labels, conversations = _truth(part, level)
    known = (labels >= 0) & ~np.isnan(both[0]) & ~np.isnan(both[1])
    weights = np.concatenate(
        [np.ones((1, len(part.bounds)), np.int64), bootstrap_weights(len(part.bounds), draws, seed)]
    )
    one, other = (
        figures(ranking(scores[known], labels[known], conversations[known]), weights)[figure] for scores in both
    )
    low, high = interval((one - other)[1:]) or (np.nan, np.nan)
    return float((one - other)[0]), low, high


def random_scores(part: Part, seed: int = 0) -> Scores:
    """What chance says: every message, window and conversation a number between 0 and 1."""
    random = np.random.default_rng(seed)
    return Scores(*(random.random(len(things)) for things in (part.messages, part.windows, part.bounds)))


def aligned(part: Part, collected: Collected, scores: Mapping[str, Floats]) -> Scores:
    """Scores of a test in the places of the part; NaN where a shortened test (limit_test_batches) did not come."""
    place = {tuple(window): number for number, window in enumerate(part.windows.tolist())}
    windows = np.array([place[tuple(window)] for window in collected.windows.tolist()], np.int64)

    def filled(values: Floats, places: Integers, size: int) -> Floats:
        everything = np.full(size, np.nan)
        everything[places] = values
        return everything

    return Scores(
        message=filled(scores["message"], collected.message_ids, len(part.messages)),
        window=filled(scores["window"], windows, len(part.windows)),
        conversation=filled(scores["conversation"], collected.conversation_ids, len(part.bounds)),
    )


def _truth(part: Part, level: str) -> tuple[Integers, Integers]:
    """Label and conversation of everything at a level."""
    if level == "message":
        return part.labels, part.conversation_of_message
    if level == "window":
        return group_labels(part.labels, part.windows), part.conversation_of_window
    return group_labels(part.labels, part.bounds), np.arange(len(part.bounds))


def _of_messages(part: Part, scores: Floats, threshold: float) -> Figures:
    known = (part.labels >= 0) & ~np.isnan(scores)
    hits, chances = [], []
    for start, end in part.bounds.tolist():
        labels, values = part.labels[start:end][known[start:end]], scores[start:end][known[start:end]]
        if (labels == 1).any():
            hits.append(np.mean(labels[values == values.max()]))  # of several equal ones any may stand first
            chances.append(np.mean(labels))
    kinds: dict[str, list[bool]] = {}
    for number in np.flatnonzero(known & (part.labels == 1)).tolist():
        kind = part.messages[number].kind
        if kind is not None:
            kinds.setdefault(kind, []).append(scores[number] >= threshold)
    return {
        "hit_at_1": float(np.mean(hits)) if hits else None,
        "chance_hit_at_1": float(np.mean(chances)) if hits else None,
        "recall_by_kind": {
            kind: {"recall": float(np.mean(found)), "num": len(found)} for kind, found in sorted(kinds.items())
        },
    }


def _of_windows(part: Part, scores: Floats, threshold: float) -> Figures:
    clean = (group_labels(part.labels, part.windows) == 0) & ~np.isnan(scores)
    is_harmless = harmless_windows(part)
    values: Figures = {}
    for name, chosen in (("harmless", clean & is_harmless), ("plain", clean & ~is_harmless)):
        values[f"false_positive_rate_{name}"] = float((scores[chosen] >= threshold).mean()) if chosen.any() else None
        values[f"num_{name}"] = int(chosen.sum())
    return values
