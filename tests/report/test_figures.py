"""The pictures show the numbers: what is drawn is read back and compared with figures worked out by hand."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from electra_lab.report import figures

# Two of four are positive; sorted by score: 1 0 1 0.
SCORES, LABELS = np.array([0.9, 0.7, 0.4, 0.1]), np.array([1, 0, 1, 0])
ONE_CLASS = (np.array([0.2, 0.8]), np.array([1, 1]))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """The figures that were saved, besides the files."""
    kept: list[Figure] = []
    save = figures._save

    def keep(figure: Figure, path: Path) -> None:
        kept.append(figure)
        save(figure, path)

    monkeypatch.setattr(figures, "_save", keep)
    yield kept


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def training_rows(num_steps: int) -> list[dict[str, str]]:
    """A log as pretraining writes it: validation every fourth line, empty cells otherwise."""
    rows = []
    for step in range(10, 10 * num_steps + 1, 10):
        train = {"train/loss": f"{30 - step / 100}", "train/masked_lm_loss": "6", "train/discriminator_loss": "0.4"}
        val = {"val/loss": "29", "val/discriminator_auroc": "0.71", "val/discriminator_recall": "0.7"}
        empty = dict.fromkeys(val, "")
        rows.append({"step": str(step), **train, **(val if step % 40 == 0 else empty)})
    return rows


def test_confusion_matrix_shows_counts_and_shares(drawn: list[Figure], tmp_path: Path) -> None:
    figures.confusion_matrix([[90, 10], [1, 3]], "Windows", tmp_path / "confusion.png")
    texts = [text.get_text() for text in drawn[0].axes[0].texts]
    assert texts == ["90", "90.0%", "10", "10.0%", "1", "25.0%", "3", "75.0%"]
    figures.confusion_matrix([[5, 0], [0, 0]], "Windows", tmp_path / "confusion.png")  # nothing to divide by
    assert [text.get_text() for text in drawn[1].axes[0].texts][-1] == "none there"


def test_precision_recall_by_hand(drawn: list[Figure], tmp_path: Path) -> None:
    figures.precision_recall({"window": (SCORES, LABELS), "message": ONE_CLASS}, tmp_path / "pr.png")
    # AP = 1/2 * 1/1 (the first hit) + 1/2 * 2/3 (the second, after one miss) = 0.833; prevalence 2/4
    assert legend(drawn[0]) == [
        "messages: no curve, the labels are of one class only",
        "windows: AP 0.833 (prevalence 0.500, n = 4)",
    ]
    _, curve, prevalence = drawn[0].axes[0].lines
    points = list(zip(curve.get_xdata(), curve.get_ydata(), strict=True))  # from the lowest threshold to the highest
    expected = [(1, 1 / 2), (1, 2 / 3), (1 / 2, 1 / 2), (1 / 2, 1), (0, 1)]
    np.testing.assert_allclose(points, expected, rtol=1e-6)
    assert set(prevalence.get_ydata()) == {0.5}


def test_roc_by_hand(drawn: list[Figure], tmp_path: Path) -> None:
    intervals = {"conversation": {"auroc": [0.5, 1.0]}}
    figures.roc({"conversation": (SCORES, LABELS)}, tmp_path / "roc.png", intervals)
    assert legend(drawn[0]) == ["conversations: AUROC 0.750 [0.500, 1.000] (n = 4)"]  # three of four pairs in order
    chance, curve = drawn[0].axes[0].lines
    assert list(chance.get_ydata()) == [0, 1]
    assert list(zip(curve.get_xdata(), curve.get_ydata(), strict=True)) == [
        (0.0, 0.0),
        (0.0, 0.5),
        (0.5, 0.5),
        (0.5, 1.0),
        (1.0, 1.0),
    ]


def test_levels_with_one_class_only_have_no_curve(drawn: list[Figure], tmp_path: Path) -> None:
    """torchmetrics gives an area of 0.0 there, as if the worst possible model had been measured."""
    empty = (np.array([]), np.array([], dtype=int))
    figures.roc({"window": ONE_CLASS, "conversation": empty}, tmp_path / "roc.png")
    assert [text.endswith("one class only") for text in legend(drawn[0])] == [True, True]


def test_loss_curve_draws_what_was_logged(drawn: list[Figure], tmp_path: Path) -> None:
    figures.loss_curve(training_rows(12), tmp_path / "loss_curve.png")
    loss, parts, quality = drawn[0].axes
    train, validation = loss.lines
    assert list(train.get_xdata()) == list(range(10, 121, 10)) and train.get_ydata()[0] == pytest.approx(29.9)
    assert list(validation.get_xdata()) == [40, 80, 120]
    assert parts.get_yscale() == "log"  # 6 and 0.4 in one panel
    assert [text.get_text() for text in parts.texts] == ["discriminator 0.4", "masked LM 6"]
    names = [text.get_text() for text in quality.texts]
    assert names == ["recall 0.7", "discriminator AUROC 0.71"]  # named at the line's end, the lower one first
    heights = [text.get_position()[1] for text in quality.texts]
    assert heights[1] - heights[0] > 0.085  # 0.70 and 0.71 would be printed over each other


def test_loss_curve_of_many_points_is_a_running_mean_over_the_raw_values(drawn: list[Figure], tmp_path: Path) -> None:
    rows = [{"step": str(step), "train/loss": str(step % 2)} for step in range(400)]
    figures.loss_curve(rows, tmp_path / "loss_curve.png")
    raw, mean = drawn[0].axes[0].lines
    assert set(raw.get_ydata()) == {0.0, 1.0}
    assert set(np.round(mean.get_ydata()[9:], 6)) == {0.5}  # of 10 = 400 / 40 values
    assert mean.get_ydata()[0] == 0.0 and mean.get_ydata()[2] == pytest.approx(1 / 3)


def test_loss_curve_of_short_and_broken_runs(drawn: list[Figure], tmp_path: Path) -> None:
    path = tmp_path / "run" / "loss_curve.png"
    figures.loss_curve([], path)
    figures.loss_curve([{"step": "1", "train/loss": "", "val/loss": "nan"}], path)
    assert not path.exists()
    figures.loss_curve([{"step": "1", "train/loss": "3"}, {"step": "2", "train/loss": "inf"}], path)
    assert [len(line.get_xdata()) for line in drawn[0].axes[0].lines] == [1]
    assert [file.name for file in path.parent.iterdir()] == ["loss_curve.png"]  # nothing unfinished beside it


def test_pictures_are_png_of_150_dpi_and_need_no_display(tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = tmp_path / "loss_curve.png"
    figures.loss_curve(training_rows(4), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert imread(path).shape[1] == 8 * 150
    code = (
        "import sys, electra_lab.report.figures as f; assert 'matplotlib' not in sys.modules; "
        "import pathlib; f.confusion_matrix([[1, 0], [0, 1]], 'x', pathlib.Path(sys.argv[1])); "
        "assert 'matplotlib.pyplot' not in sys.modules"  # it would look for a display and keep every figure alive
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.png")], check=True)
