"""The score of a conversation, by hand and by a naive loop; bands; and the path from logits to all three levels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.calibration import sigmoid
from electra_lab.decisions import (
    LEVELS,
    Logits,
    band,
    calibrate,
    conversation_rule,
    conversation_scores,
    highest,
    k_of_last_n,
    level_scores,
    noisy_or,
    rescaled,
)

NO_SCALING = dict.fromkeys(LEVELS, 1.0)


def latched(scores, cut, k, n):
    """The warning of Vogt et al.: once k of the last n windows were alarms it stays; short ones need all."""
    alarms = [score >= cut for score in scores]
    return any(sum(alarms[max(0, now + 1 - n) : now + 1]) >= min(k, len(scores)) for now in range(len(scores)))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 8), min_size=1, max_size=14), st.integers(1, 5), st.integers(0, 4))
def test_k_of_last_n_is_a_score_for_every_threshold(values, k, more):
    scores, n = np.array(values) / 8, k + more
    found = k_of_last_n(scores, k, n)
    for cut in np.linspace(0, 1, 17):
        assert (found >= cut) == latched(scores, cut, k, n)


def test_decisions_by_hand():
    scores = np.array([0.9, 0.1, 0.1, 0.6, 0.5, 0.1])
    assert highest(scores) == 0.9
    assert k_of_last_n(scores, 2, 2) == 0.5 and k_of_last_n(scores, 2, 4) == 0.6 and k_of_last_n(scores, 1, 1) == 0.9
    assert k_of_last_n(scores, 5, 10) == 0.1
    assert noisy_or(np.array([0.5, 0.2])) == pytest.approx(1 - 0.5 * 0.8)
    assert noisy_or(np.array([0.3, 1.0])) == 1.0 and noisy_or(np.array([1e-20, 0.0])) == pytest.approx(1e-20)


def test_rules_are_found_by_name():
    scores = np.array([0.2, 0.7, 0.4])
    assert conversation_rule("max") is highest and conversation_rule("noisy_or") is noisy_or
    assert conversation_rule("2_of_last_3")(scores) == 0.4
    assert conversation_rule("5_of_last_10")(scores) == 0.2
    for name in ("mean", "3_of_last_2", "0_of_last_2"):
        with pytest.raises(ValueError, match=r"max, noisy_or, 5_of_last_10.*2_of_last_3"):
            conversation_rule(name)


def test_each_conversation_has_its_windows():
    scores = np.array([0.1, 0.3, 0.9, 0.2, 0.4])
    assert conversation_scores(highest, scores, np.array([3, 3, 5, 7, 7])).tolist() == [0.3, 0.9, 0.4]
    assert conversation_scores(highest, scores[:0], np.array([], int)).tolist() == []


def test_bands():
    assert [band(score, 0.2, 0.6) for score in (0.1, 0.2, 0.59, 0.6, 1.0)] == [
        "clear",
        "review",
        "review",
        "alert",
        "alert",
    ]
    assert band(0.5, 0.5, 0.5) == "alert"


def test_levels_by_hand():
    logits = Logits(np.array([2.0, -2.0, 0.0]), np.array([0, 0, 1]), np.array([1.0, -4.0]))
    scores = level_scores(logits, {"window": 2.0, "message": 4.0, "conversation": 1.0}, highest)
    assert scores["window"].tolist() == pytest.approx(sigmoid([1, -1, 0]).tolist())
    assert scores["message"].tolist() == pytest.approx(sigmoid([0.25, -1]).tolist())
    assert scores["conversation"].tolist() == [scores["window"][0], 0.5]  # untouched: exactly that of its window
    scores = level_scores(logits, {"window": 2.0, "message": 4.0, "conversation": 0.5}, highest)
    assert scores["conversation"].tolist() == pytest.approx(sigmoid([2, 0]).tolist())
    assert rescaled(np.array([0.0, 0.3, 1.0]), 2.0).tolist() == pytest.approx([0, 0.3957, 1], abs=1e-4)


@pytest.mark.parametrize("rule", ["max", "2_of_last_3", "noisy_or"])
def test_calibration_of_all_levels(rule):
    random = np.random.default_rng(0)
    conversations = np.repeat(np.arange(1000), 5)
    truth = random.normal(-2, 2, 5000)
    labels = (random.random(5000) < sigmoid(truth)).astype(int)
    of_conversations = np.array([labels[conversations == number].max() for number in range(1000)])
    unknown = np.where(random.random(5000) < 0.1, -1, labels)
    logits = Logits(truth * 5, conversations, truth / 3)
    known = {"window": unknown, "message": unknown, "conversation": of_conversations}
    found = calibrate(logits, known, "fpr<=0.05", conversation_rule(rule))
    assert found["window"].temperature == pytest.approx(5, rel=0.1)
    assert found["message"].temperature == pytest.approx(1 / 3, rel=0.1)
    temperatures = {level: found[level].temperature for level in LEVELS}
    scores = level_scores(logits, temperatures, conversation_rule(rule))
    for level in LEVELS:  # chosen on the scores that will be compared with it
        assert (scores[level] >= found[level].threshold)[known[level] == 0].mean() <= 0.05
        assert (scores[level] >= found[level].threshold)[known[level] == 1].mean() > 0.1
        assert found[level].review <= found[level].threshold and found[level].is_met
    plain = level_scores(logits, NO_SCALING, conversation_rule("max"))
    assert (np.argsort(plain["window"]) == np.argsort(scores["window"])).mean() > 0.99
