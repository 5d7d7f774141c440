"""What only a GPU can show: `python -m pytest -m gpu tests/test_gpu.py` where there is one."""

import json
import math

import pytest
import torch

from electra_lab.__main__ import main
from electra_lab.models.backbone import load_backbone
from electra_lab.models.electra import Electra
from electra_lab.models.sampling import draw
from tests.models.test_sharing import FAMILIES, make_pair
from tests.tasks.test_compiled import batches  # noqa: F401  # a fixture
from tests.tasks.test_pretraining import corpus  # noqa: F401  # a fixture
from tests.test_families import encoder_folder, texts  # noqa: F401  # a fixture
from tests.test_hardware import command, rows
from tests.test_two_processes import place  # noqa: F401  # a fixture

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "16-mixed"])
@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_each_task_is_trained_in_half_precision(place, texts, tmp_path, verb, precision):  # noqa: F811
    encoder = encoder_folder("electra", texts, tmp_path / "electra")
    options = ("--trainer.accelerator", "gpu", "--trainer.precision", precision)
    assert main(command(place, verb, precision, encoder, *options)) == 0
    folder = place / "runs" / verb / precision
    found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert found["precision"] == precision and math.isfinite(found["validation"]["loss"])
    trained = [row for row in rows(folder) if "train/loss" in row]
    assert trained and all(row["train/memory_gib"] > 0 for row in trained)


@pytest.mark.parametrize("family", ["electra", "modernbert"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_packed_windows_are_padded_windows(texts, tmp_path, family, dtype):  # noqa: F811
    """One kernel over all windows against a mask, to what the type rounds; a window that sees another is far off."""
    backbone = load_backbone(str(encoder_folder(family, texts, tmp_path / family)), 400).eval().cuda()
    assert backbone.is_packed
    lengths = [40, 1, 17, 64]
    ids = torch.randint(10, 300, (sum(lengths),), generator=torch.Generator().manual_seed(0)).cuda()
    positions = torch.cat([torch.arange(length) for length in lengths]).cuda()
    bounds = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], dtype=torch.int32).cuda()
    with torch.no_grad(), torch.autocast("cuda", dtype):
        packed = backbone(ids, positions, bounds, max(lengths)).float()
        alone = [
            backbone(part, torch.arange(len(part)).cuda(), torch.tensor([0, len(part)], dtype=torch.int32).cuda(), 64)
            for part in ids.split(lengths)
        ]
    with torch.no_grad():
        exact = backbone(ids, positions, bounds, max(lengths))  # float32: a window at a time
    assert (packed - torch.cat(alone).float()).abs().max() < 0.05
    assert (packed - exact).abs().max() < 0.05 < exact.abs().max()


def test_the_race_draws_from_the_distribution():
    """Total variation at the noise floor, and the rare half a per cent of the tokens as often as they should come."""
    torch.manual_seed(0)
    probabilities = torch.softmax(torch.randn(200) * 2, -1).cuda()
    counts = torch.bincount(draw(probabilities.expand(60_000, -1)), minlength=200)
    drawn = counts / counts.sum()
    floor = (probabilities * (1 - probabilities) / 60_000).sqrt().sum() * math.sqrt(2 / math.pi) / 2
    assert (drawn - probabilities).abs().sum() / 2 < 1.5 * floor
    rare = probabilities.sort().values.cumsum(0) < 0.05
    assert float(drawn[probabilities.argsort()][rare].sum()) == pytest.approx(0.05, abs=0.005)


def test_the_step_is_compiled_once(batches):  # noqa: F811
    """Four batches that differ in text, masks and place; a second compilation raises."""
    torch._dynamo.reset()
    electra = Electra(*make_pair(FAMILIES["electra"])).cuda()
    compiled = torch.compile(electra)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for batch in batches:
            on_device = batch._replace(
                **{name: value.cuda() for name, value in batch._asdict().items() if isinstance(value, torch.Tensor)}
            )
            inside = on_device._replace(
                input_ids=on_device.input_ids.clamp(max=60), masked_input_ids=on_device.masked_input_ids.clamp(max=60)
            )
            with torch.autocast("cuda", torch.bfloat16):
                output = compiled(inside)
            loss = output.masked_nll.mean() + output.discriminator_logits.mean()
            loss.backward()
            assert loss.isfinite()
