"""The one evaluator: every figure of a small part by hand, and what a comparison may claim."""

import time

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.parts import Part
from electra_lab.decisions import Logits
from electra_lab.evaluation import Scores, aligned, evaluate, measurable, paired_difference, random_scores
from electra_lab.metrics import Collected

THRESHOLDS = {"message": 0.5, "window": 0.5, "conversation": 0.5}


def part_of_labels(chats, window=2):
    """A part of conversations of (label, kind) pairs; a kind makes a message foreign; windows one after another."""
    conversations = [
        Conversation(
            str(number),
            tuple(
                Message("말", label=None if label < 0 else label, source=kind and "x", kind=kind)
                for label, kind in chat
            ),
        )
        for number, chat in enumerate(chats)
    ]
    messages = [message for conversation in conversations for message in conversation.messages]
    ends = np.cumsum([len(chat) for chat in chats])
    bounds = np.stack([ends - [len(chat) for chat in chats], ends], axis=1)
    windows = [(at, min(at + window, end)) for start, end in bounds.tolist() for at in range(start, end, window)]
    return Part(
        conversations,
        messages,
        np.array([label for chat in chats for label, _ in chat]),
        np.array([kind is not None for chat in chats for _, kind in chat]),
        np.array(windows),
        bounds,
    )


@pytest.fixture(scope="module")
def part():
    plain = [(0, None)] * 4
    return part_of_labels(
        [
            [(0, None), (0, None), (1, "threat"), (1, "threat")],
            [(0, None), (0, "everyday"), (0, None), (0, None)],
            [(1, "curse"), (0, None), (-1, None), (0, None)],
            plain,
        ]
    )


@pytest.fixture(scope="module")
def scores():
    message = [0.1, 0.6, 0.8, 0.4, 0.2, 0.7, 0.1, 0.1, 0.3, 0.3, 0.9, 0.2, 0.1, 0.1, 0.1, 0.1]
    return Scores(np.array(message), np.array([0.6, 0.9, 0.7, 0.1, 0.3, 0.9, 0.2, 0.1]), np.array([0.9, 0.7, 0.4, 0.2]))


def test_messages_by_hand(part, scores):
    figures = evaluate(part, scores, THRESHOLDS)["message"]
    assert (figures["num"], figures["num_positive"], figures["prevalence"]) == (15, 3, 0.2)  # one has no label
    assert figures["confusion"] == [[10, 2], [2, 1]]
    # what earlier work called precision was tn / (tn + fp) = 10 / 12
    assert figures["precision"] == pytest.approx(1 / 3) and figures["recall"] == pytest.approx(1 / 3)
    assert figures["accuracy"] == pytest.approx(11 / 15)
    assert figures["f1"] == pytest.approx(2 * 1 / (3 + 3)) and figures["f2"] == pytest.approx(5 / (3 + 12))
    known = part.labels >= 0
    assert figures["auroc"] == pytest.approx(sklearn_metrics.roc_auc_score(part.labels[known], scores.message[known]))
    assert figures["average_precision"] == pytest.approx(
        sklearn_metrics.average_precision_score(part.labels[known], scores.message[known])
    )
    assert figures["recall_at_fpr_1"] == pytest.approx(1 / 3)  # .8 alone stands above every negative
    assert figures["brier"] == pytest.approx(
        sklearn_metrics.brier_score_loss(part.labels[known], scores.message[known])
    )
    # the highest of the first conversation is anomalous; in the third two are highest, one of them is
    assert figures["hit_at_1"] == pytest.approx((1 + 1 / 2) / 2)
    assert figures["chance_hit_at_1"] == pytest.approx((2 / 4 + 1 / 3) / 2)
    assert figures["recall_by_kind"] == {"curse": {"recall": 0.0, "num": 1}, "threat": {"recall": 0.5, "num": 2}}


def test_windows_by_hand(part, scores):
    figures = evaluate(part, scores, THRESHOLDS)["window"]
    assert figures["confusion"] == [[3, 2], [1, 1]]  # the window of the unknown message is left out
    assert (figures["false_positive_rate_harmless"], figures["num_harmless"]) == (1.0, 1)
    assert (figures["false_positive_rate_plain"], figures["num_plain"]) == (0.25, 4)


def test_conversations_by_hand(part, scores):
    figures = evaluate(part, scores, THRESHOLDS)["conversation"]
    assert figures["confusion"] == [[1, 1], [1, 1]] and figures["auroc"] == 0.75
    assert figures["average_precision"] == pytest.approx((1 + 2 / 3) / 2)


def test_what_was_not_scored_is_left_out(part, scores):
    only = evaluate(part, Scores(window=scores.window), {"window": 0.5})
    assert list(only) == ["window"]
    halves = scores.message.copy()
    halves[8:] = np.nan
    figures = evaluate(part, Scores(message=halves), THRESHOLDS)["message"]
    assert figures["num"] == 8 and figures["hit_at_1"] == 1.0 and list(figures["recall_by_kind"]) == ["threat"]


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_not_measured(label):
    part = part_of_labels([[(label, None)] * 3, [(label, None)]])
    for figures in evaluate(part, random_scores(part), THRESHOLDS).values():
        needs_both = ("auroc", "average_precision", "f1", "f2", "precision", "recall", "recall_at_fpr_1")
        assert [figures[name] for name in needs_both] == [None] * 7
        assert set(figures["interval"].values()) == {None}
        assert figures["num"] > 0 and 0 <= figures["accuracy"] <= 1
    scores = random_scores(part)
    assert np.isnan(paired_difference(part, scores, scores, "message")).all()


def test_nothing_with_a_label():
    part = part_of_labels([[(-1, None)] * 3])
    figures = evaluate(part, random_scores(part), THRESHOLDS, unscaled=random_scores(part))
    assert figures["window"]["num"] == 0 and figures["message"]["accuracy"] is None
    assert figures["message"]["hit_at_1"] is None and figures["window"]["false_positive_rate_plain"] is None


def test_errors_of_probabilities_before_and_after_scaling(part, scores):
    figures = evaluate(part, scores, THRESHOLDS, unscaled=Scores(message=np.ones(16)))
    assert figures["message"]["brier_unscaled"] == pytest.approx(12 / 15)
    assert figures["message"]["ece_unscaled"] == pytest.approx(12 / 15)
    assert "ece_unscaled" not in figures["window"]


def large_part(num_conversations, length, seed, share=0.15):
    """Conversations of which some have anomalous messages, and a detector that sees about half of them."""
    random = np.random.default_rng(seed)
    chats = []
    for _ in range(num_conversations):
        labels = np.zeros(length, int)
        if random.random() < share:
            labels[random.integers(0, length, 3)] = 1
        chats.append([(label, None) for label in labels.tolist()])
    part = part_of_labels(chats, window=5)
    message = random.random(len(part.messages)) * 0.7 + 0.3 * part.labels * (random.random(len(part.messages)) < 0.6)
    window = np.maximum.reduceat(message, part.windows[:, 0])
    return part, Scores(message, window, np.maximum.reduceat(message, part.bounds[:, 0]))


def test_intervals_hold_the_figure_are_reproducible_and_narrow_with_more_conversations():
    widths = []
    for number in (60, 600):
        part, scores = large_part(number, 20, seed=1)
        figures = evaluate(part, scores, THRESHOLDS, draws=100)
        for values in figures.values():
            for name, (low, high) in values["interval"].items():
                assert low <= values[name] <= high
        assert evaluate(part, scores, THRESHOLDS, draws=100) == figures
        assert evaluate(part, scores, THRESHOLDS, draws=100, seed=1) != figures
        widths.append(np.subtract(*figures["message"]["interval"]["average_precision"][::-1]))
    assert widths[1] < 0.5 * widths[0]


@pytest.mark.slow
def test_the_bootstrap_of_fifteen_thousand_messages_is_a_matter_of_seconds():
    part, scores = large_part(250, 60, seed=2)
    started = time.process_time()
    evaluate(part, scores, THRESHOLDS)
    assert time.process_time() - started < 2


def test_chance_reaches_the_prevalence():
    part, _ = large_part(600, 20, seed=3)
    figures = evaluate(part, random_scores(part, seed=5), THRESHOLDS, draws=50)
    for values in figures.values():
        assert values["auroc"] == pytest.approx(0.5, abs=0.06)
        low, high = values["interval"]["average_precision"]
        assert values["average_precision"] < 1.6 * values["prevalence"] and low < 1.3 * values["prevalence"] < 2 * high
    assert figures["message"]["hit_at_1"] == pytest.approx(figures["message"]["chance_hit_at_1"], abs=0.1)
    first, again = random_scores(part, seed=5), random_scores(part, seed=6)
    assert np.array_equal(first.window, random_scores(part, seed=5).window)
    assert not np.array_equal(first.window, again.window)


@pytest.mark.parametrize("level", ["message", "window", "conversation"])
def test_a_detector_does_not_differ_from_itself(level):
    part, scores = large_part(80, 20, seed=4)
    for figure in ("average_precision", "auroc", "recall_at_fpr_1"):
        assert paired_difference(part, scores, scores, level, figure, draws=100) == (0.0, 0.0, 0.0)


def test_paired_difference_sees_what_two_intervals_do_not():
    """The same detector with a little noise is surely worse, though the intervals of both lie over each other."""
    part, scores = large_part(200, 20, seed=5)
    random = np.random.default_rng(0)
    worse = Scores(message=scores.message + random.normal(0, 0.06, len(scores.message)))
    difference, low, high = paired_difference(part, scores, worse, "message", draws=300)
    assert 0 < low < difference < high
    one, other = (
        evaluate(part, Scores(message=of.message), THRESHOLDS, draws=300)["message"] for of in (scores, worse)
    )
    assert one["interval"]["average_precision"][0] < other["interval"]["average_precision"][1]
    assert difference == pytest.approx(one["average_precision"] - other["average_precision"])
    mirrored = paired_difference(part, worse, scores, "message", draws=300)
    assert mirrored == pytest.approx((-difference, -high, -low))


def test_an_impossible_comparison_gets_a_sentence(part, scores):
    with pytest.raises(ValueError, match="average_precision, auroc, recall_at_fpr_1 at message, window, conversation"):
        paired_difference(part, scores, scores, "message", "f1")
    with pytest.raises(ValueError, match="no scores at level 'window'"):
        paired_difference(part, scores, Scores(message=scores.message), "window")


def test_the_threshold_is_not_of_the_test(part, scores):
    """Earlier work tuned on what it reported: here what is scored has no say in the threshold that is used."""
    for threshold in (0.05, 0.35, 0.95):
        for values in evaluate(part, scores, dict.fromkeys(THRESHOLDS, threshold)).values():
            assert values["threshold"] == threshold
            assert sum(map(sum, values["confusion"])) == values["num"]
    with pytest.raises(KeyError):
        evaluate(part, scores, {})


def test_scores_of_a_test_find_their_places(part):
    collected = Collected(
        Logits(np.zeros(2), np.array([0, 1]), np.zeros(3)),
        {},
        np.array([[2, 4], [4, 6]]),
        np.array([2, 3, 5]),
        np.array([0, 1]),
    )
    values = {
        "message": np.array([0.2, 0.3, 0.5]),
        "window": np.array([0.6, 0.7]),
        "conversation": np.array([0.8, 0.9]),
    }
    found = aligned(part, collected, values)
    assert np.flatnonzero(~np.isnan(found.message)).tolist() == [2, 3, 5] and found.message[5] == 0.5
    assert np.flatnonzero(~np.isnan(found.window)).tolist() == [1, 2] and found.window[2] == 0.7
    assert found.conversation[:2].tolist() == [0.8, 0.9] and np.isnan(found.conversation[2:]).all()
    assert measurable(part, "window", found.window)[1].tolist() == [1, 0]
