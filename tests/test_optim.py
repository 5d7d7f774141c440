import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining

from electra_lab.optim import SCHEDULES, adamw, linear, parameter_groups, schedule, scheduled
from tests import reference_google as google


class Tied(nn.Module):
    """Two tables that are one, a norm, a frozen layer and a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.output = nn.Linear(4, 5)
        self.output.weight = self.table.weight
        self.norm = nn.LayerNorm(4)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)


def test_every_trainable_parameter_is_in_one_group_once() -> None:
    model = Tied()
    groups = parameter_groups(model, weight_decay=0.01)
    members = [parameter for group in groups for parameter in group["params"]]  # type: ignore[attr-defined]
    assert len(members) == len({id(parameter) for parameter in members})
    assert {id(p) for p in members} == {id(p) for p in model.parameters() if p.requires_grad}


def test_tables_and_matrices_decay_biases_and_norms_do_not() -> None:
    model = Tied()
    decayed, plain = parameter_groups(model, weight_decay=0.01)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.01, 0.0)
    assert [id(p) for p in decayed["params"]] == [id(model.table.weight)]  # type: ignore[attr-defined]
    assert {id(p) for p in plain["params"]} == {  # type: ignore[attr-defined]
        id(model.output.bias),
        id(model.norm.weight),
        id(model.norm.bias),
    }


@pytest.mark.parametrize(
    ("step", "factor"),
    [(0, 0.0), (1, 0.1), (5, 0.5), (10, 1.0), (55, 0.5), (100, 0.0), (120, 0.0)],
)
def test_the_schedule_rises_over_the_warmup_and_falls_to_zero_at_the_end(step: int, factor: float) -> None:
    assert linear(step, warmup_steps=10, total_steps=100) == pytest.approx(factor)


def test_without_warmup_the_schedule_starts_at_the_top() -> None:
    assert [linear(step, 0, 4) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_the_optimizer_follows_the_schedule_after_every_step() -> None:
    weight = nn.Parameter(torch.ones(3, 3))
    optimizer = adamw([{"params": [weight], "weight_decay": 0.0}], learning_rate=2.0)
    settings = scheduled(optimizer, lambda step: linear(step, 2, 4))["lr_scheduler"]
    assert isinstance(settings, dict) and settings["interval"] == "step"
    seen = []
    for _ in range(5):
        seen.append(optimizer.param_groups[0]["lr"])
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        settings["scheduler"].step()
    assert seen == pytest.approx([0.0, 1.0, 2.0, 1.0, 0.0])


def test_the_published_betas_and_eps() -> None:
    group = adamw([{"params": [nn.Parameter(torch.ones(2, 2))], "weight_decay": 0.01}], 1e-3).param_groups[0]
    assert (group["betas"], group["eps"], group["fused"]) == ((0.9, 0.999), 1e-6, True)


def electra(architecture: type[nn.Module] = ElectraForPreTraining) -> nn.Module:
    """A real, tiny network in float64, with biases and norms away from 0 and 1, without dropout."""
    torch.manual_seed(0)
    config = ElectraConfig(
        vocab_size=31,
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=12,
    )
    model = architecture(config)
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, 1.0 if "LayerNorm.weight" in name else 0.0, 0.3)
    return model.double().eval()


@pytest.mark.parametrize("architecture", [ElectraForPreTraining, ElectraForMaskedLM])
def test_one_dimensional_parameters_are_those_that_the_published_names_exclude(architecture: type[nn.Module]) -> None:
    model = electra(architecture)
    by_name = {
        id(parameter)
        for name, parameter in model.named_parameters()
        if any(re.search(pattern, name) for pattern in google.NO_DECAY)
    }
    plain = parameter_groups(model, 0.01)[1]["params"]
    assert {id(parameter) for parameter in plain} == by_name  # type: ignore[attr-defined]
    assert 0 < len(by_name) < len(list(model.parameters()))


def gradients(model: nn.Module, step: int) -> float:
    """Fill in the gradients of a loss on a batch that depends on the step; return the loss."""
    rng = torch.Generator().manual_seed(step)
    ids = torch.randint(0, 31, (4, 12), generator=rng)
    labels = torch.randint(0, 2, (4, 12), generator=rng)
    model.zero_grad()
    loss = model(ids, labels=labels).loss
    loss.backward()
    return loss.item()


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, steps: range, rates: Callable[[int], float]
) -> list[float]:
    """Steps as Lightning takes them: the gradients are made in a closure that the optimizer calls."""
    losses = []
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = rates(step)
        losses.append(optimizer.step(partial(gradients, model, step)))
    return losses


def rates(step: int) -> float:
    """From 0 over a warmup of three steps down again, large enough to change the weights."""
    return google.learning_rate(step, 0.05, warmup_steps=3, total_steps=8)


def test_without_bias_correction_the_steps_are_the_published_ones() -> None:
    model = electra()
    weights = {name: parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}
    start = weights
    first, second = ({name: np.zeros_like(weight) for name, weight in weights.items()} for _ in range(2))
    optimizer = adamw(parameter_groups(model, 0.01), 0.05, bias_correction=False)
    assert rates(0) == 0.0
    for step in range(5):
        train(model, optimizer, range(step, step + 1), rates)
        grads = {name: np.asarray(parameter.grad) for name, parameter in model.named_parameters()}
        weights, first, second = google.adam_weight_decay(weights, grads, first, second, rates(step))
        for name, parameter in model.named_parameters():
            np.testing.assert_allclose(parameter.detach().numpy(), weights[name], rtol=1e-7, atol=1e-12, err_msg=name)
    moved = {name: np.abs(weights[name] - start[name]).max() for name in weights}
    still = [name for name in moved if moved[name] < 0.01]
    assert all("key.bias" in name for name in still)  # the softmax does not see it; every other tensor took part


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_with_bias_correction_they_are_torchs(device: str) -> None:
    """And the published first steps are larger: (1 - .9^t) / sqrt(1 - .999^t) = 3.16 at t = 1, 6.53 at t = 10."""
    first_moves = []
    for correction in (True, False):
        weight = nn.Parameter(torch.zeros(1, 1, device=device))
        optimizer = adamw([{"params": [weight], "weight_decay": 0.0}], 1.0, correction)
        moves = []
        for _ in range(10):
            before = weight.item()
            weight.grad = torch.ones_like(weight)
            optimizer.step()
            moves.append(before - weight.item())
        first_moves.append(moves)
    corrected, published = first_moves
    assert corrected == pytest.approx([1.0] * 10, rel=1e-4)
    assert [published[0] / corrected[0], published[9] / corrected[9]] == pytest.approx([3.162, 6.533], rel=1e-3)


def test_a_run_that_is_cut_goes_on_without_correction() -> None:
    whole = electra()
    losses = train(whole, adamw(parameter_groups(whole, 0.01), 0.05, bias_correction=False), range(6), rates)
    model = electra()
    optimizer = adamw(parameter_groups(model, 0.01), 0.05, bias_correction=False)
    train(model, optimizer, range(3), rates)
    again = adamw(parameter_groups(model, 0.01), 0.05, bias_correction=False)
    again.load_state_dict(optimizer.state_dict())
    assert train(model, again, range(3, 6), rates) == losses[3:]
    for one, other in zip(model.parameters(), whole.parameters(), strict=True):
        assert one.equal(other)


@pytest.mark.parametrize("step", [0, 1, 250, 499, 500, 501, 5_000, 9_999, 10_000])
def test_google_linear_is_the_published_curve(step: int) -> None:
    expected = google.learning_rate(step, 5e-4, warmup_steps=500, total_steps=10_000)
    assert 5e-4 * schedule("google-linear")(step, 500, 10_000) == pytest.approx(expected, rel=1e-12)


def test_google_linear_never_reaches_the_peak() -> None:
    highest = max(schedule("google-linear")(step, 500, 10_000) for step in range(10_001))
    assert highest == pytest.approx(0.95)
    assert schedule("google-linear")(10_500, 500, 10_000) == 0.0
    assert [schedule("google-linear")(step, 0, 4) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.mark.parametrize(
    ("step", "factor"),
    # decays over 100 of 1000 steps: 1 - sqrt(25 / 100) = .5, 1 - sqrt(81 / 100) = .1
    [(0, 0.0), (5, 0.5), (10, 1.0), (500, 1.0), (900, 1.0), (925, 0.5), (981, 0.1), (1000, 0.0), (1001, 0.0)],
)
def test_warmup_stable_decay_stays_up_until_the_last_tenth(step: int, factor: float) -> None:
    assert schedule("warmup-stable-decay")(step, 10, 1000) == pytest.approx(factor)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("warmup", "total"), [(0, 1), (1, 1), (0, 7), (3, 7), (7, 7), (9, 7)])
def test_schedules_stay_between_0_and_1_however_short_the_run(name: str, warmup: int, total: int) -> None:
    factors = [schedule(name)(step, warmup, total) for step in range(total + 3)]
    assert all(0.0 <= factor <= 1.0 for factor in factors)
    if warmup < total:
        assert factors[total:] == [0.0] * 3


def test_an_unknown_schedule_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(ValueError, match="one of linear, google-linear, warmup-stable-decay, got 'cosine'"):
        schedule("cosine")
