"""How often the detector was wrong in its test, and what that means where anomalous messages are rarer."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

LEVELS = ("message", "window", "conversation")
MEASURES = {
    "num": "judged in the test",
    "prevalence": "share of them that was anomalous",
    "precision": "of those put in the alert band, share that was anomalous (precision)",
    "recall": "of the anomalous ones, share that was put in the alert band (recall)",
    "false_positive_rate": "of the harmless ones, share that was put in the alert band by mistake",
    "false_positive_rate_harmless": "the same among harmless talk brought in from elsewhere",
    "average_precision": "average precision: how well anomalous ones rank above harmless ones, 1 is best",
    "auroc": "area under the ROC curve: a random anomalous one ranks above a random harmless one, .5 is chance",
    "ece": "mean gap between what scores say and what was so (calibration error)",
}
PREVALENCES = (0.1, 0.01, 0.001)

Figures = Mapping[str, Mapping[str, Any]]  # level -> measure -> number, [number, low, high] or None


class Elsewhere(NamedTuple):
    """What alerts are worth at another prevalence, as far as the rates of the test hold there."""

    level: str
    precisions: list[tuple[float, float]]  # prevalence, share of alerts that is right


def table(figures: Figures) -> list[tuple[str, list[str]]]:
    """A row for each measure that is known at any level: in words, then a cell for each of LEVELS."""
    known = {level: {**figures.get(level, {})} for level in LEVELS}
    for values in known.values():
        values.setdefault("false_positive_rate", _false_positive_rate(values))
    return [
        (words, [_cell(known[level].get(name)) for level in LEVELS])
        for name, words in MEASURES.items()
        if any(known[level].get(name) is not None for level in LEVELS)
    ]


def elsewhere(figures: Figures) -> list[Elsewhere]:
    """Precision at PREVALENCES for each level with known rates, by Bayes' rule from recall and false positive rate."""
    found = []
    for level in LEVELS:
        values = figures.get(level, {})
        recall, rate = _number(values.get("recall")), _false_positive_rate(values)
        if recall and rate is not None:
            shares = [(p, recall * p / (recall * p + rate * (1 - p))) for p in PREVALENCES]
            found.append(Elsewhere(level, shares))
    return found


def _false_positive_rate(values: Mapping[str, Any]) -> float | None:
    """Share of the harmless ones that was an alarm, from the three figures that fix it."""
    precision, recall, prevalence = (_number(values.get(name)) for name in ("precision", "recall", "prevalence"))
    if not precision or recall is None or prevalence is None or prevalence == 1:
        return None
    return recall * prevalence * (1 - precision) / precision / (1 - prevalence)


def _number(value: float | Sequence[float] | None) -> float | None:
    return value[0] if isinstance(value, Sequence) else value


def _cell(value: float | Sequence[float] | None) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, Sequence):
        return f"{value[0]:.3f} ({value[1]:.3f} to {value[2]:.3f})"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
