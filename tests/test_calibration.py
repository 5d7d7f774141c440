"""Thresholds keep their policy, temperatures find the truth, and what cannot be chosen is not invented."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.calibration import (
    brier,
    calibrated,
    check_policy,
    expected_calibration_error,
    is_met,
    logit,
    sigmoid,
    temperature,
    threshold,
)

POLICIES = ["max_f1", "max_f2", "fpr<=0.01", "fpr<=0.3", "precision>=0.9", "precision>=0.5"]


def counts(scores, labels, cut):
    """Right alarms, all alarms, positives, negatives."""
    alarms = np.asarray(scores) >= cut
    positives = np.asarray(labels) == 1
    return (alarms & positives).sum(), alarms.sum(), positives.sum(), (~positives).sum()


def f_beta(scores, labels, cut, beta=1.0):
    right, alarms, positives, _ = counts(scores, labels, cut)
    return (1 + beta**2) * right / (alarms + beta**2 * positives)


def test_f1_by_hand():
    scores, labels = [0.9, 0.2, 0.6, 0.8, 0.1], [1, 0, 1, 0, 0]
    assert threshold("max_f1", scores, labels) == pytest.approx(0.4)  # 2 of 2 found with one false alarm: F1 .8


def test_f2_accepts_more_false_alarms():
    scores, labels = [0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 0, 0, 1]
    assert threshold("max_f1", scores, labels) == pytest.approx(0.85)  # 2 / 3 against 4 / 7 with all
    assert threshold("max_f2", scores, labels) == pytest.approx(0.25)  # all: 10 / 13 against 5 / 9


def test_limits_by_hand():
    scores, labels = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 1, 1, 0, 0]
    assert threshold("fpr<=0", scores, labels) == pytest.approx(0.85)
    assert threshold("fpr<=0.34", scores, labels) == pytest.approx(0.55)  # one of three; not .45: nothing more found
    assert threshold("fpr<=0.33", scores, labels) == pytest.approx(0.85)
    assert threshold("precision>=0.75", scores, labels) == pytest.approx(0.55)  # 3 of 4, though 1 of 2 comes before
    assert threshold("precision>=1", scores, labels) == pytest.approx(0.85)


def test_equal_scores_stay_together():
    scores, labels = [0.7, 0.7, 0.7, 0.3], [1, 0, 0, 1]
    assert threshold("max_f1", scores, labels) == pytest.approx(0.15)  # all four alarms: F1 2/3, against 2/5
    assert threshold("fpr<=0.5", scores, labels) == pytest.approx(0.85)  # the first alarm would bring two false ones


def test_of_equally_good_ones_the_fewest_alarms():
    scores, labels = [0.9, 0.8, 0.7, 0.4], [1, 0, 0, 1]
    assert f_beta(scores, labels, 0.85) == f_beta(scores, labels, 0.2)
    assert threshold("max_f1", scores, labels) == pytest.approx(0.85)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_leaves_nothing_to_choose(policy, labels):
    assert threshold(policy, np.linspace(0, 1, len(labels)), labels) == 0.5
    assert temperature(np.linspace(-1, 1, len(labels)), labels) == 1.0


def test_a_policy_that_cannot_be_met_raises_no_alarm_and_says_so():
    for highest, expected in ((0.8, 0.9), (1.0, np.nextafter(1, 2))):
        scores, labels = [highest, 0.5, 0.1], [0, 1, 0]
        for policy in ("precision>=0.9", "fpr<=0.01"):
            cut = threshold(policy, scores, labels)
            assert cut == pytest.approx(expected) and cut > highest
            assert not is_met(policy, scores, labels, cut)
    found = calibrated("precision>=0.9", logit([0.8, 0.5, 0.1]), [0, 1, 0])
    assert not found.is_met and found.review < found.threshold  # max_f2 still says what is worth a look
    assert calibrated("max_f1", logit([0.8, 0.5, 0.1]), [0, 1, 0]).is_met


def test_no_number_between_two_neighbours():
    low = 0.7
    for _ in range(2):  # half-way is rounded down from one pair and up from the next
        high = np.nextafter(low, 1)
        assert ([low, high] >= np.float64(threshold("max_f1", [low, high], [0, 1]))).tolist() == [False, True]
        low = high


@pytest.mark.parametrize("policy", ["f1", "max_f3", "fpr<0.01", "fpr<=", "precision>=2", "fpr<=one", "precision>=-0.1"])
def test_an_unknown_policy_is_told_the_known_ones(policy):
    with pytest.raises(ValueError, match=r"max_f1, max_f2, fpr<=X and precision>=X"):
        check_policy(policy)
    with pytest.raises(ValueError, match="such as"):
        threshold(policy, [0.1, 0.9], [0, 1])


SCORED = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=15)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(SCORED, st.sampled_from(POLICIES))
def test_thresholds_keep_their_policy_and_none_is_better(pairs, policy):
    scores, labels = np.array([score / 6 for score, _ in pairs]), np.array([int(label) for _, label in pairs])
    if labels.min() == labels.max():
        return
    cut = threshold(policy, scores, labels)
    right, alarms, _, negatives = counts(scores, labels, cut)
    limit = float(policy.split("=")[1]) if "=" in policy else 0.0
    kept = []  # what could have been found
    for other in [*scores, 2.0]:
        hits, raised, *_ = counts(scores, labels, other)
        if "fpr" in policy and raised - hits <= limit * negatives:
            kept.append(hits)
        if "precision" in policy and raised and hits >= limit * raised:
            kept.append(hits)
    if policy.startswith("max"):
        beta = float(policy[-1])
        best = max(f_beta(scores, labels, score, beta) for score in scores)
        assert f_beta(scores, labels, cut, beta) == pytest.approx(best)
    else:
        assert right == max(kept, default=0)
        assert is_met(policy, scores, labels, cut) == (right > 0)
        assert alarms == 0 or (alarms - right <= limit * negatives if "fpr" in policy else right >= limit * alarms)


@pytest.mark.parametrize("truth", [0.4, 1.0, 3.0])
def test_temperature_finds_a_known_one(truth):
    random = np.random.default_rng(0)
    honest = random.normal(-1, 2, 20_000)
    labels = (random.random(20_000) < sigmoid(honest)).astype(int)
    logits = honest * truth
    assert temperature(logits, labels) == pytest.approx(truth, rel=0.05)
    both = np.stack([random.normal(size=20_000), np.zeros(20_000)], axis=1)
    both[:, 1] = both[:, 0] + logits
    assert temperature(both, labels) == pytest.approx(temperature(logits, labels))
    before, after = (
        expected_calibration_error(sigmoid(logits / by), labels) for by in (1, temperature(logits, labels))
    )
    assert after < 0.012 and (truth == 1.0 or after < before / 5)


def test_temperature_is_where_the_likelihood_is_highest():
    random = np.random.default_rng(1)
    logits, labels = random.normal(0, 1, 300), random.integers(0, 2, 300)
    labels[logits > 0.5] = 1
    targets = np.where(labels == 1, (labels.sum() + 1) / (labels.sum() + 2), 1 / ((1 - labels).sum() + 2))

    def nll(by):
        scores = sigmoid(logits / by)
        return -np.mean(targets * np.log(scores) + (1 - targets) * np.log(1 - scores))

    found = temperature(logits, labels)
    assert nll(found) <= min(nll(by) for by in np.geomspace(0.1, 20, 300)) + 1e-9


def test_temperature_stays_within_bounds_and_certainty_is_not_given_for_a_few_cases():
    assert temperature([1e4, -1e4, 1e4, -1e4], [0, 1, 0, 1]) == pytest.approx(20)  # always wrong
    assert temperature([1e-3, -1e-3] * 10, [1, 0] * 10) == pytest.approx(0.05)
    few = [3.0, 2.0, -2.0, -3.0]
    assert sigmoid(3.0 / temperature(few, [1, 1, 0, 0])) < 0.9  # told apart without a mistake, but only four


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=12), st.floats(1.0, 20.0))
def test_temperature_changes_no_order(logits, by):
    order = np.argsort(logits, kind="stable")
    assert (np.diff(sigmoid(np.array(logits) / by)[order]) >= 0).all()


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.floats(-700, 30))
def test_logit_undoes_sigmoid(value):
    assert logit(sigmoid(value)) == pytest.approx(value, rel=1e-3, abs=1e-9)


def test_no_probability_is_without_a_logit():
    assert np.isfinite(logit([0.0, 1.0, 1e-320])).all() and sigmoid([-1e5, 1e5]).tolist() == [0.0, 1.0]


def test_brier_by_hand():
    assert brier([0.5, 1.0, 0.2], [1, 1, 0]) == pytest.approx((0.25 + 0 + 0.04) / 3)


def test_calibration_error_by_hand():
    # 30 cases, two a bin. The bin of .1 and .2 has no positive (gap .15); all other 14 bins hold .5 and .5, half right.
    scores = np.array([0.1, 0.2, *[0.5] * 28])
    labels = np.array([0, 0, *[0, 1] * 14])
    assert expected_calibration_error(scores, labels) == pytest.approx(0.15 / 15)
    assert expected_calibration_error([1.0, 0.0], [0, 1]) == 1.0  # fewer cases than bins
    assert expected_calibration_error([0.25], [0]) == 0.25


def test_calibration_error_does_not_depend_on_the_order_of_equal_scores():
    """Cut into bins as they come, all negatives first, a perfect constant would seem .5 off."""
    labels = np.array([0] * 50 + [1] * 50)
    assert expected_calibration_error(np.full(100, 0.5), labels) == pytest.approx(0)
    random = np.random.default_rng(0)
    scores = random.integers(0, 5, 100) / 5
    order = random.permutation(100)
    assert expected_calibration_error(scores, labels) == pytest.approx(
        expected_calibration_error(scores[order], labels[order])
    )
