"""What a test leaves beside its numbers: figures, and example predictions to look at."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from electra_lab.data.conversation import Conversation
from electra_lab.metrics import DetectionLevels, Scored
from electra_lab.report import figures

EXAMPLES_OF_A_KIND = 5


def write_figures(
    results: Mapping[str, Mapping[str, Any]], predictions: Mapping[str, Scored], folder: Path
) -> list[str]:
    """Confusion matrix of each level, precision-recall and ROC curves as PNG; returns the file names."""
    levels = {level: (scores.numpy(), labels.numpy()) for level, (scores, labels) in predictions.items()}
    for level in levels:
        title = f"{level}s at threshold {results[level]['threshold']:.3f}"
        figures.confusion_matrix(results[level]["confusion"], title, folder / f"confusion_matrix_{level}.png")
    figures.precision_recall(levels, folder / "precision_recall.png")
    figures.roc(levels, folder / "roc.png")
    return [*(f"confusion_matrix_{level}.png" for level in levels), "precision_recall.png", "roc.png"]


def example_predictions(
    collected: DetectionLevels, conversations: Sequence[Conversation], threshold: float
) -> dict[str, list[dict[str, Any]]]:
    """The clearest messages of each kind: found, missed, false alarms and rightly left alone; with their text."""
    places = [
        (conversation, number) for conversation in conversations for number in range(len(conversation.messages))
    ]  # message ids count the messages of the split in order
    scores, labels = (values.tolist() for values in collected.message)
    rows = [
        {**_place(*places[message]), "label": label, "score": round(score, 4), "anomalous": score >= threshold}
        for message, score, label in zip(collected.message_ids.tolist(), scores, labels, strict=True)
    ]
    rows.sort(key=lambda row: -row["score"])
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
