"""Dropout without torch's slow path on the CPU: there its masks cost more than the matrix products of a small network.

`bernoulli_` draws one 53-bit number an element, on one thread: 15 ns; sixteen bits of a word are 3 ns and as good.
Attention with dropout also leaves `scaled_dot_product_attention`'s fast kernels there. On other devices, and without
dropout, everything is torch's own. B examples, L tokens.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

DENSE = "electra_lab_dense"

_VALUES = 2**16  # of the sixteen random bits that decide about an element


def quicken_dropout(model: PreTrainedModel) -> None:
    """Give a model the dropout and the attention of this file, in place; nothing that is saved changes."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p).train(child.training))
    if model._supports_attention_backend and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(DENSE)


class Dropout(nn.Dropout):
    """As `nn.Dropout`, with masks from `dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        """Some elements zero while training, all as they are otherwise."""
        return dropout(input, self.p) if self.training else input


def dropout(hidden: Tensor, probability: float) -> Tensor:
    """Zeros with this probability, and the rest scaled up to keep the mean.

    On the CPU the probability is rounded to a multiple of 2^-16 (.1 becomes .100006), and the scale is that of the
    rounded one, so that the mean is exact. A compiled model makes masks of its own.
    """
    dropped = round(probability * _VALUES)
    if hidden.device.type != "cpu" or not 0 < dropped < _VALUES or torch.compiler.is_compiling():
        return F.dropout(hidden, probability)
    words = torch.empty((hidden.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)  # four masks a word
    bits = words.view(torch.int16)[: hidden.numel()].view(hidden.shape)
    mask = torch.empty(hidden.shape, dtype=hidden.dtype)
    torch.ge(bits, dropped - _VALUES // 2, out=mask)
    return hidden * mask.mul_(_VALUES / (_VALUES - dropped))


def dense_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **unused: object,
) -> tuple[Tensor, None]:
    """Attention of every token to every other of its example: (B, heads, L, size) three times -> (B, L, heads, size).

    Args:
        module: the encoder's attention layer (part of the interface, unused).
        query: of every token.
        key: likewise.
        value: likewise.
        attention_mask: True where a token may be looked at, broadcastable to (B, heads, L, L); None = everywhere.
        dropout: of the attention weights; 0 outside training.
        scaling: of the scores; None = 1 / sqrt(size).
        unused: what else the interface passes.
    """
    if dropout and query.device.type == "cpu":
        attended = _with_dropout(query, key, value, attention_mask, dropout, scaling or query.shape[-1] ** -0.5)
    else:
        attended = F.scaled_dot_product_attention(query, key, value, attention_mask, dropout_p=dropout, scale=scaling)
    return attended.transpose(1, 2).contiguous(), None


def _with_dropout(
    query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, probability: float, scaling: float
) -> Tensor:
    num_examples, num_heads, length, _ = query.shape
    bias = query.new_zeros(1, 1, 1)
    if attention_mask is not None:
        bias = torch.zeros_like(attention_mask, dtype=query.dtype)
        bias = bias.masked_fill_(~attention_mask, torch.finfo(query.dtype).min)
        bias = bias.expand(num_examples, num_heads, -1, -1).flatten(0, 1)
    query, key, value = (states.flatten(0, 1) for states in (query, key, value))  # (B heads, L, size)
    scores = torch.baddbmm(bias, query, key.transpose(1, 2), alpha=scaling)  # (B heads, L, L)
    attended = dropout(scores.softmax(dim=-1), probability) @ value
    return attended.view(num_examples, num_heads, length, -1)


AttentionInterface.register(DENSE, dense_attention)
AttentionMaskInterface.register(DENSE, sdpa_mask)
