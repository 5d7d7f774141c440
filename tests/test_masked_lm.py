"""Masked-language-model pretraining: the loss is the usual one, the options are those of `pretrain`, it exports."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, ElectraForMaskedLM

from electra_lab import cli
from electra_lab.callbacks.training_log import read_training_log
from electra_lab.data.pretraining import PretrainingDataModule
from electra_lab.models.backbone import load_backbone
from electra_lab.tokenizer import load_tokenizer
from experiments import masked_lm, probe

SIZES = {"num_layers": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "embedding_size": 16}
TINY = [
    *(
        "--model.preset",
        "tiny",
        *(word for name, size in SIZES.items() for word in (f"--model.sizes.{name}", str(size))),
    ),
    *("--data.vocabulary_size", "200", "--data.max_length", "32", "--data.batch_size", "8"),
    *("--data.validation_share", "0.2", "--trainer.accelerator", "cpu", "--trainer.log_every_n_steps", "5"),
]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences of uneven length."""
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    rng = np.random.default_rng(0)
    sentences = [" ".join(f"낱말{w}" for w in rng.integers(0, 30, rng.integers(2, 12))) for _ in range(80)]
    path.write_text("\n\n".join(sentences), encoding="utf-8")
    return path


def pretrain(text: Path, output: Path, *arguments: str, command: Callable[[list[str]], None] = masked_lm.main) -> Path:
    paths = ["--data.paths", str(text), "--data.cache", str(text.parent / "cache"), "--output", str(output)]
    command(["--run_name", "a", *TINY, *paths, *arguments])
    return output / "masked_lm" / "a"


def test_loss_is_that_of_transformers(text: Path) -> None:
    """-100 everywhere but at the chosen positions, whether they show [MASK] or the token itself."""
    data = PretrainingDataModule(str(text), cache=str(text.parent / "cache"), vocabulary_size=200, batch_size=16)
    data.prepare_data()
    task = masked_lm.MaskedLanguageModel(data.tokenizer_source, "tiny", {**SIZES, "dropout": 0.0, "init_std": 0.5})
    task.configure_model()
    batch = next(iter(data.train_dataloader()))
    slots = batch.masked_weights > 0
    assert not slots.all()  # unused slots, which must not count
    labels = torch.full_like(batch.input_ids, -100)
    rows = torch.arange(len(labels))[:, None].expand_as(slots)[slots]
    labels[rows, batch.masked_positions[slots]] = batch.input_ids[rows, batch.masked_positions[slots]]
    assert task.network is not None
    theirs = task.network(batch.masked_input_ids, batch.attention_mask, batch.token_type_ids, labels=labels).loss
    assert task.loss(batch, task(batch)).item() == pytest.approx(theirs.item(), rel=1e-6)


def test_the_network_has_the_discriminators_sizes(text: Path) -> None:
    data = PretrainingDataModule(str(text), cache=str(text.parent / "cache"), vocabulary_size=200, batch_size=16)
    data.prepare_data()
    task = masked_lm.MaskedLanguageModel(data.tokenizer_source, "tiny", {**SIZES, "generator_width": 0.25})
    task.configure_model()
    assert task.network is not None
    assert task.network.config.hidden_size == 32 and task.network.config.intermediate_size == 64


def test_a_run_leaves_an_encoder_that_others_open(text: Path, tmp_path: Path) -> None:
    folder = pretrain(text, tmp_path, "--trainer.max_steps", "10", "--checkpoint_every", "5")
    _, loading = ElectraForMaskedLM.from_pretrained(folder / "encoder", output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    _, loading = AutoModel.from_pretrained(folder / "encoder", output_loading_info=True)
    assert not loading["missing_keys"]
    load_backbone(str(folder / "encoder"), len(load_tokenizer(str(folder / "encoder"))))
    assert_same_in_checkpoint(folder, "encoder")


def test_the_probe_reads_checkpoints_of_pretrain_too(text: Path, tmp_path: Path) -> None:
    pretrain(text, tmp_path, "--trainer.max_steps", "2", "--trainer.log_every_n_steps", "1", command=rtd)
    assert_same_in_checkpoint(tmp_path / "pretrain" / "a", "discriminator")


def rtd(arguments: list[str]) -> None:
    cli.run("pretrain", arguments)


def assert_same_in_checkpoint(run: Path, exported: str) -> None:
    """The last checkpoint holds the encoder that was exported, and the number of its tokens."""
    folder, checkpoint = (probe.find_source("a", str(path)) for path in (run / exported, run / "checkpoints/last.ckpt"))
    assert folder.tokens == checkpoint.tokens > 0
    weights = probe.load_encoder(folder, 0).state_dict()
    for name, value in probe.load_encoder(checkpoint, 0).state_dict().items():
        assert value.equal(weights[name]), name


def test_it_learns_and_repeats_itself(text: Path, tmp_path: Path) -> None:
    options = ("--trainer.max_steps", "40", "--model.learning_rate", "3e-3", "--model.warmup_steps", "5")
    runs = []
    for name in ("one", "two"):
        log = pretrain(text, tmp_path / name, *options, "--trainer.check_val_every_n_epoch", "100")
        runs.append([float(row["train/loss"]) for row in read_training_log(log / "training_log.csv")])
    assert runs[0] == runs[1]
    assert sum(runs[0][-4:]) / 4 < runs[0][0] - 0.1  # the tokenizer's training is not the same in every process


def test_a_mistake_is_one_sentence(text: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SystemExit, match=r"there is no option --model\.learning_rat; did you mean --model\.learning_rate"
    ):
        pretrain(text, tmp_path, "--model.learning_rat", "1")
