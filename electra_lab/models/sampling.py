"""From the generator's guesses to what the discriminator reads: states at the masked positions, draws, replacements."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK = 256  # tokens; about the square root of a vocabulary would do


def gather_positions(hidden: Tensor, positions: Tensor) -> Tensor:
    """States at some positions: (B, L, H) and (B, N) give (B, N, H)."""
    return hidden.gather(1, positions[..., None].expand(-1, -1, hidden.shape[-1]))


def guess(logits: Tensor, original_ids: Tensor) -> tuple[Tensor, Tensor]:
    """What the generator thinks of the original tokens and of all others, from one exponential of its logits.

    Args:
        logits: (..., V) in any precision; what follows from them is at least fp32.
        original_ids: (...).

    Returns:
        -log p(original token), (...), with a gradient; and (..., V) without one, proportional to the probabilities:
        what `draw` takes. It is not normalised because nothing needs it to be.
    """
    nll, likelihoods = _Guess.apply(logits, original_ids)
    return nll, likelihoods


def draw(likelihoods: Tensor) -> Tensor:
    """One token of each distribution, (..., V) fp32 to (...); proportional to the probabilities is enough.

    Never in half precision: the tail would not be drawn. On the CPU by inverting the cumulative distribution; on the
    GPU, where cumulative sums are not deterministic, by an exponential race, which draws from the same distribution.
    """
    if likelihoods.is_cuda:
        return (likelihoods / torch.empty_like(likelihoods).exponential_()).argmax(dim=-1)
    # First a block of tokens, then a token of the block: sums are faster than a running sum over the vocabulary.
    vocabulary = likelihoods.shape[-1]
    whole = vocabulary // _BLOCK
    blocks = likelihoods[..., : whole * _BLOCK].unflatten(-1, (whole, _BLOCK)).sum(dim=-1)
    rest = likelihoods[..., whole * _BLOCK :].sum(dim=-1, keepdim=True)
    first = _invert(torch.cat([blocks, rest], dim=-1)) * _BLOCK  # (...)
    tokens = first[..., None] + torch.arange(_BLOCK, device=first.device)
    inside = likelihoods.gather(-1, tokens.clamp(max=vocabulary - 1)) * (tokens < vocabulary)
    return (first + _invert(inside)).clamp(max=vocabulary - 1)  # what is not a number may end in the last block


def replace_tokens(input_ids: Tensor, positions: Tensor, weights: Tensor, sampled_ids: Tensor) -> Tensor:
    """The original text with the sampled tokens at the chosen positions (pretrain_helpers.py:222-235)."""
    # Unused slots point at position 0: they write the [CLS] that already stands there, and no chosen slot does.
    written = torch.where(weights > 0, sampled_ids, input_ids[:, :1])
    return input_ids.scatter(1, positions, written)


def temperature(done: float, start: float, decay: float | None) -> float:
    """Temperature of the draw after a share `done` of the training, 0 to 1.

    Without a decay always `start`; with one `1 + (start - 1) exp(-done / decay)`: easy replacements first, like
    simulated annealing, for a generator that does not grow by itself (Dong et al., "Fast-ELECTRA for Efficient
    Pre-training", ICLR 2024, https://arxiv.org/abs/2310.07347, propose a descending schedule).
    """
    return start if decay is None else 1 + (start - 1) * math.exp(-done / decay)


def _invert(likelihoods: Tensor) -> Tensor:
    """The first index at which the running sum exceeds a uniform share of the whole: (..., n) to (...)."""
    cumulative = likelihoods.cumsum(dim=-1)
    total = cumulative[..., -1:]
    threshold = torch.rand_like(total) * total
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(-1).clamp_(max=likelihoods.shape[-1] - 1)


class _Guess(torch.autograd.Function):
    """Cross-entropy that keeps exp(logits - max), which the draw and the gradient are both made of."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, original_ids: Tensor) -> tuple[Tensor, Tensor]:
        accurate = torch.promote_types(logits.dtype, torch.float32)
        highest = logits.amax(dim=-1, keepdim=True).to(accurate)
        # In place where it can be: on the CPU, new memory of (..., V) costs more than a pass over it.
        shifted = logits - highest if logits.dtype == accurate else logits.to(accurate).sub_(highest)
        likelihoods = shifted.exp_()
        total = likelihoods.sum(dim=-1, keepdim=True)
        chosen = original_ids[..., None]
        nll = total.log() - (logits.gather(-1, chosen) - highest)  # (..., 1)
        ctx.save_for_backward(likelihoods, total, chosen, nll)
        ctx.dtype = logits.dtype
        ctx.mark_non_differentiable(likelihoods)
        return nll.squeeze(-1), likelihoods

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, unused: Tensor) -> tuple[Tensor, None]:
        likelihoods, total, chosen, nll = ctx.saved_tensors
        gradient = gradient[..., None]
        out = torch.empty_like(likelihoods, dtype=ctx.dtype)
        torch.mul(likelihoods, gradient / total, out=out)  # in one pass, whatever the precision
        # p - 1 before it is rounded: where the generator is sure, hardly anything is left of it in half precision
        return out.scatter_(-1, chosen, (torch.expm1(-nll) * gradient).to(ctx.dtype)), None
