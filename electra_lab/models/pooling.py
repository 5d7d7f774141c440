"""From the states of packed windows to one decision a window: four ways, and how much each token had a say in it.

T tokens, M messages, W windows. A pooling makes one state a window for the head to decide about; `NoisyOr` alone
decides by itself, from the scores of the messages.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GATE_SIZE = 128  # as in the authors' own network

_SMALLEST = 1e-30  # its log is finite, and so are the gradients


def pooling_named(name: str) -> Callable[[int], nn.Module]:
    """The pooling of that name, to be made for a size of states.

    Raises:
        ValueError: if there is none.
    """
    if name not in POOLINGS:
        raise ValueError(f"there is no pooling {name!r}; known are {', '.join(POOLINGS)}")
    return POOLINGS[name]


class AttentionPooling(nn.Module):
    """Scores every token with one linear layer; a softmax over each window's tokens weighs their states."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.score: nn.Module = nn.Linear(hidden_size, 1)

    def forward(self, hidden_states: Tensor, window_of_token: Tensor, num_windows: int) -> tuple[Tensor, Tensor]:
        """Pooled states (W, hidden) and attention (T,), which sums to 1 over each window; both float32.

        Args:
            hidden_states: (T, hidden) of all windows one after another.
            window_of_token: (T,) 0..W-1.
            num_windows: W.
        """
        attention = segment_softmax(self.score(hidden_states)[:, 0].float(), window_of_token, num_windows)
        weighted = attention[:, None] * hidden_states.float()
        pooled = weighted.new_zeros(num_windows, weighted.shape[1]).index_add(0, window_of_token, weighted)
        return pooled, attention


class GatedScore(nn.Module):
    """The gated attention score w (tanh(V h) * sigmoid(U h)): (T, hidden) -> (T, 1).

    Ilse et al. 2018, https://arxiv.org/abs/1802.04712, equation 9; one matrix product holds V and U.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.both = nn.Linear(hidden_size, 2 * GATE_SIZE)
        self.score = nn.Linear(GATE_SIZE, 1, bias=False)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Scores (T, 1)."""
        value, gate = self.both(hidden_states).chunk(2, dim=-1)
        return self.score(value.tanh() * gate.sigmoid())


class GatedPooling(AttentionPooling):
    """Attention pooling whose scores are gated, so that a token can be seen and yet not be counted."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size)
        self.score = GatedScore(hidden_size)


class FirstToken(nn.Module):
    """The state of each window's first token, [CLS]: what a plain classifier reads. It holds no parameters."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()

    def forward(self, hidden_states: Tensor, window_of_token: Tensor, num_windows: int) -> tuple[Tensor, Tensor]:
        """States (W, hidden) of the first tokens, and attention (T,) that is 1 on them; both float32."""
        places = torch.arange(window_of_token.shape[0], device=window_of_token.device)
        first = places.new_zeros(num_windows).scatter_reduce(0, window_of_token, places, "amin", include_self=False)
        attention = torch.zeros_like(places, dtype=torch.float32).index_fill(0, first, 1.0)
        return hidden_states[first].float(), attention


class NoisyOr(nn.Module):
    """A window is anomalous if any of its messages is: p = 1 - prod(1 - sigmoid(z_m)). It holds no parameters.

    Another message can only raise p, so that nothing a message says makes its window harmless.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()

    def forward(self, message_logits: Tensor, window_of_message: Tensor, num_windows: int) -> tuple[Tensor, Tensor]:
        """Window logits (W, 2) = (log(1 - p), log p), whose softmax is p, and each message's share (M,) of log(1 - p).

        The shares sum to 1 over each window. All in log space: log(1 - p) = -sum softplus(z_m).

        Args:
            message_logits: (M,) z, float32.
            window_of_message: (M,) 0..W-1.
            num_windows: W.
        """
        evidence = F.softplus(message_logits).clamp(min=_SMALLEST)  # (M,) -log of what is left of 1 - p
        total = evidence.new_zeros(num_windows).index_add(0, window_of_message, evidence)  # (W,)
        logits = torch.stack([-total, (-torch.expm1(-total)).log()], dim=1)
        return logits, evidence / total[window_of_message]


def segment_softmax(scores: Tensor, segment: Tensor, num_segments: int) -> Tensor:
    """Softmax of (T,) scores within each segment; `segment` (T,) says where each belongs, 0..num_segments-1."""
    highest = scores.new_zeros(num_segments).scatter_reduce(0, segment, scores.detach(), "amax", include_self=False)
    weights = (scores - highest[segment]).exp()
    total = weights.new_zeros(num_segments).index_add(0, segment, weights)
    return weights / total[segment]


POOLINGS: dict[str, Callable[[int], nn.Module]] = {
    "attention": AttentionPooling,
    "gated": GatedPooling,
    "cls": FirstToken,
    "noisy_or": NoisyOr,
}
