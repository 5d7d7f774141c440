"""The losses of the detector, one value a window, so that a mean over a fixed number of windows is exact everywhere.

W windows, M messages. A label of -1 is unknown and costs nothing.
"""

from collections.abc import Callable
from functools import partial
from inspect import signature

import torch
from torch import Tensor
from torch.nn import functional as F

_SMALLEST_MASS = 1e-30  # log of 0 is nothing to learn from


WindowLoss = Callable[[Tensor, Tensor], Tensor]  # logits (W, 2), labels (W,) -> (W,)


def window_loss(name: str, options: dict[str, float] | None = None) -> WindowLoss:
    """The loss of that name with its options.

    Raises:
        ValueError: if there is no such loss, or it has no such option.
    """
    if name not in LOSSES:
        raise ValueError(f"there is no loss {name!r}; known are {', '.join(LOSSES)}")
    known = list(signature(LOSSES[name]).parameters)[2:]
    if unknown := [option for option in options or {} if option not in known]:
        raise ValueError(f"loss {name} has no option {unknown[0]!r}; its options: {', '.join(known) or 'none'}")
    return partial(LOSSES[name], **(options or {}))


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each window: logits (W, 2), labels (W,) -> (W,)."""
    return F.cross_entropy(logits.float(), labels, ignore_index=-1, reduction="none")


def focal(logits: Tensor, labels: Tensor, gamma: float = 2.0, alpha: float | None = None) -> Tensor:
    """Focal loss of each window: logits (W, 2), labels (W,) -> (W,).

    `alpha_t (1 - p_t)^gamma (-log p_t)` with the unsmoothed p_t (Lin et al. 2017, https://arxiv.org/abs/1708.02002,
    equation 5). alpha weighs the anomalous windows and 1 - alpha the others, so the published .25 weighs the
    anomalous ones down; None weighs both 1.
    """
    nll = cross_entropy(logits, labels)  # -log p_t
    loss = (-torch.expm1(-nll)) ** gamma * nll
    if alpha is None:
        return loss
    return loss * torch.where(labels == 1, alpha, 1 - alpha)


def attention_supervision(
    message_mass: Tensor, message_labels: Tensor, window_of_message: Tensor, num_windows: int
) -> Tensor:
    """KL(target || mass) of each window, (W,); 0 for a window without an anomalous message.

    The target is uniform over the window's anomalous messages. The mass is the pooling attention that a message's
    tokens receive together; what [CLS] and [SEP] receive is missing from its sum and therefore costs.

    Args:
        message_mass: (M,) sums of the pooling attention.
        message_labels: (M,) 1, 0 or -1.
        window_of_message: (M,) 0..W-1.
        num_windows: W.
    """
    anomalous = (message_labels == 1).float()
    num_anomalous = _sum_per_window(anomalous, window_of_message, num_windows)
    log_mass = message_mass.float().clamp(min=_SMALLEST_MASS).log()
    mean_log_mass = _sum_per_window(anomalous * log_mass, window_of_message, num_windows) / num_anomalous.clamp(min=1)
    return -num_anomalous.clamp(min=1).log() - mean_log_mass


def message_loss(message_logits: Tensor, message_labels: Tensor, window_of_message: Tensor, num_windows: int) -> Tensor:
    """Mean binary cross-entropy over each window's labelled messages, (W,); 0 for a window without any."""
    known = (message_labels >= 0).float()
    targets = message_labels.clamp(min=0).float()
    nll = known * F.binary_cross_entropy_with_logits(message_logits.float(), targets, reduction="none")
    num_known = _sum_per_window(known, window_of_message, num_windows)
    return _sum_per_window(nll, window_of_message, num_windows) / num_known.clamp(min=1)


def _sum_per_window(values: Tensor, window_of_message: Tensor, num_windows: int) -> Tensor:
    return values.new_zeros(num_windows).index_add(0, window_of_message, values)


LOSSES: dict[str, Callable[..., Tensor]] = {"focal": focal, "cross_entropy": cross_entropy}
