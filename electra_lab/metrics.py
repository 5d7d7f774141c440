"""What is measured while pretraining and detecting: torchmetrics states, so that every rank sees the same figures.

B examples, L tokens of an example, N masked positions of an example; W windows, M messages.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_auroc,
    binary_average_precision,
    binary_confusion_matrix,
    binary_f1_score,
    binary_precision,
    binary_recall,
)
from torchmetrics.utilities import dim_zero_cat
from torchmetrics.utilities.compute import auc

Scored = tuple[Tensor, Tensor]  # scores (n,) in [0, 1] and labels (n,) 0 or 1

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
    "window_scores": torch.float32,
    "window_labels": torch.int64,
    "conversation_of_window": torch.int64,
    "message_logits": torch.float32,
    "message_labels": torch.int64,
    "message_ids": torch.int64,
}
_NUM_BINS = 4000  # fine, because the logits of a young discriminator differ by a few hundredths
_LARGEST_LOGIT = 8.0  # probability .9997; beyond it all logits share the last bin


class PretrainingMetrics(Metric):
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


class MeanTerms(Metric):
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


class DetectionLevels(NamedTuple):
    """Scores and labels at the three levels, of everything whose label is known."""

    window: Scored
    message: Scored
    conversation: Scored
    message_ids: Tensor  # of the messages, in the order of their scores
    conversation_ids: Tensor


class DetectionMetrics(Metric):
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
        window_scores: Tensor,
        window_labels: Tensor,
        conversation_of_window: Tensor,
        message_logits: Tensor,
        message_labels: Tensor,
        message_ids: Tensor,
    ) -> None:
        """Add a batch: three of (W,), scores as probabilities; three of (M,); labels 1, 0 or -1 for unknown."""
        batch = (window_scores, window_labels, conversation_of_window, message_logits, message_labels, message_ids)
        for (name, dtype), values in zip(_COLLECTED.items(), batch, strict=True):
            getattr(self, name).append(values.to(dtype))

    def compute(self) -> tuple[Tensor, ...]:
        """Everything that was added on all ranks, in the order of `update`."""
        return tuple(dim_zero_cat(getattr(self, name)) for name in _COLLECTED)

    def collect(self) -> DetectionLevels:
        """Message score: sigmoid of its mean logit over windows; conversation score: the highest of its windows."""
        scores, labels, conversations, *messages = self.compute()
        message_ids, message_logits, message_labels = _per_group(messages[2], messages[0], messages[1], "mean")
        conversation_ids, highest, conversation_labels = _per_group(conversations, scores, labels, "amax")
        message_known, conversation_known = message_labels >= 0, conversation_labels >= 0
        return DetectionLevels(
            window=(scores[labels >= 0], labels[labels >= 0]),
            message=(message_logits.sigmoid()[message_known], message_labels[message_known]),
            conversation=(highest[conversation_known], conversation_labels[conversation_known]),
            message_ids=message_ids[message_known],
            conversation_ids=conversation_ids[conversation_known],
        )

    def levels(self) -> dict[str, Scored]:
        """The scores and labels of `collect` by name of the level."""
        collected = self.collect()
        return {"window": collected.window, "message": collected.message, "conversation": collected.conversation}


def detection_figures(scores: Tensor, labels: Tensor, threshold: float) -> dict[str, object]:
    """The figures of one level; a score counts as an alarm from the threshold on (>=).

    Where one class only is there, what needs both (precision, recall, F1, AUROC, average precision) is None: 0 or 1
    would say something that was not measured.

    Args:
        scores: (n,) probabilities.
        labels: (n,) 0 or 1.
        threshold: chosen on validation data, see `calibration.best_f1_threshold`.
    """
    num, num_positive = len(labels), int(labels.sum())
    alarms = (scores >= threshold).long()  # decided here: torchmetrics would use > and guess whether these are logits
    both = 0 < num_positive < num
    return {
        "accuracy": float(binary_accuracy(alarms, labels)) if num else None,
        "precision": float(binary_precision(alarms, labels)) if both else None,
        "recall": float(binary_recall(alarms, labels)) if both else None,
        "f1": float(binary_f1_score(alarms, labels)) if both else None,
        "auroc": float(binary_auroc(scores, labels)) if both else None,
        "average_precision": float(binary_average_precision(scores, labels)) if both else None,
        "confusion": binary_confusion_matrix(alarms, labels).tolist() if num else [[0, 0], [0, 0]],  # [[tn, fp], ...]
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


def _per_group(ids: Tensor, scores: Tensor, labels: Tensor, reduce: str) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, scores, labels) with each id once: reduced scores; 1 if any label is 1, else -1 if any is unknown."""
    unique, group = ids.unique(return_inverse=True)
    reduced = scores.new_zeros(len(unique)).scatter_reduce(0, group, scores, reduce, include_self=False)
    highest = labels.new_zeros(len(unique)).scatter_reduce(0, group, labels, "amax", include_self=False)
    lowest = labels.new_zeros(len(unique)).scatter_reduce(0, group, labels, "amin", include_self=False)
    return unique, reduced, torch.where(highest == 1, highest, lowest)
