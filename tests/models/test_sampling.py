"""One exponential for the loss, its gradient and the draw: against torch's cross-entropy, and at odd vocabularies."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from electra_lab.models.sampling import draw, guess


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6), (torch.bfloat16, 5e-3)]
)
def test_loss_and_gradient_are_those_of_cross_entropy(dtype, tolerance):
    """Also where the original token has no probability that fp32 could hold, and where it has nearly all."""
    torch.manual_seed(0)
    logits = 4 * torch.randn(2, 5, 37, dtype=torch.float64)
    logits[0, 0, 3], logits[0, 1, 3] = -200.0, 20.0
    logits = logits.to(dtype).requires_grad_()
    ids = torch.full((2, 5), 3)
    nll, likelihoods = guess(logits, ids)
    exact = logits.detach().double().requires_grad_()
    expected = cross_entropy(exact.flatten(0, 1), ids.flatten(), reduction="none").view(2, 5)
    weights = torch.rand(2, 5)
    (expected * weights).sum().backward()
    (nll * weights).sum().backward()
    assert nll.dtype == torch.promote_types(dtype, torch.float32) and nll.max() > 200
    assert torch.allclose(nll.double(), expected, rtol=1e-12 if dtype == torch.float64 else 1e-6, atol=1e-6)
    assert (logits.grad.double() - exact.grad).abs().max() < tolerance
    small = exact.grad[0, 1, 3]  # p - 1 of a token that is nearly sure: no cancellation
    assert logits.grad.dtype == dtype and float(logits.grad[0, 1, 3]) == pytest.approx(float(small), rel=1e-2)
    assert not likelihoods.requires_grad
    shares = likelihoods / likelihoods.sum(-1, keepdim=True)
    assert torch.allclose(shares.double(), exact.detach().softmax(-1), atol=1e-6)


@pytest.mark.parametrize("vocabulary", [3, 255, 256, 257, 700])
def test_draws_follow_any_vocabulary(vocabulary):
    """Total variation at the noise floor though the tokens are drawn block by block, and not normalised."""
    torch.manual_seed(0)
    likelihoods = 7 * torch.randn(vocabulary).mul(2).exp()
    likelihoods[vocabulary // 2] = 0.0
    rows = 40_000
    drawn = torch.bincount(draw(likelihoods.expand(rows, -1)), minlength=vocabulary) / rows
    probabilities = likelihoods / likelihoods.sum()
    floor = (probabilities * (1 - probabilities) / rows).sqrt().sum() * math.sqrt(2 / math.pi) / 2
    assert len(drawn) == vocabulary and drawn[vocabulary // 2] == 0
    assert (drawn - probabilities).abs().sum() / 2 < 1.5 * floor + 3 / rows
