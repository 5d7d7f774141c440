"""Attention pooling of packed windows: one vector a window, and how much each token had a say in it."""

import torch
from torch import Tensor, nn


class AttentionPooling(nn.Module):
    """Scores every token with one linear layer; a softmax over each window's tokens weighs their states."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.score = nn.Linear(hidden_size, 1)

    def forward(self, hidden_states: Tensor, cu_seq_lens: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled states (W, hidden) and attention (T,), which sums to 1 over each window; both float32.

        Args:
            hidden_states: (T, hidden) of all windows one after another.
            cu_seq_lens: (W + 1,) int32, where each window starts; the last is T.
        """
        num_windows = len(cu_seq_lens) - 1
        window_of_token = torch.arange(num_windows, device=hidden_states.device).repeat_interleave(
            cu_seq_lens.diff(), output_size=len(hidden_states)
        )
        attention = segment_softmax(self.score(hidden_states)[:, 0].float(), window_of_token, num_windows)
        weighted = attention[:, None] * hidden_states.float()
        pooled = weighted.new_zeros(num_windows, weighted.shape[1]).index_add(0, window_of_token, weighted)
        return pooled, attention


def segment_softmax(scores: Tensor, segment: Tensor, num_segments: int) -> Tensor:
    """Softmax of (T,) scores within each segment; `segment` (T,) says where each belongs, 0..num_segments-1."""
    highest = scores.new_zeros(num_segments).scatter_reduce(0, segment, scores.detach(), "amax", include_self=False)
    weights = (scores - highest[segment]).exp()
    total = weights.new_zeros(num_segments).index_add(0, segment, weights)
    return weights / total[segment]
