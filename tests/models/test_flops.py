"""FLOPs by the formula against what torch counts, operation by operation."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AlbertConfig,
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    BertConfig,
    DistilBertConfig,
    ElectraForPreTraining,
    RobertaConfig,
)

from electra_lab.batches import PretrainingBatch
from electra_lab.models import electra as module
from electra_lab.models.electra import Electra
from electra_lab.models.flops import PEAKS, peak_flops, training_flops
from electra_lab.models.sizes import electra_configs, preset_sizes

B, L, N, V = 2, 24, 4, 300
NARROW = {"vocab_size": V, "hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 2, "num_hidden_layers": 3}
OTHERS = {
    "bert": BertConfig(**NARROW),
    "roberta": RobertaConfig(**NARROW, pad_token_id=0),
    "distilbert": DistilBertConfig(vocab_size=V, dim=24, hidden_dim=40, n_heads=2, n_layers=3),
    "albert": AlbertConfig(**NARROW, embedding_size=16),
}


@pytest.fixture(autouse=True)
def no_masks(monkeypatch):
    """Transformers looks into masks, and on the meta device there is nothing to see."""
    monkeypatch.setattr(module, "_context", lambda model, batch: {})


def counted(generator, discriminator, sharing: str, train_generator: bool = True) -> int:
    """What torch counts in a forward and a backward pass, without memory or time: on the meta device."""
    is_electra = discriminator.model_type == "electra"
    judge = ElectraForPreTraining._from_config if is_electra else AutoModelForTokenClassification.from_config
    discriminator.num_labels = 1
    with torch.device("meta"):
        electra = Electra(
            AutoModelForMaskedLM.from_config(generator, attn_implementation="eager"),
            judge(discriminator, attn_implementation="eager"),
            sharing,
            train_generator=train_generator,
        )
        ids, slots = torch.zeros(B, L, dtype=torch.int64), torch.zeros(B, N, dtype=torch.int64)
        batch = PretrainingBatch(ids, ids, ids, ids, slots, slots.float(), ids.sum(), ids.sum(), (0, 0))
        with FlopCounterMode(display=False) as counter:
            output = electra(batch)
            (output.masked_nll.sum() + output.discriminator_logits.sum()).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("num_layers", [2, pytest.param(None, marks=pytest.mark.slow)])
@pytest.mark.parametrize("preset", ["tiny", "small", "small++", "base", "large"])
def test_presets_need_what_torch_counts(preset, num_layers):
    configs = electra_configs(preset_sizes(preset, num_layers and {"num_layers": num_layers}), V)
    assert training_flops(*configs, B, L, N) == pytest.approx(counted(*configs, "es"), rel=0.02)


@pytest.mark.parametrize("family", OTHERS)
def test_other_encoders_too(family):
    pair = OTHERS[family], type(OTHERS[family]).from_dict(OTHERS[family].to_dict())
    assert training_flops(*pair, B, L, N) == pytest.approx(counted(*pair, "none"), rel=0.02)


def test_a_fixed_generator_goes_forward_only():
    configs = electra_configs(preset_sizes("tiny"), V)
    expected = counted(*configs, "none", train_generator=False)
    assert training_flops(*configs, B, L, N, train_generator=False) == pytest.approx(expected, rel=0.02)


def test_the_published_base_model():
    """By hand: 12 layers of 768, generator of 256, 128 tokens of which 19 are masked, V = 30,522."""
    discriminator = 12 * (12 * 2 * 768**2 + 4 * 128 * 768) + 2 * 768**2 + 2 * 768
    generator = 12 * (12 * 2 * 256**2 + 4 * 128 * 256) + 2 * 768 * 256
    head = 19 / 128 * (2 * 256 * 768 + 2 * 768 * 30522)
    per_token = training_flops(*electra_configs(preset_sizes("base"), 30522), 16, 128, 19) / (16 * 128)
    assert per_token == pytest.approx(3 * (discriminator + generator + head))
    assert per_token / 1e6 == pytest.approx(611, rel=0.01)  # as computed before there was this formula


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4),
        ("NVIDIA H100 PCIe", "bf16", 756.0),
        ("NVIDIA H200", "bf16", 989.4),
        ("NVIDIA A100-SXM4-40GB", "tf32", 156.0),
        ("NVIDIA L40S", "bf16", 362.0),
        ("NVIDIA L4", "bf16", 121.0),
        ("Tesla T4", "fp16", 65.0),
        ("Tesla V100-PCIE-16GB", "fp16", 112.0),
        ("Tesla V100-SXM2-16GB", "fp32", 15.7),
        ("NVIDIA GeForce RTX 3090", "bf16", 71.0),
        ("NVIDIA GeForce RTX 4090", "fp32", 82.6),
        ("NVIDIA B200", "bf16", 2250.0),
    ],
)
def test_peaks_are_found_by_name(name, precision, tera):
    assert peak_flops(name, precision) == tera * 1e12


@pytest.mark.parametrize(
    ("name", "precision"),
    [("", "fp32"), ("NVIDIA GeForce RTX 3090 Ti", "bf16"), ("NVIDIA L40", "bf16"), ("Tesla T4", "bf16")],
)
def test_what_no_datasheet_gives_has_no_peak(name, precision):
    assert peak_flops(name, precision) is None


def test_lower_precision_is_never_slower():
    for peaks in PEAKS.values():
        assert peaks["fp32"] <= peaks["tf32"] <= peaks["fp16"]
