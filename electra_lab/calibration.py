"""From scores to decisions: thresholds, chosen on validation data and never on the test."""

import torch
from torch import Tensor

UNDECIDED = 0.5  # the threshold where the labels cannot say anything better


def best_f1_threshold(scores: Tensor, labels: Tensor) -> float:
    """The threshold of the highest F1 when a score counts as an alarm from the threshold on (>=).

    It lies half-way to the next lower score (half-way to 0 below the lowest), so that rounding between devices moves
    no decision. Equal scores are never torn apart; of equal F1 the highest threshold wins, which raises the fewest
    alarms. With one class only there is nothing to choose: .5.

    Args:
        scores: (n,) probabilities.
        labels: (n,) 0 or 1.
    """
    num_positive = int(labels.sum())
    if num_positive in (0, len(labels)):
        return UNDECIDED
    scores, order = scores.detach().float().sort(descending=True)
    hits = labels[order].cumsum(0)
    alarms = torch.arange(1, len(scores) + 1, device=scores.device)
    f1 = 2 * hits / (alarms + num_positive)
    below = torch.cat([scores[1:], scores.new_zeros(1)])
    f1[:-1][scores[:-1] == below[:-1]] = -1  # a cut between equal scores
    best = int(f1.argmax())  # the first of the highest
    half_way = (scores[best] + below[best]) / 2
    return float(half_way if half_way > below[best] else scores[best])  # no number lies between two neighbours
