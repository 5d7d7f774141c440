"""What came out of the injection benchmark: tables, the gate against the linear baseline, a picture, all figures."""

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from electra_lab.data.parts import Part
from electra_lab.evaluation import Figures, Scores
from experiments.baselines import PER_MESSAGE
from experiments.folds import difference_over_folds, mean_over_folds
from experiments.policies import Alarms, as_lines
from experiments.table import as_markdown, figures_in, picture

LEAKY = "leaky"  # the test of runs whose splits leak
FIGURES = {
    "message AP": ("test", "message", "average_precision"),
    "window AP": ("test", "window", "average_precision"),
    "conversation AP": ("test", "conversation", "average_precision"),
    "message recall at 1 % FPR": ("test", "message", "recall_at_fpr_1"),
    "hit@1": ("test", "message", "hit_at_1"),
    "window F1": ("test", "window", "f1"),
    "harmless windows alarmed": ("test", "window", "false_positive_rate_harmless"),
    "window ECE": ("test", "window", "ece"),
}
_LEVELS = ("window", "message", "conversation")


class Result(NamedTuple):
    """One model of one fold on one test."""

    row: str
    test: str
    fold: int
    seed: int | None  # None of what has no seed
    scores: Scores | None  # None of a leaky run
    figures: Mapping[str, Figures]
    alarms: dict[str, Alarms]  # policy -> of windows


def report(
    results: Sequence[Result], parts: Mapping[str, Sequence[Part]], options: argparse.Namespace, policy: str
) -> str:
    """Write table.md, table.csv, results.json and table.png; returns the Markdown."""
    lines = [_what(parts, options, policy)]
    for test in dict.fromkeys(result.test for result in results):
        of_test = [result for result in results if result.test == test]
        lines += [f"## {test}", "", _prevalence(of_test), "", as_markdown(_values(of_test)), ""]
    lines += ["## Against the linear model of messages", "", *gate(results, parts), ""]
    lines += [
        "## Windows at other policies",
        "",
        "Alarms on harmless insertions; recall, precision. All runs summed.",
        "",
    ]
    for test in parts:
        raised = ((result.row, result.alarms) for result in results if result.test == test)
        lines += [f"### {test}", "", *as_lines(raised), ""]
    text = "\n".join(lines)
    (options.output / "table.md").write_text(text, encoding="utf-8")
    _write_csv(results, options.output / "table.csv")
    record = [{"row": r.row, "test": r.test, "fold": r.fold, "seed": r.seed, "figures": r.figures} for r in results]
    (options.output / "results.json").write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
    main_test = [result for result in results if result.test != LEAKY]
    picture(_values([result for result in main_test if result.test == main_test[0].test]), options.output / "table.png")
    return text


def gate(results: Sequence[Result], parts: Mapping[str, Sequence[Part]]) -> list[str]:
    """Paired differences of average precision to the linear model of messages, with 95 % intervals, as lines."""
    lines = [
        "| test | row | level | average precision [95 %] | difference [95 %] | lower end above 0 |",
        "| --- | --- | --- | ---: | ---: | --- |",
    ]
    for test, of_folds in parts.items():
        linear = _scores(results, PER_MESSAGE, test)
        for row in dict.fromkeys(result.row for result in results if result.test == test and result.seed is not None):
            ours = _scores(results, row, test)
            if not all(ours):
                lines.append(f"| {test} | {row} | | a fold is missing | | |")
                continue
            for level in _LEVELS:
                if level == "window" and not _are_cut_alike(of_folds, ours):
                    lines.append(f"| {test} | {row} | {level} | has windows of its own | | |")
                    continue
                value, *ends = mean_over_folds(of_folds, ours, level, "average_precision")
                difference, low, high = difference_over_folds(of_folds, ours, linear, level)
                lines.append(
                    f"| {test} | {row} | {level} | {value:.3f} [{ends[0]:.3f}, {ends[1]:.3f}] | "
                    f"{difference:+.3f} [{low:+.3f}, {high:+.3f}] | {'yes' if low > 0 else 'no'} |"
                )
    return lines


def _what(parts: Mapping[str, Sequence[Part]], options: argparse.Namespace, policy: str) -> str:
    """One paragraph: what was tested on, and how."""
    described = [
        f"{test}: {sum(len(part.conversations) for part in of_folds)} conversations, "
        f"{sum(len(part.messages) for part in of_folds)} messages"
        for test, of_folds in parts.items()
    ]
    folds = f"{len(options.folds)} of {options.num_folds} contiguous folds, seeds {', '.join(map(str, options.seeds))}"
    return f"{folds}. " + ". ".join(described) + f". Thresholds: {policy} on validation. Mean ± sd over runs.\n"


def _prevalence(results: Sequence[Result]) -> str:
    """What share of everything is anomalous, which every figure of a test stands for."""
    found = []
    for level in _LEVELS:
        shares = [result.figures[level]["prevalence"] for result in results if level in result.figures]
        found.append(f"{100 * np.mean([share for share in shares if isinstance(share, float)]):.2f} % of {level}s")
    return f"Anomalous are {', '.join(found)}."


def _are_cut_alike(parts: Sequence[Part], scores: Sequence[Sequence[Scores]]) -> bool:
    """Whether a row has the windows of the others; options such as data.window cut others."""
    return all(
        one.window is not None and len(one.window) == len(part.windows)
        for part, of_seeds in zip(parts, scores, strict=True)
        for one in of_seeds
    )


def _values(results: Sequence[Result]) -> dict[str, dict[str, list[float | None]]]:
    """Row -> figure -> its value in every run."""
    runs: dict[str, list[dict[str, float | None]]] = {}
    for result in results:
        runs.setdefault(result.row, []).append(_figures(result))
    return {row: {name: [one[name] for one in of_row] for name in FIGURES} for row, of_row in runs.items()}


def _figures(result: Result) -> dict[str, float | None]:
    return figures_in({"test": result.figures}, FIGURES)


def _scores(results: Sequence[Result], row: str, test: str) -> list[list[Scores]]:
    """Scores of a row by fold, in the order of the folds."""
    folds = sorted({result.fold for result in results if result.test == test})
    return [
        [r.scores for r in results if (r.row, r.test, r.fold) == (row, test, fold) and r.scores is not None]
        for fold in folds
    ]


def _write_csv(results: Sequence[Result], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "test", "fold", "seed", *FIGURES])
        writer.writerows([r.row, r.test, r.fold, r.seed, *_figures(r).values()] for r in results)
