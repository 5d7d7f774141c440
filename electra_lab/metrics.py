"""What is measured while pretraining and detecting: torchmetrics states, so that every rank sees the same figures.

B examples, L tokens of an example, N masked positions of an example; W windows, M messages, C conversations.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import Module
from torch.nn import functional as F
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat
from torchmetrics.utilities.compute import auc

from electra_lab.calibration import brier, expected_calibration_error
from electra_lab.decisions import LEVELS, Logits
from electra_lab.ranking import FIGURES, figures, ranking

_SUMS = (
    "masked",
    "masked_nll",
    "argmax_correct",
    "sampled_correct",
    "tokens",
    "token_nll",
    "token_correct",
    "replaced",
    "called_replaced",
    "rightly_called",
)
_COLLECTED = {
    "window_logits": torch.float32,
    "window_labels": torch.int64,
    "conversation_of_window": torch.int64,
    "window_starts": torch.int64,
    "window_ends": torch.int64,
    "message_logits": torch.float32,
    "message_labels": torch.int64,
    "message_ids": torch.int64,
}
_NUM_BINS = 4000  # fine, because the logits of a young discriminator differ by a few hundredths
_LARGEST_LOGIT = 8.0  # probability .9997; beyond it all logits share the last bin


class _ExactMetric(Metric):
    """A metric whose states keep their type where all of a task is made half: in bfloat16 counting ends at 256."""

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = ()) -> Module:
        return super()._apply(lambda state: state.to(fn(state.new_empty(0)).device), exclude_state)


class PretrainingMetrics(_ExactMetric):
    """Generator and discriminator figures over real tokens only; nothing waits for the device until `compute`."""

    full_state_update = False
    sums: Tensor
    replaced_at: Tensor
    original_at: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(len(_SUMS)), dist_reduce_fx="sum")
        self.add_state("replaced_at", torch.zeros(_NUM_BINS, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("original_at", torch.zeros(_NUM_BINS, dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        masked_nll: Tensor,
        masked_weights: Tensor,
        argmax_correct: Tensor,
        sampled_correct: Tensor,
        discriminator_logits: Tensor,
        labels: Tensor,
        attention_mask: Tensor,
    ) -> None:
        """Add a batch: the first four are (B, N), the last three (B, L); weights and mask say which entries count."""
        chosen, real = masked_weights.float(), attention_mask.float()
        logits, replaced = discriminator_logits.float(), labels.float()
        called = (logits > 0).float()
        nll = F.binary_cross_entropy_with_logits(logits, replaced, reduction="none")
        weighted = (
            chosen,
            chosen * masked_nll.float(),
            chosen * argmax_correct.float(),
            chosen * sampled_correct.float(),
            real,
            real * nll,
            real * (called == replaced).float(),
            real * replaced,
            real * called,
            real * called * replaced,
        )
        self.sums += torch.stack([values.sum() for values in weighted])
        scaled = (logits.clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT) / _LARGEST_LOGIT + 1) / 2 * _NUM_BINS
        bins = scaled.long().clamp(max=_NUM_BINS - 1).flatten()
        self.replaced_at.scatter_add_(0, bins, (real * replaced).long().flatten())
        self.original_at.scatter_add_(0, bins, (real * (1 - replaced)).long().flatten())

    def compute(self) -> dict[str, Tensor]:
        """The figures by name; precision and recall are 0 while nothing is called replaced, AUROC is binned."""
        sums = dict(zip(_SUMS, self.sums, strict=True))
        replaced_rate = sums["replaced"] / sums["tokens"]
        return {
            "masked_lm_loss": sums["masked_nll"] / sums["masked"],
            "masked_lm_accuracy": sums["argmax_correct"] / sums["masked"],
            "sampled_accuracy": sums["sampled_correct"] / sums["masked"],
            "discriminator_loss": sums["token_nll"] / sums["tokens"],
            "discriminator_accuracy": sums["token_correct"] / sums["tokens"],
            "discriminator_precision": sums["rightly_called"] / sums["called_replaced"].clamp(min=1),
            "discriminator_recall": sums["rightly_called"] / sums["replaced"].clamp(min=1),
            "discriminator_auroc": _auroc(self.replaced_at, self.original_at),
            "replaced_rate": replaced_rate,
            "all_original_accuracy": 1 - replaced_rate,
        }


class MeanTerms(_ExactMetric):
    """Means of named per-window values over all windows and ranks; nothing waits for the device until `compute`."""

    full_state_update = False
    sums: Tensor
    num_windows: Tensor

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        self.add_state("sums", torch.zeros(len(names)), dist_reduce_fx="sum")
        self.add_state("num_windows", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, terms: dict[str, Tensor]) -> None:
        """Add a batch: (W,) values of every name."""
        values = torch.stack([terms[name].detach().float() for name in self.names])
        self.sums += values.sum(1)
        self.num_windows += values.shape[1]

    def compute(self) -> dict[str, Tensor]:
        """The mean of each name."""
        return dict(zip(self.names, self.sums / self.num_windows, strict=True))


class Collected(NamedTuple):
    """What a detector said about a split, in the order of the conversations, and what is true."""

    logits: Logits
    labels: dict[str, NDArray[np.int64]]  # level -> (W,), (M,), (C,): 1, 0 or -1 for unknown
    windows: NDArray[np.int64]  # (W, 2) id of the first message, id of the last + 1
    message_ids: NDArray[np.int64]  # (M,)
    conversation_ids: NDArray[np.int64]  # (C,)


class DetectionMetrics(_ExactMetric):
    """Collects the scores of windows and messages; a message in several windows counts once."""

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        for name in _COLLECTED:
            self.add_state(name, [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forget everything. A rank that sees no batch must still hand over tensors of the right type."""
        super().reset()
        for name, dtype in _COLLECTED.items():
            getattr(self, name).append(torch.empty(0, dtype=dtype, device=self.device))

    def update(
        self,
        window_logits: Tensor,
        window_labels: Tensor,
        conversation_of_window: Tensor,
        message_logits: Tensor,
        message_labels: Tensor,
        message_ids: Tensor,
        window_of_message: Tensor,
    ) -> None:
        """Add a batch: window logits (W, 2), two more of (W,); four of (M,); labels 1, 0 or -1 for unknown."""
        empty = torch.zeros_like(window_labels)
        starts, ends = (
            empty.scatter_reduce(0, window_of_message, message_ids, reduce, include_self=False)
            for reduce in ("amin", "amax")
        )
        margins = window_logits[:, 1].float() - window_logits[:, 0].float()
        windows = (margins, window_labels, conversation_of_window, starts, ends + 1)
        for (name, dtype), values in zip(
            _COLLECTED.items(), (*windows, message_logits, message_labels, message_ids), strict=True
        ):
            getattr(self, name).append(values.to(dtype))

    def compute(self) -> tuple[Tensor, ...]:
        """Everything that was added on all ranks, as the states are listed."""
        return tuple(dim_zero_cat(getattr(self, name)) for name in _COLLECTED)

    def collect(self) -> Collected:
        """Everything in the order of the conversations, whichever rank it was on; a message has its mean logit."""
        logits, labels, conversations, starts, ends, *messages = (
            part.cpu().numpy().reshape(-1)
            for part in self.compute()  # torchmetrics makes scalars of single values
        )
        order = np.lexsort((ends, starts))
        message_ids, owner, counts = np.unique(messages[2], return_inverse=True, return_counts=True)
        conversation_ids, conversation = np.unique(conversations, return_inverse=True)
        message_logits = np.bincount(owner, messages[0].astype(np.float64), len(message_ids)) / counts
        return Collected(
            Logits(logits[order].astype(np.float64), conversations[order], message_logits),
            dict(
                zip(
                    LEVELS,
                    (
                        labels[order],
                        _label_of_each(owner, messages[1], len(message_ids)),
                        _label_of_each(conversation, labels, len(conversation_ids)),
                    ),
                    strict=True,
                )
            ),
            np.stack([starts, ends], axis=1)[order],
            message_ids,
            conversation_ids,
        )


def detection_figures(scores: ArrayLike, labels: ArrayLike, threshold: float) -> dict[str, object]:
    """The figures of one level; a score counts as an alarm from the threshold on (>=).

    Where one class only is there, what needs both (precision, recall, F1, F2, AUROC, average precision, recall at 1 %
    false positives) is None, and so is the precision of no alarm: 0 or 1 would say something that was not measured.

    Args:
        scores: (n,) probabilities.
        labels: (n,) 0 or 1.
        threshold: chosen on validation data, see `calibration.threshold`.
    """
    scores, positives = np.asarray(scores, np.float64), np.asarray(labels) == 1
    num, num_positive, alarms = len(scores), int(positives.sum()), scores >= threshold
    right, raised = int((alarms & positives).sum()), int(alarms.sum())
    missed, false_alarms = num_positive - right, raised - right
    values: dict[str, float | None] = dict.fromkeys(("precision", "recall", "f2", *FIGURES))
    if 0 < num_positive < num:
        ranked = ranking(scores, positives, np.zeros(num, np.int64), threshold)
        values = {
            "precision": right / raised if raised else None,
            "recall": right / num_positive,
            "f2": 5 * right / (raised + 4 * num_positive),
            **{name: float(value[0]) for name, value in figures(ranked, np.ones((1, 1), np.int64)).items()},
        }
    return {
        **values,
        "accuracy": 1 - (missed + false_alarms) / num if num else None,
        "ece": expected_calibration_error(scores, positives) if num else None,
        "brier": brier(scores, positives) if num else None,
        "confusion": [[num - num_positive - false_alarms, false_alarms], [missed, right]],  # [[tn, fp], [fn, tp]]
        "num": num,
        "num_positive": num_positive,
        "prevalence": num_positive / num if num else None,
        "threshold": threshold,
    }


def _auroc(positives: Tensor, negatives: Tensor) -> Tensor:
    """Area under the curve through the bin edges; two in one bin count as half right. NaN without both classes."""
    false_alarms = F.pad(negatives.flip(0).cumsum(0), (1, 0)) / negatives.sum()
    hits = F.pad(positives.flip(0).cumsum(0), (1, 0)) / positives.sum()
    return auc(false_alarms, hits) if positives.any() and negatives.any() else torch.full_like(hits[0], torch.nan)


def _label_of_each(group: NDArray[np.int64], labels: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """1 if any label of the group is 1, else -1 if any is unknown, else 0."""
    anomalous, unknown = (np.bincount(group[labels == label], minlength=number) for label in (1, -1))
    return np.where(anomalous > 0, 1, np.where(unknown > 0, -1, 0))
