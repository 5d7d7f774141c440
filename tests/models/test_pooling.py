import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.models.pooling import AttentionPooling, segment_softmax


def test_by_hand() -> None:
    pooling = AttentionPooling(1)
    torch.nn.init.ones_(pooling.score.weight)
    states = torch.tensor([[0.0], [2.0], [5.0]]).log1p()  # scores log 1, log 3, log 6
    pooled, attention = pooling(states, torch.tensor([0, 2, 3], dtype=torch.int32))
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
    pooled, attention = pooling(torch.randn(300, 8).bfloat16(), torch.tensor([0, 300], dtype=torch.int32))
    assert (pooled.dtype, attention.dtype) == (torch.float32, torch.float32)
    assert attention.sum().item() == pytest.approx(1, abs=1e-5)
