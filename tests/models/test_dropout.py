"""Dropout with masks of our own: the rate, the mean, the gradient; attention as torch computes it."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoConfig, ElectraForPreTraining

from electra_lab.models import dropout as module
from electra_lab.models.dropout import DENSE, Dropout, dense_attention, dropout, quicken_dropout
from electra_lab.models.sizes import electra_configs, preset_sizes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_rate_and_scale(dtype, probability):
    """The rate within four standard deviations; what is kept is scaled by 1 / (1 - p)."""
    torch.manual_seed(0)
    dropped = dropout(torch.ones(1000, 1003, dtype=dtype), probability)  # not a multiple of four
    rate = (dropped == 0).double().mean().item()
    assert abs(rate - probability) < 4 * math.sqrt(probability * (1 - probability) / 1_003_000)
    kept = dropped[dropped != 0]
    assert dropped.dtype == dtype and (kept == kept[0]).all()
    assert kept[0].item() == pytest.approx(1 / (1 - probability), rel=5e-3 if dtype == torch.bfloat16 else 2e-5)


def test_masks_have_no_pattern():
    """Neighbours, the four masks of one word, and two calls: correlations within four standard deviations of none."""
    torch.manual_seed(0)
    first, second = ((dropout(torch.ones(1 << 18), 0.1) == 0).double() - 0.1 for _ in range(2))
    scale = 0.1 * 0.9 * math.sqrt(1 << 18)
    for lag in (1, 2, 3, 4, 8, 256):
        assert abs((first[lag:] * first[:-lag]).sum().item()) < 4 * scale
    assert abs((first * second).sum().item()) < 4 * scale
    for lane in range(4):
        assert first[lane::4].mean().item() == pytest.approx(0, abs=4 * 0.3 / math.sqrt(1 << 16))


def test_the_gradient_goes_through_the_same_mask():
    torch.manual_seed(0)
    hidden = torch.randn(64, 64, requires_grad=True)
    output = dropout(hidden, 0.3)
    output.sum().backward()
    assert torch.equal(hidden.grad == 0, output == 0)
    assert torch.allclose(output, hidden * hidden.grad)


def test_a_seed_gives_the_same_masks_and_evaluation_none():
    hidden = torch.randn(33, 7)
    masks = []
    for _ in range(2):
        torch.manual_seed(5)
        masks.append(Dropout(0.2)(hidden))
    assert masks[0].equal(masks[1]) and not masks[0].equal(hidden)
    assert Dropout(0.2).eval()(hidden) is hidden
    assert Dropout(0.0)(hidden).equal(hidden) and not Dropout(1.0)(hidden).any()


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.03)]
)
def test_attention_is_torchs_where_nothing_is_dropped(masked, dtype, tolerance, monkeypatch):
    """Values and gradients of both ways, with a padded example."""
    torch.manual_seed(0)
    states = [torch.randn(2, 3, 5, 4, dtype=dtype, requires_grad=True) for _ in range(3)]
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()[:, None, None] if masked else None
    expected = scaled_dot_product_attention(*states, mask).transpose(1, 2)
    gradients = torch.autograd.grad(expected.square().sum(), states)
    monkeypatch.setattr(module, "dropout", lambda hidden, probability: hidden)
    ours, _ = dense_attention(torch.nn.Identity(), *states, mask, dropout=0.1)
    assert ours.shape == (2, 5, 3, 4)
    assert (ours - expected).abs().max() < tolerance
    for mine, theirs in zip(torch.autograd.grad(ours.square().sum(), states), gradients, strict=True):
        assert (mine - theirs).abs().max() < 10 * tolerance


def test_attention_drops_weights_and_keeps_the_mean():
    torch.manual_seed(0)
    states = [torch.randn(1, 2, 6, 4).expand(4000, -1, -1, -1) for _ in range(3)]
    expected, _ = dense_attention(torch.nn.Identity(), *states, None)
    dropped, _ = dense_attention(torch.nn.Identity(), *states, None, dropout=0.1)
    assert (dropped[0] - expected[0]).abs().max() > 0.01
    assert (dropped.mean(0) - expected[0]).abs().max() < 5 * dropped.std(0).max() / math.sqrt(4000)


def test_a_quickened_model_computes_and_saves_the_same(tmp_path):
    torch.manual_seed(0)
    model = ElectraForPreTraining(electra_configs(preset_sizes("tiny"), 50)[1]).eval()
    ids, mask = torch.arange(12).view(2, 6), torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]])
    expected, names = model(ids, attention_mask=mask).logits, list(model.state_dict())
    quicken_dropout(model)
    assert model.config._attn_implementation == DENSE and list(model.state_dict()) == names
    assert not [part for part in model.modules() if type(part) is torch.nn.Dropout]
    assert torch.allclose(model(ids, attention_mask=mask).logits[mask.bool()], expected[mask.bool()], atol=1e-6)
    model.save_pretrained(tmp_path)
    assert "electra_lab" not in (tmp_path / "config.json").read_text()
    assert AutoConfig.from_pretrained(tmp_path)._attn_implementation != DENSE
