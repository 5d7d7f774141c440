"""Curves as numbers: every point can be done by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.curves import AXES, curves
from electra_lab.metrics import detection_figures

SCORES = np.array([0.9, 0.7, 0.7, 0.2])
LABELS = np.array([1, 0, 1, 0])


def points(name: str, line: str = "message") -> list[tuple[float, float]]:
    return [(x, y) for label, x, y in curves({"message": (SCORES, LABELS)})[name] if label == line]


def test_equal_scores_are_one_point():
    assert points("precision_recall") == [(0.5, 1), (1, 2 / 3), (1, 0.5)]
    assert points("roc") == [(0, 0), (0, 0.5), (0.5, 1), (1, 1)]


def test_the_sweep_counts_alarms_from_the_threshold_on():
    sweep = {figure: dict(points("thresholds", f"message {figure}")) for figure in ("precision", "recall", "F1")}
    assert sweep["recall"][0.7] == 1 and sweep["recall"][0.71] == 0.5 and sweep["recall"][1] == 0
    assert sweep["precision"][0.7] == 2 / 3 and sweep["precision"][0.9] == 1
    assert 0.91 not in sweep["precision"]  # no alarm, no precision
    assert sweep["F1"][0.7] == pytest.approx(0.8) and sweep["F1"][0] == pytest.approx(2 / 3)


def test_calibration_has_every_case_in_one_bin():
    assert sorted(points("calibration")) == [(0.2, 0), (0.7, 0), (0.7, 1), (0.9, 1)]  # fewer cases than bins
    scores = np.linspace(0, 1, 30)
    rows = curves({"window": (scores, (scores > 0.5).astype(np.int64))})["calibration"]
    assert len(rows) == 15 and rows[0] == ("window", pytest.approx(0.5 / 29), 0) and rows[-1][2] == 1


def test_one_class_has_no_curve():
    assert curves({"window": (SCORES, np.ones(4, np.int64))}) == {name: [] for name in AXES}


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 1)), min_size=2, max_size=900))
def test_lines_are_short_and_agree_with_the_figures(cases):
    scores, labels = (np.array(column) for column in zip(*cases, strict=True))
    rows = curves({"message": (scores / 400, labels)})
    if 0 < labels.sum() < len(labels):
        for name in ("precision_recall", "roc"):
            assert len(rows[name]) <= 200 and rows[name][-1][1] == 1
        figures = detection_figures(scores / 400, labels, 0.5)
        sweep = {(line, round(x, 2)): y for line, x, y in rows["thresholds"]}
        assert sweep["message recall", 0.5] == pytest.approx(figures["recall"])
        assert sweep["message F1", 0.5] == pytest.approx(figures["f1"])
        assert sweep.get(("message precision", 0.5)) == pytest.approx(figures["precision"])
