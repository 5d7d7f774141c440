"""Every configuration that is shipped is parsed, and the published ones hold the published numbers."""

from pathlib import Path

import pytest

from electra_lab import cli
from electra_lab.cli import build_parser, parse

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
RUNS = sorted(path for verb in ("pretrain", "finetune") for path in EXPERIMENTS.glob(f"{verb}*.yaml"))  # others: tables


def parsed(path: Path):
    verb = path.stem.split("-")[0]
    return parse(build_parser(verb), ["--config", str(path), "--run_name", "test"])


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_it_is_understood(path):
    config = parsed(path)
    assert config.data.batch_size % (config.data.micro_batch_size or config.data.batch_size) == 0
    assert path.read_text(encoding="utf-8").startswith("# ")  # says what it is


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_what_a_run_saves_is_the_same_configuration(path, tmp_path, monkeypatch):
    """`check_val_every_n_epoch: null` was once left out, and the saved run validated at other steps."""
    verb, saved = path.stem.split("-")[0], []
    monkeypatch.setitem(cli._RUN, verb, lambda config, text: saved.append((config, text)))
    cli.run(verb, ["--config", str(path), "--run_name", "test"])
    ((config, text),) = saved
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    again = parse(build_parser(verb), ["--config", str(tmp_path / "config.yaml")])
    assert again.clone(with_meta=False).as_dict() | {"config": None} == config.as_dict() | {"config": None}


def test_the_settings_of_the_original_detector():
    config = parsed(EXPERIMENTS / "finetune-koelectra.yaml")
    assert config.model.backbone == "monologg/koelectra-base-v3-discriminator"
    assert (config.data.window, config.data.stride, config.data.max_length) == (10, 5, 512)
    assert (config.data.batch_size, config.data.micro_batch_size) == (32, 16)  # 16 x 2
    assert (config.trainer.max_epochs, config.model.learning_rate) == (20, 2e-5)


# Table 6 of the paper and the README of google-research/electra: length, batch, steps, learning rate, masked share
PUBLISHED = {
    "small": (128, 128, 1_000_000, 5e-4, 0.15),
    "small++": (512, 128, 4_000_000, 5e-4, 0.15),
    "base": (512, 256, 766_000, 2e-4, 0.15),
    "large": (512, 2048, 400_000, 2e-4, 0.25),
    # monologg/KoELECTRA README and pretrain/config, version 3
    "koelectra-base": (512, 256, 1_500_000, 2e-4, 0.15),
    "koelectra-small": (512, 512, 800_000, 5e-4, 0.15),
}
SIZES = {"koelectra-base": "base", "koelectra-small": "small++"}  # the others are called as their preset


@pytest.mark.parametrize("preset", PUBLISHED)
def test_the_settings_of_the_paper(preset):
    config = parsed(EXPERIMENTS / f"pretrain-{preset}.yaml")
    data, model = config.data, config.model
    values = (data.max_length, data.batch_size, config.trainer.max_steps, model.learning_rate, data.mask_probability)
    assert values == PUBLISHED[preset]
    assert (model.preset, model.warmup_steps, model.discriminator_weight) == (SIZES.get(preset, preset), 10_000, 50.0)
