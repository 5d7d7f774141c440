"""What a detector has to beat, on the splits and windows of its own run and by the same evaluator.

    python -m experiments.baselines --splits runs/finetune/NAME/splits.json --keywords experiments/keywords.yaml \
        --discriminator runs/pretrain/NAME/discriminator --json baselines.json

prints a Markdown table of the test part. Data, windows and seed are read from the config.yaml beside splits.json;
`--data` names the conversations where they lie elsewhere now. The rows: TF-IDF + logistic regression per message
(highest message) and per window (experiments/linear.py), a keyword list (experiments/keywords.py), the replaced-token
probabilities of a pretrained discriminator, the length of a message (in characters; the highest counts, as above), and
random scores. Thresholds are chosen on the validation part.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from electra_lab.calibration import threshold
from electra_lab.data.detection import ConversationDataModule
from electra_lab.data.parts import Part, part_of
from electra_lab.decisions import LEVELS
from electra_lab.evaluation import Figures, Scores, evaluate, measurable, random_scores
from electra_lab.zero_shot import ZeroShotDetector, load_zero_shot
from experiments.keywords import KeywordList, read_keywords
from experiments.linear import highest_message, per_message, per_window

PER_MESSAGE = "TF-IDF + LR per message"  # the one to beat
PER_WINDOW = "TF-IDF + LR per window"
COLUMNS = (
    "average_precision",
    "auroc",
    "recall_at_fpr_1",
    "f1",
    "f2",
    "precision",
    "recall",
    "false_positive_rate_harmless",
    "prevalence",
    "num",
    "threshold",
)


class Baseline(NamedTuple):
    """A baseline that has learned what it learns: `evaluate(test, baseline.scores(test), baseline.thresholds)`."""

    scores: Callable[[Part], Scores]
    thresholds: dict[str, float]  # level -> chosen on the validation part


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=Path, required=True, help="splits.json of a run, its config.yaml beside it")
    parser.add_argument("--data", nargs="+", help="the conversations, where they are not where the run read them")
    parser.add_argument("--keywords", type=Path, help="YAML list of terms")
    parser.add_argument("--discriminator", help="name or folder of a pretrained discriminator")
    parser.add_argument("--max_length", type=int, default=128, help="tokens that the discriminator was pretrained with")
    parser.add_argument("--policy", default="max_f1", help="of the thresholds: max_f1, max_f2, fpr<=X, precision>=X")
    parser.add_argument("--draws", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--json", type=Path, help="file for all figures with their intervals")
    try:
        run(parser.parse_args(arguments))
    except (ValueError, OSError) as error:
        sys.exit(f"experiments.baselines: {error}")


def run(options: argparse.Namespace) -> None:
    """Fit, score and evaluate."""
    datamodule = load_datamodule(options.splits, options.data)
    train, validation, test = (part_of(datamodule.windows(name)) for name in ("train", "validation", "test"))
    found = baselines(
        train,
        validation,
        read_keywords(options.keywords) if options.keywords else None,
        load_zero_shot(options.discriminator, options.max_length) if options.discriminator else None,
        options.policy,
    )
    figures = {
        name: evaluate(test, baseline.scores(test), baseline.thresholds, draws=options.draws)
        for name, baseline in found.items()
    }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(figures))


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


def baselines(
    train: Part,
    validation: Part,
    keywords: KeywordList | None = None,
    zero_shot: ZeroShotDetector | None = None,
    policy: str = "max_f1",
    seed: int = 0,
) -> dict[str, Baseline]:
    """Every baseline by name.

    Args:
        train: what the linear models are fitted on.
        validation: what their strength and all thresholds are chosen on.
        keywords: without them there is no row of theirs.
        zero_shot: likewise.
        policy: of the thresholds.
        seed: of the random scores.
    """
    scorers: dict[str, Callable[[Part], Scores]] = {
        PER_MESSAGE: per_message(train, validation),
        PER_WINDOW: per_window(train, validation),
    }
    if keywords is not None:
        scorers["keywords"] = keywords.scores
    if zero_shot is not None:
        scorers["replaced-token detection, no labels"] = lambda part: by_replaced_tokens(part, zero_shot)
    scorers["length"] = by_length
    scorers["random"] = lambda part: random_scores(part, seed)
    return {
        name: Baseline(scorer, _thresholds(validation, scorer(validation), policy)) for name, scorer in scorers.items()
    }


def by_replaced_tokens(part: Part, detector: ZeroShotDetector) -> Scores:
    """Scores of a discriminator that was fine-tuned on nothing."""
    texts = ([message.text for message in conversation.messages] for conversation in part.conversations)
    return highest_message(part, np.concatenate([detector.message_scores(messages) for messages in texts]))


def by_length(part: Part) -> Scores:
    """Characters as n / (n + 20): what is given away before anything is read; longer messages have more nouns."""
    lengths = np.array([len(message.text) for message in part.messages], dtype=np.float64)
    return highest_message(part, lengths / (lengths + 20))


def table(figures: dict[str, dict[str, Figures]]) -> str:
    """The figures as a Markdown table, average precision with its 95 % interval."""
    lines = [
        "| model | level | average_precision [95 %] | " + " | ".join(COLUMNS[1:]) + " |",
        "| --- | --- |" + " ---: |" * len(COLUMNS),
    ]
    for model, levels in figures.items():
        for level in (level for level in LEVELS if level in levels):
            cells = [_cell(levels[level].get(column)) for column in COLUMNS]
            intervals = levels[level]["interval"]
            assert isinstance(intervals, dict)
            if intervals["average_precision"]:
                cells[0] += " [{:.3f}, {:.3f}]".format(*intervals["average_precision"])
            lines.append(f"| {model} | {level} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _thresholds(validation: Part, scores: Scores, policy: str) -> dict[str, float]:
    chosen = {}
    for level in LEVELS:
        values = getattr(scores, level)
        if values is not None:
            known, labels, _ = measurable(validation, level, values)
            chosen[level] = threshold(policy, known, labels)
    return chosen


def _cell(value: object) -> str:
    if value is None:
        return "n/a"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
