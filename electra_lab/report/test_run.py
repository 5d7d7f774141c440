"""What a test leaves beside its numbers: a table, figures, and example predictions to look at."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from electra_lab.data.conversation import Conversation
from electra_lab.data.parts import Part
from electra_lab.report import figures

EXAMPLES_OF_A_KIND = 5
_ROWS = (
    "num",
    "prevalence",
    "average_precision",
    "auroc",
    "recall_at_fpr_1",
    "f1",
    "f2",
    "precision",
    "recall",
    "accuracy",
    "hit_at_1",
    "chance_hit_at_1",
    "false_positive_rate_plain",
    "false_positive_rate_harmless",
    "ece_unscaled",
    "ece",
    "brier",
    "threshold",
)


def table(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The figures of each level side by side, with their 95 % intervals; what was not measured is "n/a"."""
    rows = [("", *results)]
    for name in _ROWS:
        if any(name in values for values in results.values()):
            cells = (_cell(values, name) if name in values else "" for values in results.values())
            rows.append((name.replace("_", " "), *cells))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def write_figures(results: Mapping[str, Mapping[str, Any]], levels: figures.Levels, folder: Path) -> list[str]:
    """Confusion matrix of each level, precision-recall and ROC curves as PNG; returns the file names."""
    for level in levels:
        title = f"{level}s at threshold {results[level]['threshold']:.3f}"
        figures.confusion_matrix(results[level]["confusion"], title, folder / f"confusion_matrix_{level}.png")
    intervals = {level: results[level]["interval"] for level in levels}
    figures.precision_recall(levels, folder / "precision_recall.png", intervals)
    figures.roc(levels, folder / "roc.png", intervals)
    return [*(f"confusion_matrix_{level}.png" for level in levels), "precision_recall.png", "roc.png"]


def example_predictions(part: Part, scores: NDArray[np.float64], threshold: float) -> dict[str, list[dict[str, Any]]]:
    """The clearest messages of each kind: found, missed, false alarms and rightly left alone; with their text.

    Args:
        part: the test part.
        scores: (M,) of its messages.
        threshold: of messages.
    """
    places = [
        (conversation, number) for conversation in part.conversations for number in range(len(conversation.messages))
    ]
    rows = [
        {**_place(*place), "label": label, "score": round(score, 4), "anomalous": score >= threshold}
        for place, score, label in zip(places, scores.tolist(), part.labels.tolist(), strict=True)
    ]
    rows = sorted((row for row in rows if not np.isnan(row["score"])), key=lambda row: -row["score"])
    kinds = {
        "found": [row for row in rows if row["label"] == 1 and row["anomalous"]],
        "missed": [row for row in reversed(rows) if row["label"] == 1 and not row["anomalous"]],
        "false_alarms": [row for row in rows if row["label"] == 0 and row["anomalous"]],
        "left_alone": [row for row in reversed(rows) if row["label"] == 0 and not row["anomalous"]],
    }
    return {kind: found[:EXAMPLES_OF_A_KIND] for kind, found in kinds.items()}


def _place(conversation: Conversation, number: int) -> dict[str, Any]:
    message = conversation.messages[number]
    return {"conversation": conversation.id, "message": number, "speaker": message.speaker, "text": message.text}


def _cell(values: Mapping[str, Any], name: str) -> str:
    value = values[name]
    if value is None:
        return "n/a"
    if isinstance(value, int):
        return f"{value:,}"
    limits = values.get("interval", {}).get(name)
    return f"{value:.3f}" + ("" if limits is None else " [{:.3f}, {:.3f}]".format(*limits))
