"""The losses of the detector, one value a window, so that a mean over a fixed number of windows is exact everywhere.

W windows, M messages, T tokens. A label of -1 is unknown and costs nothing.
"""

from collections.abc import Callable
from functools import partial
from inspect import signature

import torch
from torch import Tensor
from torch.nn import functional as F

from electra_lab.batches import ConversationBatch

WindowLoss = Callable[[Tensor, Tensor], Tensor]  # logits (W, 2), labels (W,) -> (W,)
Supervision = Callable[[Tensor, Tensor, ConversationBatch], Tensor]  # attention (T,), message mass (M,) -> (W,)

_SMALLEST_MASS = 1e-30  # log of 0 is nothing to learn from
_SMALLEST_MISS = 1e-30  # nor is a power of 0, whose slope may be infinite


def window_loss(name: str, options: dict[str, float] | None = None) -> WindowLoss:
    """The loss of that name with its options.

    Raises:
        ValueError: if there is no such loss, it has no such option, or lacks one that it needs.
    """
    if name not in LOSSES:
        raise ValueError(f"there is no loss {name!r}; known are {', '.join(LOSSES)}")
    given = options or {}
    known = dict(list(signature(LOSSES[name]).parameters.items())[2:])
    if unknown := [option for option in given if option not in known]:
        raise ValueError(f"loss {name} has no option {unknown[0]!r}; its options: {', '.join(known) or 'none'}")
    if missing := [option for option, its in known.items() if its.default is its.empty and option not in given]:
        raise ValueError(f"loss {name} needs the option {missing[0]!r} in loss_options")
    return partial(LOSSES[name], **given)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each window: logits (W, 2), labels (W,) -> (W,)."""
    return F.cross_entropy(logits.float(), labels, ignore_index=-1, reduction="none")


def weighted(logits: Tensor, labels: Tensor, positive_weight: float) -> Tensor:
    """Cross-entropy of each window, an anomalous one counted `positive_weight` times: (W, 2), (W,) -> (W,).

    Inverse frequency is the number of other windows for each anomalous one, e.g. 24 where 4 % are anomalous.
    """
    return cross_entropy(logits, labels) * torch.where(labels == 1, positive_weight, 1.0)


def focal(logits: Tensor, labels: Tensor, gamma: float = 2.0, alpha: float | None = None) -> Tensor:
    """Focal loss of each window: logits (W, 2), labels (W,) -> (W,).

    `alpha_t (1 - p_t)^gamma (-log p_t)` with the unsmoothed p_t (Lin et al. 2017, https://arxiv.org/abs/1708.02002,
    equation 5). alpha weighs the anomalous windows and 1 - alpha the others, so the published .25 weighs the
    anomalous ones down; None weighs both 1.
    """
    nll = cross_entropy(logits, labels)  # -log p_t
    loss = (-torch.expm1(-nll)).clamp(min=_SMALLEST_MISS) ** gamma * nll
    if alpha is None:
        return loss
    return loss * torch.where(labels == 1, alpha, 1 - alpha)


def attention_supervision(name: str) -> Supervision:
    """What the pooling's attention is told, by name.

    Raises:
        ValueError: if there is no such supervision.
    """
    if name not in SUPERVISIONS:
        raise ValueError(f"there is no attention supervision {name!r}; known are {', '.join(SUPERVISIONS)}")
    return SUPERVISIONS[name]


def divergence(message_mass: Tensor, message_labels: Tensor, window_of_message: Tensor, num_windows: int) -> Tensor:
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


def renormalised_cross_entropy(
    mark_attention: Tensor, message_labels: Tensor, window_of_message: Tensor, num_windows: int
) -> Tensor:
    """Cross-entropy of the same target, with the attention on [MSG] tokens alone made to sum to 1: (W,).

    The loss of earlier work, kept to compare with. Its floor is the log of the number of anomalous messages, and it
    does not see how much attention the [MSG] tokens get together: the pooling need not look at any message.

    Args:
        mark_attention: (M,) pooling attention of each message's [MSG].
        message_labels: (M,) 1, 0 or -1.
        window_of_message: (M,) 0..W-1.
        num_windows: W.
    """
    attention = mark_attention.float().clamp(min=_SMALLEST_MASS)
    share = attention / _sum_per_window(attention, window_of_message, num_windows)[window_of_message]
    anomalous = (message_labels == 1).float()
    num_anomalous = _sum_per_window(anomalous, window_of_message, num_windows)
    nll = _sum_per_window(-anomalous * share.log(), window_of_message, num_windows)
    return nll / num_anomalous.clamp(min=1)


def random_targets(
    message_labels: Tensor, window_of_message: Tensor, num_windows: int, position: tuple[int, int]
) -> Tensor:
    """As many messages of each window as are anomalous in it, drawn at random among all of it: (M,) 1 or 0.

    Args:
        message_labels: (M,) 1, 0 or -1.
        window_of_message: (M,) 0..W-1, rising.
        num_windows: W.
        position: (epoch, micro-batch) that alone decides the draw.
    """
    epoch, index = position
    chance = torch.Generator().manual_seed(epoch * 1_000_003 + index)  # only the lower 32 bits of a seed count
    draw = torch.rand(len(message_labels), generator=chance)
    order = (window_of_message + draw.double().to(window_of_message.device)).argsort()  # within each window at random
    first = torch.searchsorted(window_of_message, torch.arange(num_windows, device=window_of_message.device))
    rank = torch.arange(len(order), device=order.device) - first[window_of_message]  # in the drawn order
    num_anomalous = _sum_per_window((message_labels == 1).long(), window_of_message, num_windows)
    return torch.zeros_like(message_labels).index_copy(0, order, (rank < num_anomalous[window_of_message]).long())


def message_loss(message_logits: Tensor, message_labels: Tensor, window_of_message: Tensor, num_windows: int) -> Tensor:
    """Mean binary cross-entropy over each window's labelled messages, (W,); 0 for a window without any."""
    known = (message_labels >= 0).float()
    targets = message_labels.clamp(min=0).float()
    nll = known * F.binary_cross_entropy_with_logits(message_logits.float(), targets, reduction="none")
    num_known = _sum_per_window(known, window_of_message, num_windows)
    return _sum_per_window(nll, window_of_message, num_windows) / num_known.clamp(min=1)


def _sum_per_window(values: Tensor, window_of_message: Tensor, num_windows: int) -> Tensor:
    return values.new_zeros(num_windows).index_add(0, window_of_message, values)


def _off(attention: Tensor, message_mass: Tensor, batch: ConversationBatch) -> Tensor:
    return message_mass.new_zeros(len(batch.window_labels))


def _kl(attention: Tensor, message_mass: Tensor, batch: ConversationBatch) -> Tensor:
    return divergence(message_mass, batch.message_labels, batch.window_of_message, len(batch.window_labels))


def _original(attention: Tensor, message_mass: Tensor, batch: ConversationBatch) -> Tensor:
    owners = batch.message_of_token
    marks = attention[(owners >= 0) & (owners != owners.roll(1))]  # (M,) the first token of each message is its [MSG]
    windows = batch.window_of_message, len(batch.window_labels)
    return renormalised_cross_entropy(marks, batch.message_labels, *windows)


def _random(attention: Tensor, message_mass: Tensor, batch: ConversationBatch) -> Tensor:
    windows = batch.window_of_message, len(batch.window_labels)
    return divergence(message_mass, random_targets(batch.message_labels, *windows, batch.position), *windows)


LOSSES: dict[str, Callable[..., Tensor]] = {"focal": focal, "cross_entropy": cross_entropy, "weighted": weighted}
SUPERVISIONS: dict[str, Supervision] = {"off": _off, "kl": _kl, "original": _original, "random": _random}
