"""What a probe found, for people: table, from where on pretraining pays, picture."""

import statistics
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

RANDOM = "random"
_COLOURS = ("#1f5fa8", "#c4561a", "#4a8a3f", "#7a4b9e", "#8c6d1f", "#2a8c8c")

Row = dict[str, Any]  # name, path, tokenizer, tokens, labels, epochs, seed; learning_rate, epoch, validation, test


def table(rows: Sequence[Row], costs: dict[str, float]) -> str:
    """Test accuracy in per cent, mean ± standard deviation over seeds; * = worst seed above the best of `random`."""
    numbers = sorted({row["labels"] for row in rows})
    lines = [
        "| encoder | million tokens | x cost | " + " | ".join(f"{number:,} labels" for number in numbers) + " |",
        "| --- | ---: | ---: |" + " ---: |" * len(numbers),
    ]
    for name, tokens in _encoders(rows):
        cells = []
        for number in numbers:
            reached = _reached(rows, name, tokens, number)
            bar = max(_reached(rows, RANDOM, 0, number), default=100.0)
            mean = f"{statistics.mean(reached):.1f}" if reached else "-"
            spread = f" ± {statistics.stdev(reached):.1f}" if len(reached) > 1 else ""
            cells.append(mean + spread + (" *" if reached and min(reached) > bar else ""))
        cost = tokens * costs.get(name, 1.0)
        lines.append(f"| {name} | {tokens / 1e6:.1f} | {cost / 1e6:.1f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdicts(rows: Sequence[Row]) -> list[str]:
    """From how many tokens on pretraining pays: from there on its worst seed is above the best of `random`.

    Nothing where `random` was not run.
    """
    lines = []
    for name in dict.fromkeys(name for name, _ in _encoders(rows) if name != RANDOM):
        for number in sorted({row["labels"] for row in rows}):
            without = _reached(rows, RANDOM, 0, number)
            points = _points(rows, name, number)
            pays = None
            for tokens, reached in reversed(points):
                if min(reached) <= max(without, default=0.0):
                    break
                pays = tokens
            if points and without:
                when = f"from {pays / 1e6:.1f}" if pays else f"not by {points[-1][0] / 1e6:.1f}"
                lines.append(f"- {name}, {number:,} labels: pays {when} million tokens")
    return lines


def picture(rows: Sequence[Row], costs: dict[str, float], path: Path) -> None:
    """Test accuracy against what pretraining cost, a panel for each number of labels, bars from worst to best seed."""
    from matplotlib.figure import Figure

    numbers = sorted({row["labels"] for row in rows})
    names = [name for name in dict.fromkeys(name for name, _ in _encoders(rows)) if name != RANDOM]
    figure = Figure(figsize=(max(6.6, 3.6 * len(numbers) + 0.6), 4.0), dpi=110, layout="constrained")
    for axes, number in zip(figure.subplots(1, len(numbers), squeeze=False)[0], numbers, strict=True):
        chance = _reached(rows, RANDOM, 0, number)
        if chance:
            axes.axhspan(min(chance), max(chance), color="0.85", label="random weights")
        for name, colour in zip(names, cycle(_COLOURS), strict=False):  # however many there are
            points = ([(0, chance)] if chance else []) + _points(rows, name, number)
            places = [tokens * costs.get(name, 1.0) / 1e6 for tokens, _ in points]
            means = [statistics.mean(reached) for _, reached in points]
            ends = [[mean - min(values) for mean, (_, values) in zip(means, points, strict=True)]]
            ends.append([max(values) - mean for mean, (_, values) in zip(means, points, strict=True)])
            axes.errorbar(places, means, yerr=ends, color=colour, marker="o", markersize=4, capsize=3, label=name)
        axes.set_title(f"{number:,} labels", loc="left", fontsize=10.5)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("test accuracy, %")
    figure.supxlabel("million tokens of pretraining" + (" x cost of a token" if costs else ""), fontsize=10)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path)


def _encoders(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """(name, tokens), `random` first, then by name and tokens."""
    return sorted({(row["name"], row["tokens"]) for row in rows}, key=lambda pair: (pair[0] != RANDOM, *pair))


def _points(rows: Sequence[Row], name: str, number: int) -> list[tuple[int, list[float]]]:
    """(tokens, test accuracies) of the encoders of one name."""
    points = [(tokens, _reached(rows, name, tokens, number)) for each, tokens in _encoders(rows) if each == name]
    return [(tokens, reached) for tokens, reached in points if reached]


def _reached(rows: Sequence[Row], name: str, tokens: int, number: int) -> list[float]:
    """Test accuracies in per cent, one a seed."""
    wanted = {"name": name, "tokens": tokens, "labels": number}
    return [100 * row["test"] for row in rows if wanted.items() <= row.items()]
