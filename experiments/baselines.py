"""TF-IDF of character 2- to 4-grams + logistic regression: the bar that a detector must pass, on its own splits.

    python -m experiments.baselines --splits runs/finetune/NAME/splits.json

prints a Markdown table of the test part. Data, windows and seed are read from the config.yaml beside splits.json, so
that the figures stand beside the detector's; `--data` names the conversations where they lie elsewhere now. Two models:
per window (a window's messages as one text) and per message (a window, and a conversation, score as their highest
message). Vocabulary and weights are fitted on the training part; strength of regularisation and thresholds are chosen
on the validation part.
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from electra_lab.calibration import best_f1_threshold
from electra_lab.data.detection import ConversationDataModule
from electra_lab.metrics import Scored, detection_figures

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

COLUMNS = ("average_precision", "auroc", "f1", "precision", "recall", "accuracy", "num", "prevalence", "threshold")
_STRENGTHS = (1.0, 10.0, 100.0)  # C of the regression
UNKNOWN = -1


class Part(NamedTuple):
    """One split as texts: messages in order, and which of them each window and conversation holds."""

    messages: list[str]
    message_labels: NDArray[np.int64]  # 1, 0 or -1
    windows: list[tuple[int, int]]  # first message of the split, one past the last
    conversations: list[tuple[int, int]]

    def texts(self, groups: Sequence[tuple[int, int]]) -> list[str]:
        """The messages of each group as one text."""
        return ["\n".join(self.messages[start:end]) for start, end in groups]

    def labels(self, groups: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
        """1 if any message of the group is anomalous, -1 if that is not known."""
        parts = [self.message_labels[start:end] for start, end in groups]
        return np.array([1 if 1 in part else UNKNOWN if UNKNOWN in part else 0 for part in parts])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=Path, required=True, help="splits.json of a run, its config.yaml beside it")
    parser.add_argument("--data", nargs="+", help="the conversations, where they are not where the run read them")
    options = parser.parse_args(arguments)
    datamodule = load_datamodule(options.splits, options.data)
    train, validation, test = (read_part(datamodule, name) for name in ("train", "validation", "test"))
    print(table(baselines(train, validation, test)))


def load_datamodule(splits: Path, paths: list[str] | None = None) -> ConversationDataModule:
    """The data of a `finetune` run, with its splits and windows.

    Raises:
        FileNotFoundError: the run's config.yaml is not beside splits.json.
    """
    config_path = splits.parent / "config.yaml"
    if not config_path.is_file():
        raise FileNotFoundError(f"{config_path} is missing: the run's settings say how its windows were cut")
    config = yaml.safe_load(config_path.read_text(encoding="utf-8"))
    detector = splits.parent / "detector"  # its tokenizer; a run that is not done has none yet
    tokenizer = str(detector) if detector.is_dir() else config["model"]["backbone"]
    settings = {**config["data"], "splits_file": str(splits), "seed": config["seed"]}
    if paths is not None:
        settings["paths"] = paths
    return ConversationDataModule(tokenizer=tokenizer, num_speakers=config["model"]["num_speakers"], **settings)


def read_part(datamodule: ConversationDataModule, name: str) -> Part:
    """The texts of one split and the bounds of its windows and conversations."""
    windows = datamodule.windows(name)
    first = windows.first_message
    return Part(
        [message.text for conversation in windows.conversations for message in conversation.messages],
        np.array([label for labels in windows.labels for label in labels]),
        [(first[index] + start, first[index] + end) for index, start, end in windows.windows],
        list(pairwise(first)),
    )


def baselines(train: Part, validation: Part, test: Part) -> dict[tuple[str, str], dict[str, object]]:
    """Figures on the test part by (model, level)."""
    figures = {}
    for model, scores in (("TF-IDF + LR per message", _by_message), ("TF-IDF + LR per window", _by_window)):
        on_validation, on_test = scores(train, validation, test)
        for level, scored in on_test.items():
            threshold = best_f1_threshold(*on_validation[level])
            figures[model, level] = detection_figures(*scored, threshold)
    return figures


def table(figures: dict[tuple[str, str], dict[str, object]]) -> str:
    """The figures as a Markdown table."""
    lines = ["| model | level | " + " | ".join(COLUMNS) + " |", "| --- | --- |" + " ---: |" * len(COLUMNS)]
    for (model, level), values in figures.items():
        cells = (f"{value:.3f}" if isinstance(value, float) else str(value) for value in map(values.get, COLUMNS))
        lines.append(f"| {model} | {level} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _by_message(train: Part, validation: Part, test: Part) -> list[dict[str, Scored]]:
    """Levels of validation and test, from a model of single messages."""
    groups = [[(index, index + 1) for index in range(len(part.messages))] for part in (train, validation, test)]
    scores = fit_and_score(
        [part.messages for part in (train, validation, test)],
        [part.labels(messages) for part, messages in zip((train, validation), groups, strict=False)],
    )
    return [
        {
            "message": _known(score, part.message_labels),
            "window": _known(_highest(score, part.windows), part.labels(part.windows)),
            "conversation": _known(_highest(score, part.conversations), part.labels(part.conversations)),
        }
        for part, score in zip((validation, test), scores, strict=True)
    ]


def _by_window(train: Part, validation: Part, test: Part) -> list[dict[str, Scored]]:
    """Levels of validation and test, from a model of whole windows; it says nothing of single messages."""
    parts = (train, validation, test)
    scores = fit_and_score(
        [part.texts(part.windows) for part in parts], [part.labels(part.windows) for part in parts[:2]]
    )
    levels = []
    for part, score in zip(parts[1:], scores, strict=True):
        inside = [
            [number for number, window in enumerate(part.windows) if start <= window[0] < end]
            for start, end in part.conversations
        ]
        highest = np.array([score[numbers].max() for numbers in inside])
        levels.append(
            {
                "window": _known(score, part.labels(part.windows)),
                "conversation": _known(highest, part.labels(part.conversations)),
            }
        )
    return levels


def fit_and_score(texts: list[list[str]], labels: list[NDArray[np.int64]]) -> list[NDArray[np.float64]]:
    """Scores of the validation and test texts; `texts` are train, validation, test, `labels` of the first two.

    Raises:
        ValueError: scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import average_precision_score
    except ImportError as error:
        raise ValueError("the baselines need scikit-learn: type pip install electra_lab[baselines]") from error
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    known_train, known_validation = (part != UNKNOWN for part in labels)
    features = vectorizer.fit_transform(text for text, known in zip(texts[0], known_train, strict=True) if known)
    validation, test = (vectorizer.transform(part) for part in texts[1:])

    def fitted(strength: float) -> "LogisticRegression":
        return LogisticRegression(C=strength, max_iter=1000).fit(features, labels[0][known_train])

    def quality(model: "LogisticRegression") -> float:
        scores = model.predict_proba(validation)[known_validation, 1]
        return float(average_precision_score(labels[1][known_validation], scores))

    model = max(map(fitted, _STRENGTHS), key=quality)
    return [model.predict_proba(part)[:, 1] for part in (validation, test)]


def _highest(scores: NDArray[np.float64], groups: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    return np.array([scores[start:end].max() for start, end in groups])


def _known(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Scored:
    """Scores and labels of everything whose label is known."""
    known = labels != UNKNOWN
    return torch.from_numpy(scores[known]), torch.from_numpy(labels[known])


if __name__ == "__main__":
    main()
