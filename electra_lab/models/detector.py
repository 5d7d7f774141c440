"""The detector: backbone, pooling, a decision for each window and a score for each message."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from electra_lab.batches import ConversationBatch
from electra_lab.models.backbone import Backbone
from electra_lab.models.ngrams import NgramScores
from electra_lab.models.pooling import NoisyOr, pooling_named


class Detection(NamedTuple):
    """What the detector says about W windows with M messages and T tokens; all float32."""

    window_logits: Tensor  # (W, 2) not anomalous, anomalous
    message_logits: Tensor  # (M,) trained on every message: unlike attention it can say "none of them"
    message_parts: Tensor  # (1, M) or (2, M), what the line above is the sum of: by the encoder, by n-grams
    attention: Tensor  # (T,) of the pooling, sums to 1 over each window
    message_mass: Tensor  # (M,) attention that a message's tokens receive together


class Detector(nn.Module):
    """Backbone -> pooling -> three-layer head for windows, one linear layer for messages.

    With the pooling `noisy_or` the messages' scores decide about their window, and there is no other head.

    Args:
        backbone: the encoder.
        dropout: in the windows' head.
        pooling: one of `models.pooling.POOLINGS`.
        ngrams: whether a linear model of character n-grams has a say in the messages' scores.
    """

    def __init__(
        self, backbone: Backbone, dropout: float = 0.3, pooling: str = "attention", ngrams: bool = False
    ) -> None:
        super().__init__()
        size = backbone.hidden_size
        self.backbone = backbone
        self.pooling = pooling_named(pooling)(size)
        self.head = nn.Identity() if isinstance(self.pooling, NoisyOr) else _window_head(size, dropout)
        self.message_head = nn.Linear(size, 1)
        self.ngrams = NgramScores() if ngrams else None

    def forward(self, batch: ConversationBatch) -> Detection:
        """Scores of every window and message of the batch."""
        hidden = self.backbone(batch.input_ids, batch.position_ids, batch.cu_seq_lens, batch.max_length)  # (T, hidden)
        # never len(): an exported network counts when it runs
        num_messages, num_windows = batch.window_of_message.shape[0], batch.window_labels.shape[0]
        states = _mean_per_message(hidden.float(), batch.message_of_token, num_messages)
        dtype = self.message_head.weight.dtype  # half where the whole detector is (bf16-true); the sums are float32
        parts = self.message_head(states.to(dtype)).float().T  # (1, M)
        if self.ngrams is not None:
            parts = torch.cat([parts, self.ngrams(batch)[None]])  # (2, M)
        message_logits = parts.sum(0)
        if isinstance(self.pooling, NoisyOr):
            # while they learn, neither leans on what the other knows: one that is right leaves the other no error
            deciding = parts[0] if self.training else message_logits
            logits, share = self.pooling(deciding, batch.window_of_message, num_windows)
            attention = _spread(share, batch.message_of_token)
        else:
            pooled, attention = self.pooling(hidden, batch.window_of_token, num_windows)
            logits = self.head(pooled.to(dtype)).float()
        return Detection(
            window_logits=logits,
            message_logits=message_logits,
            message_parts=parts,
            attention=attention,
            message_mass=_sum_per_message(attention, batch.message_of_token, num_messages),
        )


def _window_head(size: int, dropout: float) -> nn.Sequential:
    """768-768-384-2 for a base encoder."""
    return nn.Sequential(
        nn.Linear(size, size),
        nn.LayerNorm(size),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(size, size // 2),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(size // 2, 2),
    )


def _sum_per_message(values: Tensor, message_of_token: Tensor, num_messages: int) -> Tensor:
    """Sum of (T, ...) over each message's tokens; tokens of no message (-1) go to a last row, which is dropped."""
    row = torch.where(message_of_token < 0, num_messages, message_of_token)
    return values.new_zeros(num_messages + 1, *values.shape[1:]).index_add(0, row, values)[:-1]


def _mean_per_message(values: Tensor, message_of_token: Tensor, num_messages: int) -> Tensor:
    num_tokens = _sum_per_message(torch.ones_like(values[:, 0]), message_of_token, num_messages)
    return _sum_per_message(values, message_of_token, num_messages) / num_tokens.clamp(min=1)[:, None]


def _spread(shares: Tensor, message_of_token: Tensor) -> Tensor:
    """Each message's share (M,) evenly over its tokens (T,); tokens of no message get none."""
    num_tokens = _sum_per_message(torch.ones_like(message_of_token), message_of_token, shares.shape[0])
    each = torch.cat([shares / num_tokens.clamp(min=1), shares.new_zeros(1)])  # -1 reads the last
    return each[message_of_token]
