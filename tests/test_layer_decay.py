import pytest
import torch
from torch import nn
from transformers import AutoModel, PreTrainedConfig

from electra_lab.optim import adamw, layerwise_groups, linear, parameter_groups, scheduled
from tests.test_families import config_of

SIZES = {
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
}
FAMILIES = ("electra", "bert", "roberta", "distilbert", "deberta-v2", "modernbert")
CONFIGS = [config_of(family, 20, SIZES) for family in FAMILIES]
SHARED = config_of("albert", 20, SIZES)


class WithHead(nn.Module):
    """An encoder and two layers on top."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.encoder = AutoModel.from_config(config)
        self.head = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))


def rates(model: WithHead, layer_decay: float, learning_rate: float = 1.0) -> dict[str, float]:
    """The learning rate of every trainable parameter by its name; each is in one group once."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = layerwise_groups(model, model.encoder, 0.01, learning_rate, layer_decay)
    found = [(names[id(p)], group["lr"]) for group in groups for p in group["params"]]  # type: ignore[attr-defined]
    assert len(found) == len(dict(found)) == len([p for p in model.parameters() if p.requires_grad])
    return dict(found)  # type: ignore[arg-type]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_rates_by_hand(config: PreTrainedConfig) -> None:
    # three layers and a factor of one half: 1/2, 1/4, 1/8 from above, and 1/16 below them
    for name, rate in rates(WithHead(config), 0.5, learning_rate=8.0).items():
        if name.startswith("head."):
            expected = 8.0
        else:
            number = [part for part in name.split(".") if part.isdigit()]
            expected = {"2": 4.0, "1": 2.0, "0": 1.0}[number[0]] if number else 0.5
        assert rate == expected, name


def test_shared_layers_are_one_layer() -> None:
    found = rates(WithHead(SHARED), 0.5)
    assert {rate for name, rate in found.items() if "albert_layer_groups" in name} == {0.5}
    assert {rate for name, rate in found.items() if "embedding" in name} == {0.25}
    assert {rate for name, rate in found.items() if name.startswith("head.")} == {1.0}


def test_without_decay_the_groups_are_the_usual_ones() -> None:
    model = WithHead(CONFIGS[0])
    for group, usual in zip(
        layerwise_groups(model, model.encoder, 0.01, 3.0, 1.0), parameter_groups(model, 0.01), strict=True
    ):
        assert group["lr"] == 3.0 and group["weight_decay"] == usual["weight_decay"]
        assert [*map(id, group["params"])] == [*map(id, usual["params"])]  # type: ignore[call-overload]


def test_only_matrices_and_tables_are_decayed_and_the_highest_rate_comes_first() -> None:
    model = WithHead(CONFIGS[0])
    model.encoder.embeddings.requires_grad_(False)
    groups = layerwise_groups(model, model.encoder, 0.01, 1.0, 0.9)
    assert [group["lr"] for group in groups] == sorted((group["lr"] for group in groups), reverse=True)  # type: ignore
    for group in groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] == 0.01}  # type: ignore[attr-defined]
    rates(model, 0.9)  # what is frozen is in none


def test_the_schedule_multiplies_every_rate() -> None:
    model = WithHead(CONFIGS[0])
    optimizer = adamw(layerwise_groups(model, model.encoder, 0.01, 2.0, 0.5), 2.0)
    settings = scheduled(optimizer, lambda step: linear(step, 2, 4))["lr_scheduler"]
    assert isinstance(settings, dict)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    settings["scheduler"].step()
    assert sorted({group["lr"] for group in optimizer.param_groups}) == [0.0625, 0.125, 0.25, 0.5, 1.0]


@pytest.mark.parametrize("layer_decay", [0.0, -0.5, 1.1])
def test_a_factor_that_is_none_is_refused(layer_decay: float) -> None:
    model = WithHead(CONFIGS[0])
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        layerwise_groups(model, model.encoder, 0.01, 1.0, layer_decay)


def test_an_encoder_without_a_list_of_layers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Linear keeps its layers in no list.* set layer_decay to 1"):
        layerwise_groups(nn.Linear(2, 2), nn.Linear(2, 2), 0.01, 1.0, 0.5)
