"""Pictures of a run: its loss curve, and how well it told the test set apart. matplotlib, no display needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Levels = Mapping[str, tuple[NDArray[np.floating], NDArray[np.integer]]]  # level -> scores, labels of the same length
Intervals = Mapping[str, Mapping[str, Sequence[float] | None]]  # level -> figure -> its 95 %
Rows = Sequence[Mapping[str, str]]  # lines of training_log.csv

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # told apart by colour-blind readers too
_LEVEL_COLOURS = dict(zip(("window", "message", "conversation"), _COLOURS, strict=False))
_INK, _GREY = "#222222", "#8A8A8A"
_LOSS_PARTS = ("masked_lm_loss", "discriminator_loss", "window_loss", "attention_loss", "message_loss")
_QUALITY = (  # what the lowest panel shows, where logged: all between 0 and 1
    ("discriminator_auroc", "discriminator AUROC"),
    ("discriminator_precision", "precision"),
    ("discriminator_recall", "recall"),
    ("masked_lm_accuracy", "masked LM accuracy"),
    ("average_precision", "AP, windows"),
    ("message_average_precision", "AP, messages"),
    ("conversation_average_precision", "AP, conversations"),
    ("f1", "F1, windows"),
)


def confusion_matrix(confusion: Sequence[Sequence[int]], title: str, path: Path) -> None:
    """Counts [[tn, fp], [fn, tp]] as a square of four, each with its share of the true class."""
    counts = np.asarray(confusion)  # (truth, decision)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = _figure(3.9, 3.6)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)
    for truth in range(2):
        for decision in range(2):
            place, colour = (decision, truth), "white" if shares[truth, decision] > 0.6 else _INK
            axes.annotate(f"{counts[truth, decision]:,}", place, ha="center", va="bottom", color=colour, fontsize=15)
            share = f"{shares[truth, decision]:.1%}" if counts[truth].any() else "none there"
            axes.annotate(share, place, (0, -4), textcoords="offset points", ha="center", va="top", color=colour)
    axes.set_xticks([0, 1], ["normal", "anomalous"])
    axes.set_yticks([0, 1], ["normal", "anomalous"], rotation=90, va="center")
    axes.set_xlabel("decided")
    axes.set_ylabel("labelled")
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _save(figure, path)


def precision_recall(levels: Levels, path: Path, intervals: Intervals | None = None) -> None:
    """Precision against recall of every level that has both classes; dotted: the prevalence, what guessing reaches."""
    import torch
    from torchmetrics.functional.classification import binary_average_precision, binary_precision_recall_curve

    figure, axes = _unit_square("Precision and recall on the test set", "recall", "precision")
    for level, (scores, labels) in _with_both_classes(levels, axes).items():
        predictions, targets = torch.as_tensor(scores, dtype=torch.float64), torch.as_tensor(labels, dtype=torch.long)
        precision, recall, _ = binary_precision_recall_curve(predictions, targets)
        average = float(binary_average_precision(predictions, targets))
        prevalence = float(targets.double().mean())
        colour = _LEVEL_COLOURS[level]
        limits = _limits(intervals, level, "average_precision")
        name = f"{level}s: AP {average:.3f}{limits} (prevalence {prevalence:.3f}, n = {len(targets):,})"
        axes.plot(recall, precision, drawstyle="steps-post", color=colour, linewidth=1.8, label=name)
        axes.axhline(prevalence, color=colour, linewidth=1.1, linestyle=(0, (1, 2)))
    _legend_below(figure)
    _save(figure, path)


def roc(levels: Levels, path: Path, intervals: Intervals | None = None) -> None:
    """True against false positive rate of every level that has both classes; dotted: guessing."""
    import torch
    from torchmetrics.functional.classification import binary_auroc, binary_roc

    figure, axes = _unit_square("ROC on the test set", "false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1.1, linestyle=(0, (1, 2)))
    for level, (scores, labels) in _with_both_classes(levels, axes).items():
        predictions, targets = torch.as_tensor(scores, dtype=torch.float64), torch.as_tensor(labels, dtype=torch.long)
        false_positive_rate, true_positive_rate, _ = binary_roc(predictions, targets)
        limits = _limits(intervals, level, "auroc")
        name = f"{level}s: AUROC {float(binary_auroc(predictions, targets)):.3f}{limits} (n = {len(targets):,})"
        axes.plot(false_positive_rate, true_positive_rate, color=_LEVEL_COLOURS[level], linewidth=1.8, label=name)
    _legend_below(figure)
    _save(figure, path)


def loss_curve(rows: Rows, path: Path) -> None:
    """Losses and quality figures of a run against optimizer steps; columns that were never logged are left out."""
    panels: list[tuple[str, list[tuple[str, str, str]]]] = [  # title, (column, label, colour) of its lines
        ("Loss", [("train/loss", "train", _COLOURS[0]), ("val/loss", "validation", _COLOURS[1])]),
        ("Parts of the loss, training", _part_lines(rows)),
        ("Quality on validation", _quality_lines(rows)),
    ]
    drawn = [(title, [line for line in lines if _series(rows, line[0])[0].size]) for title, lines in panels]
    drawn = [(title, lines) for title, lines in drawn if lines]
    if not drawn:
        return  # nothing logged yet: a run that stopped before its first line
    from matplotlib.ticker import MaxNLocator

    figure = _figure(8.0, 2.5 * len(drawn) + 0.4)
    all_axes = np.atleast_1d(figure.subplots(len(drawn), 1, sharex=True))
    for axes, (title, lines) in zip(all_axes, drawn, strict=True):
        axes.set_title(title, loc="left", fontsize=10.5, color=_INK)
        ends = [_draw_series(axes, *_series(rows, column), label, colour) for column, label, colour in lines]
        _tidy(axes)
        if title.startswith("Quality"):
            axes.set_ylim(-0.03, 1.03)
        else:
            _readable_losses(axes, parts=title.startswith("Parts"))
        _label_ends(axes, ends)
    all_axes[-1].set_xlabel("optimizer step")
    all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    all_axes[-1].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _save(figure, path)


def _part_lines(rows: Rows) -> list[tuple[str, str, str]]:
    columns = [f"train/{part}" for part in _LOSS_PARTS if _series(rows, f"train/{part}")[0].size]
    labels = [column[len("train/") : -len("_loss")].replace("_", " ").replace("lm", "LM") for column in columns]
    return list(zip(columns, labels, _COLOURS[2:], strict=False))


def _quality_lines(rows: Rows) -> list[tuple[str, str, str]]:
    present = [(f"val/{name}", label) for name, label in _QUALITY if _series(rows, f"val/{name}")[0].size]
    return [(column, label, colour) for (column, label), colour in zip(present, _COLOURS, strict=False)]


def _series(rows: Rows, column: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and finite values of one column, without the rows in which it was not logged."""
    pairs = [(float(row["step"]), float(row[column])) for row in rows if row.get(column)]
    steps, values = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    finite = np.isfinite(values)
    return steps[finite], values[finite]


def _draw_series(
    axes: "Axes", steps: NDArray[np.float64], values: NDArray[np.float64], label: str, colour: str
) -> tuple[float, float, str, str]:
    """A line; one with many points as its running mean over the faint raw values. Gives its end and how to label it."""
    width = len(values) // 40
    if width > 1:
        axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.3)
        sums = np.cumsum(np.insert(values, 0, 0.0))
        starts = np.maximum(np.arange(len(values)) + 1 - width, 0)
        values = (sums[1:] - sums[starts]) / (np.arange(len(values)) + 1 - starts)
    axes.plot(steps, values, color=colour, linewidth=1.8, marker="o" if len(values) < 15 else None, markersize=3.5)
    return float(steps[-1]), float(values[-1]), f"{label} {values[-1]:.3g}", colour


def _label_ends(axes: "Axes", ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Names each line at the right edge, at the height where it ends; names that would overlap move apart."""
    axes.get_ylim()  # settles the limits, which matplotlib otherwise leaves until it draws
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = sorted(ends, key=lambda end: end[1])
    heights = [float(to_axes.transform((step, value))[1]) for step, value, _, _ in ends]
    for _ in range(100):
        for lower in range(len(heights) - 1):
            overlap = 0.09 - (heights[lower + 1] - heights[lower])
            if overlap > 0:
                heights[lower] -= overlap / 2
                heights[lower + 1] += overlap / 2
    for height, (_, _, name, colour) in zip(heights, ends, strict=True):
        axes.text(1.015, height, name, transform=axes.transAxes, va="center", color=colour, fontsize=9)


def _readable_losses(axes: "Axes", parts: bool) -> None:
    """Parts of very different size share a logarithmic axis; otherwise linear, from 0 where that wastes no room."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines])
    if parts and values.min() > 0 and values.max() > 8 * values.min():
        from matplotlib.ticker import LogLocator, NullFormatter

        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif values.min() >= 0 and values.min() < 0.5 * values.max():
        axes.set_ylim(bottom=0)


def _limits(intervals: Intervals | None, level: str, figure: str) -> str:
    """The 95 % interval in brackets, where there is one."""
    found = (intervals or {}).get(level, {}).get(figure)
    return "" if found is None else " [{:.3f}, {:.3f}]".format(*found)


def _with_both_classes(levels: Levels, axes: "Axes") -> Levels:
    """The levels a curve exists for; those with one class only are said in the legend."""
    both = {level: pair for level, pair in levels.items() if 0 < np.count_nonzero(pair[1]) < len(pair[1])}
    for level in levels:
        if level not in both:
            axes.plot([], [], " ", label=f"{level}s: no curve, the labels are of one class only")
    return both


def _unit_square(title: str, x_label: str, y_label: str) -> tuple["Figure", "Axes"]:
    figure = _figure(4.8, 5.3)
    axes = figure.add_subplot()
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x_label, ylabel=y_label)
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    _tidy(axes)
    return figure, axes


def _legend_below(figure: "Figure") -> None:
    figure.legend(loc="outside lower left", frameon=False, fontsize=9, handlelength=1.4)


def _tidy(axes: "Axes") -> None:
    axes.grid(color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.tick_params(colors=_INK, length=3, labelsize=9)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: "Figure", path: Path) -> None:
    """Writes beside the file and renames, so that who looks during training never sees half a picture."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    figure.savefig(unfinished, format="png", dpi=150)
    unfinished.replace(path)
