import pytest
import torch
from torch import nn

from electra_lab.optim import adamw, linear, parameter_groups, scheduled


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
