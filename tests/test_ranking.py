"""Figures of weighted scores equal scikit-learn's, and bootstrap intervals cover what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from electra_lab.ranking import FIGURES, bootstrap_weights, figures, interval, ranking


def recall_at(scores, labels, allowed=0.01):
    """By trying every threshold."""
    negatives = labels == 0
    cuts = [np.inf, *scores]
    return max((scores[~negatives] >= cut).mean() for cut in cuts if (scores[negatives] >= cut).mean() <= allowed)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 5, 1000]), st.integers(2, 40))
def test_figures_equal_another_librarys(seed, steps, number):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, number)
    labels[:2] = [0, 1]
    scores = random.integers(0, steps, number) / steps  # with ties
    cut = random.random()
    found = figures(ranking(scores, labels, np.zeros(number, int), cut), np.ones((1, 1), int))
    assert found["average_precision"][0] == pytest.approx(sklearn_metrics.average_precision_score(labels, scores))
    assert found["auroc"][0] == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores))
    assert found["f1"][0] == pytest.approx(sklearn_metrics.f1_score(labels, scores >= cut, zero_division=0))
    assert found["recall_at_fpr_1"][0] == pytest.approx(recall_at(scores, labels))


def test_recall_at_one_percent_by_hand():
    # 200 negatives: two may be above the cut, the third not.
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, *[0.1] * 197])
    labels = np.array([1, 0, 1, 0, 1, 0, 1, *[0] * 197])
    found = figures(ranking(scores, labels, np.zeros(204, int)), np.ones((1, 1), int))
    assert found["recall_at_fpr_1"][0] == pytest.approx(3 / 4)


def test_a_weighting_is_the_sample_that_it_stands_for():
    random = np.random.default_rng(3)
    conversations = np.sort(random.integers(0, 12, 300))
    labels, scores = random.integers(0, 2, 300), random.integers(0, 40, 300) / 40
    weights = bootstrap_weights(12, 25, seed=1)
    assert (weights.sum(1) == 12).all()
    found = figures(ranking(scores, labels, conversations, 0.4), weights)
    for number, weight in enumerate(weights):
        sample = np.repeat(np.arange(300), weight[conversations])
        expected = {
            "average_precision": sklearn_metrics.average_precision_score(labels[sample], scores[sample]),
            "auroc": sklearn_metrics.roc_auc_score(labels[sample], scores[sample]),
            "f1": sklearn_metrics.f1_score(labels[sample], scores[sample] >= 0.4),
            "recall_at_fpr_1": recall_at(scores[sample], labels[sample]),
        }
        assert {name: found[name][number] for name in FIGURES} == pytest.approx(expected)


def test_chunks_change_nothing(monkeypatch):
    random = np.random.default_rng(4)
    ranked = ranking(random.random(50), random.integers(0, 2, 50), random.integers(0, 5, 50))
    weights = bootstrap_weights(5, 30, seed=0)
    expected = figures(ranked, weights)
    monkeypatch.setattr("electra_lab.ranking._AT_ONCE", 200)
    assert all(np.array_equal(figures(ranked, weights)[name], expected[name], equal_nan=True) for name in FIGURES)


def test_draws_without_both_classes_are_not_counted():
    ranked = ranking([0.9, 0.1, 0.5], [1, 0, 0], [0, 1, 1])
    found = figures(ranked, np.array([[2, 0], [0, 2], [1, 1]]))["auroc"]
    assert np.isnan(found).tolist() == [True, True, False]
    assert interval(found) == [1.0, 1.0]
    assert interval(np.array([np.nan])) is None


def test_intervals_cover_the_truth_where_messages_of_a_conversation_hang_together():
    """40 conversations of 10 scores that share a shift: the interval over conversations holds the true AUROC in most
    of 80 worlds (95 % promised, percentile intervals of 40 are a little short); one over single scores is too narrow.
    """
    random = np.random.default_rng(0)

    def world(number):
        labels = random.integers(0, 2, number)
        shift = random.normal(0, 1, number)
        return np.repeat(labels, 10), np.repeat(labels + shift, 10) + random.normal(0, 0.3, number * 10)

    truth = sklearn_metrics.roc_auc_score(*world(20_000))
    covered = {"conversations": 0, "messages": 0}
    for seed in range(80):
        labels, scores = world(40)
        for name, groups in (("conversations", np.repeat(np.arange(40), 10)), ("messages", np.arange(400))):
            drawn = figures(ranking(scores, labels, groups), bootstrap_weights(groups[-1] + 1, 200, seed))["auroc"]
            low, high = interval(drawn)
            covered[name] += low <= truth <= high
    assert covered["conversations"] >= 0.85 * 80
    assert covered["messages"] < 0.65 * 80
