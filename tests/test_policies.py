"""Alarms on harmless insertions at several policies, by hand."""

import numpy as np

from electra_lab.data.parts import Part
from electra_lab.evaluation import Scores
from experiments.policies import POLICIES, Alarms, alarms, as_lines


def part(labels: list[int], foreign: list[int]) -> Part:
    """Windows of one message each."""
    number = len(labels)
    bounds = np.stack([np.arange(number), np.arange(1, number + 1)], axis=1)
    return Part([], [], np.array(labels), np.array(foreign, bool), bounds, bounds)  # type: ignore[arg-type]


def test_by_hand() -> None:
    validation = part([1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0])
    on_validation = Scores(window=np.array([0.9, 0.5, 0.6, 0.2, 0.1, 0.0]))
    # thresholds: max F1 and F2 take .5 (2 of 2, one false alarm); no false alarm is allowed only above .6
    test = part([1, 1, 0, 0, 0, -1], [1, 1, 1, 1, 0, 1])
    on_test = Scores(window=np.array([0.8, 0.55, 0.56, 0.1, 0.95, 0.99]))
    found = alarms(validation, on_validation, test, on_test)
    assert found["max_f1"] == found["max_f2"] == Alarms(found=2, anomalous=2, harmless=1, num_harmless=2, alarms=4)
    assert (
        found["fpr<=0.01"] == found["fpr<=0.05"] == Alarms(found=1, anomalous=2, harmless=0, num_harmless=2, alarms=2)
    )
    assert alarms(validation, Scores(), test, on_test) == {}


def test_runs_of_a_row_are_summed() -> None:
    one = dict.fromkeys(POLICIES, Alarms(1, 4, 2, 10, 2))
    other = dict.fromkeys(POLICIES, Alarms(2, 4, 0, 10, 4))
    none = dict.fromkeys(POLICIES, Alarms(0, 4, 0, 10, 0))
    lines = as_lines([("ours", one), ("theirs", none), ("ours", other), ("nobody", {})])
    assert lines[2:] == [
        "| ours |" + " 2 of 20; 0.38, 0.50 |" * len(POLICIES),
        "| theirs |" + " 0 of 10; 0.00, n/a |" * len(POLICIES),
    ]
