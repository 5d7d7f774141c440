import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.batches import ConversationBatch
from electra_lab.losses import (
    attention_supervision,
    cross_entropy,
    divergence,
    focal,
    message_loss,
    random_targets,
    renormalised_cross_entropy,
    weighted,
    window_loss,
)
from tests.detector_settings import NO_NGRAMS


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


def torchvision_focal(logits: torch.Tensor, targets: torch.Tensor, alpha: float, gamma: float) -> torch.Tensor:
    """torchvision.ops.sigmoid_focal_loss as documented: of one logit, a negative alpha weighs nothing."""
    probability = logits.sigmoid()
    nll = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p_t = probability * targets + (1 - probability) * (1 - targets)
    loss = nll * (1 - p_t) ** gamma
    return (alpha * targets + (1 - alpha) * (1 - targets)) * loss if alpha >= 0 else loss


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("alpha", [-1.0, 0.25, 0.9])
def test_focal_is_torchvisions(gamma: float, alpha: float) -> None:
    logits = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)) * 4
    labels = torch.arange(50) % 2
    expected = torchvision_focal(logits[:, 1] - logits[:, 0], labels.float(), alpha, gamma)
    found = focal(logits, labels, gamma=gamma, alpha=None if alpha < 0 else alpha)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


def test_weighted_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3)], [0.0, math.log(3)], [1.0, 5.0]])
    loss = weighted(logits, torch.tensor([1, 1, 0, -1]), positive_weight=24)
    assert loss.tolist() == pytest.approx([24 * math.log(2), 24 * math.log(4 / 3), math.log(4), 0])


def test_focal_falls_all_the_way_for_easy_windows() -> None:
    # With p_t from a smoothed loss, .999 cost more than .95 (.0074 against .0016).
    losses = [focal(logits_of(p), torch.tensor([1])).item() for p in (0.95, 0.99, 0.999, 0.9999)]
    assert losses == sorted(losses, reverse=True)
    assert losses[2] < 1e-8


def test_alpha_weighs_the_classes_against_each_other() -> None:
    logits, labels = torch.zeros(2, 2), torch.tensor([1, 0])
    anomalous, usual = focal(logits, labels, alpha=0.25)
    assert usual / anomalous == pytest.approx(3)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_has_a_slope_where_nothing_is_to_be_learned(gamma: float) -> None:
    """The slope of 0 ** .5 is infinite: one unknown window, or one that is certain, would make all weights NaN."""
    logits = torch.tensor([[0.3, 0.1], [0.3, 0.1], [-80.0, 80.0]], requires_grad=True)
    focal(logits, torch.tensor([1, -1, 1]), gamma=gamma).mean().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert (logits.grad[1] == 0).all() and (logits.grad[0] != 0).all()


def test_focal_without_focus_is_cross_entropy() -> None:
    logits, labels = torch.randn(7, 2), torch.tensor([0, 1, 1, 0, 1, -1, 0])
    torch.testing.assert_close(focal(logits, labels, gamma=0.0), cross_entropy(logits, labels))
    assert focal(logits, labels)[5] == 0  # unknown


def test_divergence_by_hand() -> None:
    mass = torch.tensor([0.2, 0.3, 0.1, 0.6, 0.4])
    labels = torch.tensor([1, 1, 0, 0, 0])
    windows = torch.tensor([0, 0, 0, 1, 1])
    expected = 0.5 * math.log(0.5 / 0.2) + 0.5 * math.log(0.5 / 0.3)
    assert divergence(mass, labels, windows, 2).tolist() == pytest.approx([expected, 0], abs=1e-6)


def test_divergence_is_zero_only_on_the_target() -> None:
    # Cross-entropy with a soft target has a floor of log k, 26 times the classification loss at the start.
    windows, labels = torch.zeros(3, dtype=torch.int64), torch.tensor([1, 1, 0])
    assert divergence(torch.tensor([0.5, 0.5, 0.0]), labels, windows, 1).item() == pytest.approx(0, abs=1e-6)


def test_attention_on_special_tokens_costs_but_not_in_the_original_loss() -> None:
    # The loss of earlier work renormalises over messages and does not notice when all attention moves to [CLS].
    windows, labels = torch.zeros(2, dtype=torch.int64), torch.tensor([1, 0])
    scores = torch.tensor([0.5, 0.1, 0.3])  # two messages of one token and [CLS]
    before = scores.softmax(0)[:2]
    after = (scores - torch.tensor([15.0, 15.0, 0.0])).softmax(0)[:2]
    assert divergence(after, labels, windows, 1) - divergence(before, labels, windows, 1) > 10
    original = renormalised_cross_entropy(before, labels, windows, 1)
    torch.testing.assert_close(renormalised_cross_entropy(after, labels, windows, 1), original)
    assert original.item() == pytest.approx(math.log(1 + math.exp(-0.4)), rel=1e-5)


def test_the_original_loss_has_a_floor() -> None:
    labels, windows = torch.tensor([1, 1, 0, 0]), torch.tensor([0, 0, 0, 1])
    perfect = torch.tensor([0.5, 0.5, 0.0, 1.0])
    assert renormalised_cross_entropy(perfect, labels, windows, 2).tolist() == pytest.approx([math.log(2), 0])
    assert divergence(perfect, labels, windows, 2).tolist() == pytest.approx([0, 0], abs=1e-6)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 999))
def test_random_targets_are_as_many_as_anomalous_messages(counts: list[int], seed: int) -> None:
    windows = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    labels = torch.randint(-1, 2, (len(windows),), generator=torch.Generator().manual_seed(seed))
    targets = random_targets(labels, windows, len(counts), (seed, 3))
    assert torch.equal(targets, random_targets(labels, windows, len(counts), (seed, 3)))
    assert set(targets.tolist()) <= {0, 1}
    for window in range(len(counts)):
        assert targets[windows == window].sum() == (labels[windows == window] == 1).sum()


def test_random_targets_fall_on_every_message_alike() -> None:
    labels, windows = torch.tensor([1, 0, 0, 0] * 2), torch.tensor([0] * 4 + [1] * 4)
    draws = torch.stack([random_targets(labels, windows, 2, (epoch, 0)) for epoch in range(800)])
    assert ((draws.float().mean(0) - 0.25).abs() < 0.06).all()  # four standard deviations
    others = torch.stack([random_targets(labels, windows, 2, (0, index)) for index in range(800)])
    assert ((others.float().mean(0) - 0.25).abs() < 0.06).all()


def two_windows() -> tuple[torch.Tensor, ConversationBatch]:
    """Attention of [CLS] [MSG] a [SEP] [MSG] b c [SEP] and of [CLS] [MSG] d [SEP]; the second message is anomalous."""
    attention = torch.tensor([0.1, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.2, 0.5, 0.2, 0.2, 0.1])
    none = torch.zeros(0)
    batch = ConversationBatch(
        input_ids=none,
        position_ids=none,
        cu_seq_lens=torch.tensor([0, 8, 12]),
        max_length=8,
        window_of_token=torch.tensor([0] * 8 + [1] * 4),
        message_of_token=torch.tensor([-1, 0, 0, -1, 1, 1, 1, -1, -1, 2, 2, -1]),
        window_of_message=torch.tensor([0, 0, 1]),
        message_labels=torch.tensor([0, 1, 0]),
        window_labels=torch.tensor([1, 0]),
        message_ids=torch.arange(3),
        conversation_of_window=torch.arange(2),
        position=(0, 0),
        **NO_NGRAMS,
    )
    return attention, batch


@pytest.mark.parametrize(("name", "expected"), [("off", 0), ("kl", -math.log(0.4)), ("original", -math.log(0.2 / 0.3))])
def test_a_supervision_by_name(name: str, expected: float) -> None:
    attention, batch = two_windows()
    mass = torch.tensor([0.2, 0.4, 0.4])
    assert attention_supervision(name)(attention, mass, batch).tolist() == pytest.approx([expected, 0], abs=1e-6)


def test_random_supervision_follows_the_position_of_the_batch() -> None:
    attention, batch = two_windows()
    mass = torch.tensor([0.2, 0.4, 0.4])
    values = [
        attention_supervision("random")(attention, mass, batch._replace(position=(0, index)))[0].item()
        for index in range(20)
    ]
    assert {round(value, 4) for value in values} == {round(-math.log(0.2), 4), round(-math.log(0.4), 4)}


def test_an_unknown_supervision_is_refused() -> None:
    with pytest.raises(ValueError, match="off, kl, original, random"):
        attention_supervision("none")


def test_divergence_survives_a_mass_of_zero() -> None:
    mass = torch.tensor([0.0, 1.0], requires_grad=True)
    loss = divergence(mass, torch.tensor([1, 0]), torch.tensor([0, 0]), 1)
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
    for loss, values in (
        (message_loss, logits),
        (divergence, logits.sigmoid()),
        (renormalised_cross_entropy, logits.sigmoid()),
    ):
        together = loss(values, labels, windows, len(counts))
        for window in range(len(counts)):
            mine = windows == window
            alone = loss(values[mine], labels[mine], windows[mine] - window, 1)
            torch.testing.assert_close(together[window], alone[0])


def test_a_loss_by_name() -> None:
    logits, labels = torch.randn(3, 2), torch.tensor([0, 1, 1])
    torch.testing.assert_close(window_loss("focal", {"gamma": 1.0})(logits, labels), focal(logits, labels, gamma=1.0))
    with pytest.raises(ValueError, match="focal, cross_entropy, weighted"):
        window_loss("hinge")
    with pytest.raises(ValueError, match="gamma, alpha"):
        window_loss("focal", {"smoothing": 0.1})
    with pytest.raises(ValueError, match="none"):
        window_loss("cross_entropy", {"gamma": 2.0})
    with pytest.raises(ValueError, match="needs the option 'positive_weight'"):
        window_loss("weighted")
    torch.testing.assert_close(
        window_loss("weighted", {"positive_weight": 1.0})(logits, labels), cross_entropy(logits, labels)
    )
