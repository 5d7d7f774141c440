"""Replaced-token detection as it is trained: denominators, chance, what is logged, and that it learns."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer

from electra_lab.callbacks.exact_resume import ExactResume
from electra_lab.data.pretraining import PretrainingDataModule
from electra_lab.models import electra as module
from electra_lab.tasks.pretraining import ReplacedTokenDetection

SIZES = {"num_layers": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "embedding_size": 16}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sentences of uneven length, so that a mean of means differs from the mean."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    sentences = [" ".join(f"낱말{w}" for w in rng.integers(0, 30, rng.integers(2, 12))) for _ in range(80)]
    (folder / "text.txt").write_text("\n\n".join(sentences), encoding="utf-8")
    return folder


def make(corpus, sizes=None, **options):
    settings = {"vocabulary_size": 200, "max_length": 32, "batch_size": 8, "validation_share": 0.2}
    datamodule = PretrainingDataModule(
        [str(corpus / "text.txt")], cache=str(corpus / "cache"), **{**settings, **options}
    )
    torch.manual_seed(0)
    task = ReplacedTokenDetection(
        datamodule.tokenizer_source, "tiny", {**SIZES, **(sizes or {})}, learning_rate=1e-3, warmup_steps=2
    )
    return task, datamodule


def train(task, datamodule, callbacks=(), max_steps=2, **options):
    micro_batch_size = datamodule.micro_batch_size or datamodule.batch_size
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=max_steps,
        accumulate_grad_batches=datamodule.batch_size // micro_batch_size,
        callbacks=[ExactResume(0), *callbacks],
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"limit_val_batches": 0, "log_every_n_steps": 1, **options},
    )
    torch.manual_seed(1)  # of the weights, which are built inside
    trainer.fit(task, datamodule=datamodule)
    return trainer


class Keep(Callback):
    """Keeps the gradients of each optimizer step and what was logged with it."""

    def __init__(self):
        self.gradients, self.logged = [], []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.gradients.append({n: p.grad.clone() for n, p in pl_module.named_parameters() if p.grad is not None})

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def test_micro_batches_add_up_to_the_batch(corpus, monkeypatch):
    """Sums over shared denominators: a mean of the micro-batches' means would be off by per cents here."""
    monkeypatch.setattr(module, "draw", lambda logp: logp.argmax(-1))  # the draw itself differs by position
    kept = []
    for size in (8, 2):
        keep = Keep()
        task, datamodule = make(corpus, {"dropout": 0.0}, micro_batch_size=size)
        train(task, datamodule, [keep], max_steps=1)
        kept.append(keep)
    whole, parts = kept[0].gradients[0], kept[1].gradients[0]
    for name, gradient in whole.items():
        assert (parts[name] - gradient).abs().max() <= 1e-6 * max(1.0, gradient.abs().max()), name
    assert kept[1].logged[-1]["train/loss"] == pytest.approx(kept[0].logged[-1]["train/loss"], rel=1e-6)


def test_validation_changes_nothing_of_the_training(corpus):
    weights = []
    for validate in (False, True):
        task, datamodule = make(corpus)
        options = {"limit_val_batches": 2, "val_check_interval": 1} if validate else {}
        train(task, datamodule, max_steps=4, **options)
        weights.append(task.state_dict())
    for name, value in weights[0].items():
        assert weights[1][name].equal(value), name


def test_validation_is_repeatable(corpus):
    task, datamodule = make(corpus)
    trainer = train(task, datamodule)
    trainer.limit_val_batches = 1.0
    first, second = (trainer.validate(task, datamodule=datamodule, verbose=False)[0] for _ in range(2))
    assert first == second and first["val/masked_lm_loss"] > 0


def test_loss_is_the_sum_of_its_parts_and_every_name_is_declared(corpus):
    keep = Keep()
    task, datamodule = make(corpus)
    train(task, datamodule, [keep], limit_val_batches=1, val_check_interval=1)
    values = keep.logged[-1]
    total = values["train/masked_lm_loss"] + 50 * values["train/discriminator_loss"]
    assert values["train/loss"] == pytest.approx(total, rel=1e-6)
    assert values["train/all_original_accuracy"] == pytest.approx(1 - values["train/replaced_rate"])
    assert set(values) == set(task.logged_names)
    assert values["train/learning_rate"] > 0 and values["train/gradient_norm"] > 1


def test_every_micro_batch_has_its_own_chance():
    callback = ExactResume(seed=0)
    seeds = set()
    for epoch in range(3):
        for index in range(50):
            batch = type("Batch", (), {"position": (epoch, index)})()
            callback.on_train_batch_start(None, None, batch, 0)
            seeds.add(torch.initial_seed())
    assert len(seeds) == 150


def test_a_checkpoint_holds_plain_values_only(corpus, tmp_path):
    task, datamodule = make(corpus)
    trainer = train(task, datamodule)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert content["hyper_parameters"]["preset"] == "tiny"
    assert content["PretrainingDataModule"] == {"epoch": 0, "step": 2}
    loaded = ReplacedTokenDetection.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert all(loaded.state_dict()[name].equal(value) for name, value in task.state_dict().items())
