"""Every configuration that is shipped is parsed, and the published ones hold the published numbers."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from electra_lab import cli
from electra_lab.cli import build_parser, parse
from experiments import table

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


def test_the_comparison_is_of_seven_families_with_options_that_there_are():
    specification = table.read(EXPERIMENTS / "comparison.yaml", {})
    cells = table.cells(specification, {"": {}})
    families = ["ELECTRA", "BERT", "RoBERTa", "DistilBERT", "ALBERT", "DeBERTa-v2", "ModernBERT"]
    assert [cell.row.split(",")[0] for cell in cells] == families
    for cell in cells:
        options = [word for name, value in cell.options.items() for word in (f"--{name}", str(value))]
        config = parse(build_parser("finetune"), ["--config", cell.config, "--run_name", "a", *options])
        assert config.model.backbone == cell.options["model.backbone"]


def test_the_batch_script_types_options_that_there_are():
    """And queues the job again after 143 alone, what `srun` gives when a run was asked to end."""
    script = (EXPERIMENTS / "pretrain.sbatch").read_text(encoding="utf-8")
    (command,) = re.findall(r"electra-lab (pretrain .+?) \|\|", script.replace("\\\n", " "))
    values = {"CONFIG:-experiments/pretrain-base.yaml": "experiments/pretrain-base.yaml", "RUN:-base": "base"}
    words = [re.sub(r"\$\{(.+?)\}", lambda match: values[match[1]], word) for word in shlex.split(command)]
    words = [{"$DATA": "corpus.txt", "$SLURM_JOB_NUM_NODES": "4"}.get(word, word) for word in words]
    config = parse(build_parser("pretrain"), words[1:])
    assert (config.trainer.num_nodes, config.trainer.devices, config.resume) == (4, "8", "auto")


@pytest.mark.parametrize(("code", "is_queued"), [(0, False), (1, False), (143, True)])
def test_the_batch_script_queues_again(code, is_queued, tmp_path):
    (tmp_path / "srun").write_text(f"#!/bin/sh\nexit {code}\n")
    (tmp_path / "scontrol").write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/asked"\n')
    for name in ("srun", "scontrol"):
        (tmp_path / name).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "DATA": "x",
        "SLURM_JOB_NUM_NODES": "4",
        "SLURM_JOB_ID": "7",
    }
    done = subprocess.run(["bash", EXPERIMENTS / "pretrain.sbatch"], env=environment, cwd=tmp_path, check=False)
    assert done.returncode == code
    assert (tmp_path / "asked").exists() == is_queued
    assert not is_queued or (tmp_path / "asked").read_text() == "requeue 7\n"
