import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.losses import attention_supervision, cross_entropy, focal, message_loss, window_loss


def logits_of(probability: float) -> torch.Tensor:
    """Logits (1, 2) whose softmax gives this probability to "anomalous"."""
    return torch.tensor([[0.0, math.log(probability / (1 - probability))]])


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_is_the_published_formula(probability: float, label: int, alpha: float | None) -> None:
    p_t = probability if label else 1 - probability
    alpha_t = 1.0 if alpha is None else alpha if label else 1 - alpha
    expected = -alpha_t * (1 - p_t) ** 2 * math.log(p_t)
    loss = focal(logits_of(probability), torch.tensor([label]), gamma=2, alpha=alpha)
    assert loss.item() == pytest.approx(expected, rel=1e-3)


def test_focal_falls_all_the_way_for_easy_windows() -> None:
    # With p_t from a smoothed loss, .999 cost more than .95 (.0074 against .0016).
    losses = [focal(logits_of(p), torch.tensor([1])).item() for p in (0.95, 0.99, 0.999, 0.9999)]
    assert losses == sorted(losses, reverse=True)
    assert losses[2] < 1e-8


def test_alpha_weighs_the_classes_against_each_other() -> None:
    logits, labels = torch.zeros(2, 2), torch.tensor([1, 0])
    anomalous, usual = focal(logits, labels, alpha=0.25)
    assert usual / anomalous == pytest.approx(3)


def test_focal_without_focus_is_cross_entropy() -> None:
    logits, labels = torch.randn(7, 2), torch.tensor([0, 1, 1, 0, 1, -1, 0])
    torch.testing.assert_close(focal(logits, labels, gamma=0.0), cross_entropy(logits, labels))
    assert focal(logits, labels)[5] == 0  # unknown


def test_attention_supervision_by_hand() -> None:
    mass = torch.tensor([0.2, 0.3, 0.1, 0.6, 0.4])
    labels = torch.tensor([1, 1, 0, 0, 0])
    windows = torch.tensor([0, 0, 0, 1, 1])
    expected = 0.5 * math.log(0.5 / 0.2) + 0.5 * math.log(0.5 / 0.3)
    assert attention_supervision(mass, labels, windows, 2).tolist() == pytest.approx([expected, 0], abs=1e-6)


def test_attention_supervision_is_zero_only_on_the_target() -> None:
    # Cross-entropy with a soft target has a floor of log k, 26 times the classification loss at the start.
    windows, labels = torch.zeros(3, dtype=torch.int64), torch.tensor([1, 1, 0])
    assert attention_supervision(torch.tensor([0.5, 0.5, 0.0]), labels, windows, 1).item() == pytest.approx(0, abs=1e-6)


def test_attention_on_special_tokens_costs() -> None:
    # A loss that renormalises over messages does not notice when all attention moves to [CLS].
    windows, labels = torch.zeros(2, dtype=torch.int64), torch.tensor([1, 0])
    scores = torch.tensor([0.5, 0.1, 0.3])  # two messages and [CLS]
    before = attention_supervision(scores.softmax(0)[:2], labels, windows, 1)
    after = attention_supervision((scores - torch.tensor([15.0, 15.0, 0.0])).softmax(0)[:2], labels, windows, 1)
    assert after - before > 10


def test_attention_supervision_survives_a_mass_of_zero() -> None:
    mass = torch.tensor([0.0, 1.0], requires_grad=True)
    loss = attention_supervision(mass, torch.tensor([1, 0]), torch.tensor([0, 0]), 1)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert mass.grad is not None and mass.grad.isfinite().all()


def test_message_loss_is_the_mean_over_known_messages() -> None:
    logits = torch.tensor([0.0, 2.0, 9.0, 1.0])
    labels = torch.tensor([1, 0, -1, -1])
    windows = torch.tensor([0, 0, 0, 1])
    expected = (math.log(2) + math.log(1 + math.exp(2))) / 2
    assert message_loss(logits, labels, windows, 2).tolist() == pytest.approx([expected, 0])


@settings(max_examples=30, derandomize=True, deadline=None)
@given(counts=st.lists(st.integers(1, 5), min_size=2, max_size=6), seed=st.integers(0, 999))
def test_each_window_costs_the_same_in_any_company(counts: list[int], seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    windows = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    logits = torch.randn(len(windows), generator=random)
    labels = torch.randint(-1, 2, (len(windows),), generator=random)
    for loss, values in ((message_loss, logits), (attention_supervision, logits.sigmoid())):
        together = loss(values, labels, windows, len(counts))
        for window in range(len(counts)):
            mine = windows == window
            alone = loss(values[mine], labels[mine], windows[mine] - window, 1)
            torch.testing.assert_close(together[window], alone[0])


def test_a_loss_by_name() -> None:
    logits, labels = torch.randn(3, 2), torch.tensor([0, 1, 1])
    torch.testing.assert_close(window_loss("focal", {"gamma": 1.0})(logits, labels), focal(logits, labels, gamma=1.0))
    with pytest.raises(ValueError, match="focal, cross_entropy"):
        window_loss("hinge")
    with pytest.raises(ValueError, match="gamma, alpha"):
        window_loss("focal", {"smoothing": 0.1})
    with pytest.raises(ValueError, match="none"):
        window_loss("cross_entropy", {"gamma": 2.0})
