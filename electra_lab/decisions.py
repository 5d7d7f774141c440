"""From the scores of windows to that of their conversation, and from a score to what is to be done."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from electra_lab.calibration import Calibration, calibrated, logit, sigmoid

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Rule = Callable[[Floats], float]  # scores of a conversation's windows in order -> score of the conversation

LEVELS = ("window", "message", "conversation")
BANDS = ("alert", "review", "clear")

_K_OF_LAST_N = re.compile(r"(\d+)_of_last_(\d+)")


class Logits(NamedTuple):
    """What a detector says about conversations; windows and messages in their order."""

    window: Floats  # (W,)
    conversation_of_window: Integers  # (W,)
    message: Floats  # (M,) mean over the windows a message is in


def highest(scores: Floats) -> float:
    """The score of the highest window."""
    return float(scores.max())


def k_of_last_n(scores: Floats, k: int = 5, n: int = 10) -> float:
    """The highest score that at some moment k of the last n windows reach, once and for all.

    An alarm at a threshold is then the latched warning of Vogt, Leser and Akbik, "Early Detection of Sexual Predators
    in Chats" (ACL 2021): "skepticism" 5 of the last 10. A conversation of fewer than k windows needs all of them.

    Args:
        scores: (w,) in the order of the windows, at least one.
        k: windows that must reach it.
        n: windows that are looked at together.
    """
    before = np.full(n - 1, -np.inf)
    together = np.lib.stride_tricks.sliding_window_view(np.concatenate([before, scores]), n)  # (w, n)
    return float(np.sort(together, axis=1)[:, -min(k, len(scores))].max())


def noisy_or(scores: Floats) -> float:
    """The probability that any window is anomalous if they were independent: 1 - prod(1 - score)."""
    with np.errstate(divide="ignore"):  # a score of 1 decides alone
        return float(-np.expm1(np.log1p(-scores).sum()))


def conversation_rule(name: str) -> Rule:
    """The rule of that name: one of DECISIONS, or K_of_last_N with numbers.

    Raises:
        ValueError: there is no such rule.
    """
    numbers = _K_OF_LAST_N.fullmatch(name)
    if numbers and 1 <= int(numbers[1]) <= int(numbers[2]):
        return partial(k_of_last_n, k=int(numbers[1]), n=int(numbers[2]))
    if name not in DECISIONS:
        raise ValueError(
            f"there is no decision {name!r}; known are {', '.join(DECISIONS)}, the last also with other numbers, "
            "such as 2_of_last_3"
        )
    return DECISIONS[name]


def conversation_scores(rule: Rule, window_scores: Floats, conversation_of_window: Integers) -> Floats:
    """Score of each conversation, (C,), in the order in which their windows come.

    Args:
        rule: from `conversation_rule`.
        window_scores: (W,) of all conversations one after another, each in the order of its windows.
        conversation_of_window: (W,).
    """
    starts = np.flatnonzero(np.diff(conversation_of_window)) + 1
    return np.array([rule(scores) for scores in np.split(window_scores, starts) if len(scores)], dtype=np.float64)


def level_scores(logits: Logits, temperatures: Mapping[str, float], rule: Rule) -> dict[str, Floats]:
    """Probabilities of each level, (W,), (M,), (C,): the one path for validation, test and prediction.

    Args:
        logits: of a detector.
        temperatures: of each level; the conversation's applies to what the rule makes of window probabilities.
        rule: from `conversation_rule`.
    """
    windows = sigmoid(logits.window / temperatures["window"])
    conversations = conversation_scores(rule, windows, logits.conversation_of_window)
    return {
        "window": windows,
        "message": sigmoid(logits.message / temperatures["message"]),
        "conversation": rescaled(conversations, temperatures["conversation"]),
    }


def calibrate(logits: Logits, labels: Mapping[str, Integers], policy: str, rule: Rule) -> dict[str, Calibration]:
    """Temperature and thresholds of each level, from validation data.

    Args:
        logits: of a detector.
        labels: (W,), (M,), (C,): 1, 0 or -1, which is left out.
        policy: see `calibration.threshold`.
        rule: from `conversation_rule`.
    """

    def of_level(level: str, values: Floats) -> Calibration:
        known = labels[level] >= 0
        return calibrated(policy, values[known], labels[level][known])

    window, message = of_level("window", logits.window), of_level("message", logits.message)
    temperatures = {"window": window.temperature, "message": 1.0, "conversation": 1.0}
    conversations = level_scores(logits, temperatures, rule)["conversation"]
    return {"window": window, "message": message, "conversation": of_level("conversation", logit(conversations))}


def rescaled(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities after their logits were divided by a temperature; at 1 the very same."""
    return probabilities if temperature == 1 else sigmoid(logit(probabilities) / temperature)


def band(score: float, review: float, alert: float) -> str:
    """What a score calls for: "alert" from the alert threshold on, "review" from the lower one on, else "clear"."""
    return "alert" if score >= alert else "review" if score >= review else "clear"


DECISIONS: dict[str, Rule] = {"max": highest, "noisy_or": noisy_or, "5_of_last_10": k_of_last_n}
