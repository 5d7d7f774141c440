"""Model FLOPs utilisation: logged where a task counts its FLOPs and the device's peak is known, else left empty."""

import csv

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from electra_lab.callbacks import throughput
from electra_lab.callbacks.throughput import Throughput, device_peak
from electra_lab.callbacks.training_log import TrainingLog
from tests.callbacks.test_watchers import Constant, batch


class Counting(Constant):
    """Every micro-batch is said to need 3,000 FLOPs."""

    def flops(self, batch):
        return 3000


def rows(task: LightningModule, path) -> list[dict[str, str]]:
    """The training log of four micro-batches in two steps."""
    Trainer(
        accelerator="cpu",
        max_steps=2,
        accumulate_grad_batches=2,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Throughput(), TrainingLog(path, ("train/loss", *Throughput.logged_names))],
    ).fit(task, DataLoader([batch(index) for index in range(4)], batch_size=None))
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_utilisation_is_flops_over_time_over_peak(tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "device_peak", lambda device, precision: 2e6)
    written = rows(Counting(), tmp_path / "log.csv")
    tokens = [3, 7]  # 1 + 2 and 3 + 4 in the micro-batches of each step
    for row, new in zip(written, tokens, strict=True):
        seconds = new / float(row["train/tokens_per_second"])
        assert float(row["train/mfu"]) == pytest.approx(2 * 3000 / seconds / 2e6, rel=1e-3)


def test_no_peak_no_utilisation(tmp_path):
    written = rows(Counting(), tmp_path / "log.csv")
    assert [(row["train/mfu"], row["train/memory_gib"]) for row in written] == [("", ""), ("", "")]
    assert all(row["train/tokens_per_second"] for row in written)


def test_a_task_that_counts_nothing_has_no_utilisation(tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "device_peak", lambda device, precision: 2e6)
    assert [row["train/mfu"] for row in rows(Constant(), tmp_path / "log.csv")] == ["", ""]


@pytest.mark.parametrize(
    ("precision", "matmul", "tera"),
    [
        ("bf16-mixed", "highest", 312.0),
        ("16-true", "highest", 312.0),
        ("32-true", "highest", 19.5),
        ("32-true", "high", 156.0),
        ("64-true", "highest", None),
    ],
)
def test_the_peak_is_that_of_the_precision(precision, matmul, tera, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100-SXM4-80GB")
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: matmul)
    assert device_peak(torch.device("cuda"), precision) == (tera and tera * 1e12)
    assert device_peak(torch.device("cpu"), precision) is None
