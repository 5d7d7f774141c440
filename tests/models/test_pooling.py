import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from electra_lab.models.pooling import (
    POOLINGS,
    AttentionPooling,
    FirstToken,
    GatedPooling,
    NoisyOr,
    pooling_named,
    segment_softmax,
)


def test_by_hand() -> None:
    pooling = AttentionPooling(1)
    torch.nn.init.ones_(pooling.get_parameter("score.weight"))
    states = torch.tensor([[0.0], [2.0], [5.0]]).log1p()  # scores log 1, log 3, log 6
    pooled, attention = pooling(states, torch.tensor([0, 0, 1]), 2)
    assert attention.tolist() == pytest.approx([1 / 4, 3 / 4, 1])
    assert pooled[:, 0].tolist() == pytest.approx([3 / 4 * states[1].item(), states[2].item()])


@settings(max_examples=40, derandomize=True, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), scale=st.sampled_from([1.0, 1e4]))
def test_is_the_softmax_of_every_window(lengths: list[int], scale: float) -> None:
    scores = torch.randn(sum(lengths), generator=torch.Generator().manual_seed(sum(lengths))) * scale
    segment = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    expected = torch.cat([part.softmax(0) for part in scores.split(lengths)])
    torch.testing.assert_close(segment_softmax(scores, segment, len(lengths)), expected)


def test_gradient_is_that_of_softmax() -> None:
    scores = torch.randn(7, dtype=torch.float64, requires_grad=True)
    segment = torch.tensor([0, 0, 0, 1, 2, 2, 2])
    assert torch.autograd.gradcheck(lambda s: segment_softmax(s, segment, 3), scores)


def test_half_precision_states_are_weighed_in_float32() -> None:
    pooling = AttentionPooling(8).bfloat16()
    pooled, attention = pooling(torch.randn(300, 8).bfloat16(), torch.zeros(300, dtype=torch.int64), 1)
    assert (pooled.dtype, attention.dtype) == (torch.float32, torch.float32)
    assert attention.sum().item() == pytest.approx(1, abs=1e-5)


def test_gated_by_hand() -> None:
    pooling = GatedPooling(2)
    assert {name: tuple(p.shape) for name, p in pooling.named_parameters()} == {
        "score.both.weight": (256, 2),
        "score.both.bias": (256,),
        "score.score.weight": (1, 128),
    }
    for parameter in pooling.parameters():
        torch.nn.init.zeros_(parameter)
    both, score = pooling.get_parameter("score.both.weight"), pooling.get_parameter("score.score.weight")
    with torch.no_grad():  # one of the 128: tanh(h_0) * sigmoid(h_1), weighed by 5
        both[0, 0] = both[128, 1] = 1.0
        score[0, 0] = 5.0
    states = torch.tensor([[0.5, 1.0], [-2.0, 0.3], [0.7, -9.0]])
    scores = [5 * math.tanh(a) / (1 + math.exp(-b)) for a, b in states.tolist()]
    pooled, attention = pooling(states, torch.zeros(3, dtype=torch.int64), 1)
    total = sum(math.exp(score) for score in scores)
    assert attention.tolist() == pytest.approx([math.exp(score) / total for score in scores], rel=1e-5)
    torch.testing.assert_close(pooled, attention @ states[None])


def test_first_token() -> None:
    states = torch.randn(5, 3).bfloat16()
    pooled, attention = FirstToken(3)(states, torch.tensor([0, 0, 1, 1, 1]), 2)
    assert torch.equal(pooled, states[[0, 2]].float())
    assert attention.tolist() == [1, 0, 1, 0, 0]


def test_noisy_or_by_hand() -> None:
    logits = torch.tensor([0.0, math.log(3), -1.0])
    window_logits, share = NoisyOr(8)(logits, torch.tensor([0, 0, 1]), 2)
    assert window_logits.softmax(1)[:, 1].tolist() == pytest.approx([1 - 0.5 * 0.25, 1 / (1 + math.e)])
    assert share.tolist() == pytest.approx([1 / 3, 2 / 3, 1])  # log 2, log 4


@pytest.mark.parametrize("logit", [-100.0, -60.0, -20.0, 0.0, 20.0, 100.0])
def test_noisy_or_is_finite_where_sigmoids_are_0_or_1(logit: float) -> None:
    logits = torch.full((10,), logit, requires_grad=True)
    window_logits, share = NoisyOr(8)(logits, torch.zeros(10, dtype=torch.int64), 1)
    losses = F.cross_entropy(window_logits, torch.tensor([0])), F.cross_entropy(window_logits, torch.tensor([1]))
    (gradient,) = torch.autograd.grad(losses[1] + share.log().sum(), logits)
    assert gradient.isfinite().all() and share.sum().item() == pytest.approx(1)
    log_odds = (window_logits[0, 1] - window_logits[0, 0]).item()
    if logit < -10:  # p = 10 sigmoid(z): far below what 1 - prod could show
        assert log_odds == pytest.approx(math.log(10) + max(logit, math.log(1e-30)), rel=1e-4)
    if logit > 10:
        assert log_odds == pytest.approx(10 * logit, rel=1e-4)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(logits=st.lists(st.floats(-12, 12, width=32), min_size=1, max_size=12), extra=st.floats(-12, 12, width=32))
def test_noisy_or_another_message_never_makes_a_window_harmless(logits: list[float], extra: float) -> None:
    messages = torch.tensor([*logits, *logits, extra])
    windows = torch.tensor([0] * len(logits) + [1] * (len(logits) + 1))
    found, share = NoisyOr(8)(messages, windows, 2)
    without, with_it = (found[:, 1] - found[:, 0]).tolist()
    assert with_it >= without - 1e-4
    exact = 1 - (1 - torch.tensor(logits, dtype=torch.float64).sigmoid()).prod()
    assert found.softmax(1)[0, 1].item() == pytest.approx(exact.item(), rel=1e-4)
    assert without >= max(logits) - 1e-4
    assert share.sum().item() == pytest.approx(2, rel=1e-5)


def test_poolings_by_name() -> None:
    assert list(POOLINGS) == ["attention", "gated", "cls", "noisy_or"]
    assert isinstance(pooling_named("gated")(4), GatedPooling)
    with pytest.raises(ValueError, match="attention, gated, cls, noisy_or"):
        pooling_named("mean")
