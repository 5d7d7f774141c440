import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.calibration import best_f1_threshold


def f1(scores: torch.Tensor, labels: torch.Tensor, threshold: float) -> float:
    alarms = scores >= threshold
    return float(2 * (alarms & (labels == 1)).sum() / (alarms.sum() + labels.sum()))


def test_by_hand() -> None:
    scores, labels = torch.tensor([0.9, 0.2, 0.6, 0.8, 0.1]), torch.tensor([1, 0, 1, 0, 0])
    assert best_f1_threshold(scores, labels) == pytest.approx(0.4)  # 2 of 2 found with one false alarm: F1 .8


def test_equal_scores_stay_together() -> None:
    scores, labels = torch.tensor([0.7, 0.7, 0.7, 0.3]), torch.tensor([1, 0, 0, 1])
    assert best_f1_threshold(scores, labels) == pytest.approx(0.15)  # all four alarms: F1 2/3, against 2/5


def test_of_equal_f1_the_fewest_alarms() -> None:
    scores, labels = torch.tensor([0.9, 0.8, 0.4]), torch.tensor([1, 0, 1])
    assert f1(scores, labels, 0.85) == pytest.approx(2 / 3)
    assert best_f1_threshold(scores, labels) == pytest.approx(0.2)  # all: .8
    scores, labels = torch.tensor([0.9, 0.8, 0.7, 0.4]), torch.tensor([1, 0, 0, 1])
    assert f1(scores, labels, 0.85) == f1(scores, labels, 0.2)
    assert best_f1_threshold(scores, labels) == pytest.approx(0.85)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_leaves_nothing_to_choose(labels: list[int]) -> None:
    assert best_f1_threshold(torch.rand(len(labels)), torch.tensor(labels)) == 0.5


def test_no_number_between_two_neighbours() -> None:
    one = torch.tensor(1.0)
    low = torch.tensor(0.7)
    for _ in range(2):  # half-way is rounded down from one pair and up from the next
        high = torch.nextafter(low, one)
        threshold = best_f1_threshold(torch.stack([low, high]), torch.tensor([0, 1]))
        assert (torch.stack([low, high]) >= threshold).tolist() == [False, True]
        low = high


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=15))
def test_no_threshold_is_better(pairs: list[tuple[int, bool]]) -> None:
    scores = torch.tensor([score / 6 for score, _ in pairs])
    labels = torch.tensor([int(label) for _, label in pairs])
    if 0 < labels.sum() < len(labels):
        best = max(f1(scores, labels, float(score)) for score in scores)
        assert f1(scores, labels, best_f1_threshold(scores, labels)) == pytest.approx(best)
