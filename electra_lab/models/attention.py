"""Attention over packed sequences, registered with transformers: a token sees its own window and nothing else.

T tokens of all windows one after another; every encoder that goes through transformers' attention interface hands
its queries, keys and values here as (1, heads, T, size) together with `cu_seq_lens_q`.
"""

import logging
from functools import cache

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

from electra_lab.models.dropout import dense_attention

PACKED = "electra_lab_packed"

_log = logging.getLogger(__name__)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **unused: object,
) -> tuple[Tensor, None]:
    """Bidirectional attention within each sequence: (1, heads, T, size) three times -> (1, T, heads, size).

    CUDA in half precision runs one kernel over all sequences; it has no dropout, which is then left out and said
    once. Elsewhere every sequence gets its own `dense_attention`, whose dropout is quick on the CPU.

    Args:
        module: the encoder's attention layer (part of the interface).
        query: packed along T.
        key: likewise.
        value: likewise.
        attention_mask: None, see `no_mask`; the sequence bounds say it all.
        cu_seq_lens_q: (W + 1,) int32, where each sequence starts.
        max_length_q: tokens of the longest sequence.
        dropout: of the attention weights; 0 outside training.
        scaling: of the scores; None = 1 / sqrt(size).
        sliding_window: tokens further apart than `sliding_window - 1` do not see each other; None = all do.
        unused: what else the interface passes.
    """
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16):
        if dropout:
            _say_once("attention dropout is 0 on this GPU: the kernel for packed sequences has none")
        return _one_kernel(query, key, value, cu_seq_lens_q, max_length_q, scaling, sliding_window), None
    lengths = cu_seq_lens_q.diff().tolist()
    outputs = []
    for queries, keys, values in zip(*(states.split(lengths, 2) for states in (query, key, value)), strict=True):
        mask = _band(queries.shape[2], sliding_window, query.device)
        outputs.append(dense_attention(module, queries, keys, values, mask, dropout, scaling)[0])
    return torch.cat(outputs, dim=1), None


def no_mask(*unused: object, **also_unused: object) -> None:
    """The mask that goes with packed attention: none, so that encoders do not build one of T x T."""
    return None


def _band(length: int, sliding_window: int | None, device: torch.device) -> Tensor | None:
    """(length, length) True where a token may look; None when that is everywhere."""
    if sliding_window is None or length <= sliding_window:
        return None
    positions = torch.arange(length, device=device)
    return (positions[:, None] - positions[None, :]).abs() < sliding_window


def _one_kernel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_lens: Tensor,
    max_length: int,
    scaling: float | None,
    sliding_window: int | None,
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn  # needs a CUDA build

    queries, keys, values = (states[0].transpose(0, 1).contiguous() for states in (query, key, value))
    reach = -1 if sliding_window is None else sliding_window - 1
    output = varlen_attn(
        queries,  # (T, heads, size)
        keys,
        values,
        cu_seq_lens,
        cu_seq_lens,
        max_length,
        max_length,
        scale=scaling,
        window_size=(reach, reach),
    )
    assert isinstance(output, Tensor)  # a pair only when the log-sum-exp is asked for
    return output[None]  # (1, T, heads, size)


@cache
def _say_once(message: str) -> None:
    _log.warning(message)


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, no_mask)
