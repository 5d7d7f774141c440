"""The watchers: every logged step has its row, tokens are counted, time is written readably."""

import csv
import logging

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from electra_lab.batches import PretrainingBatch
from electra_lab.callbacks.loss_curve import LossCurve
from electra_lab.callbacks.progress import ProgressLines, as_clock
from electra_lab.callbacks.throughput import Throughput
from electra_lab.callbacks.training_log import TrainingLog, read_training_log


def batch(index: int) -> PretrainingBatch:
    """Index + 1 real tokens."""
    nothing = torch.zeros(1, 4, dtype=torch.int64)
    mask = (torch.arange(4) <= index % 4).long()[None]
    zero = torch.tensor(0.0)
    return PretrainingBatch(nothing, nothing, nothing, mask, nothing, nothing.float(), zero, zero, (0, index))


class Constant(LightningModule):
    """Logs the number of the step."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch, batch_idx):
        return self.weight.sum()

    def on_before_optimizer_step(self, optimizer):
        self.log("train/loss", float(self.trainer.global_step + 1))

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", 7.0)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture
def rows(tmp_path, caplog):
    """The log of eight batches in four steps, every second one logged, a validation after four batches."""
    path = tmp_path / "training_log.csv"
    drawn = []
    caplog.set_level(logging.INFO, logger="electra_lab")
    logging.getLogger("electra_lab").propagate = True
    loader = DataLoader([batch(index) for index in range(8)], batch_size=None)
    Trainer(
        accelerator="cpu",
        max_steps=4,
        accumulate_grad_batches=2,
        val_check_interval=4,
        log_every_n_steps=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[
            Throughput(),
            TrainingLog(path, ("train/loss", "val/loss", *Throughput.logged_names)),
            LossCurve(path, lambda rows, picture: drawn.append((len(rows), picture.name))),
            ProgressLines(("loss",)),
        ],
    ).fit(Constant(), loader, loader)
    return read_training_log(path), drawn, caplog.messages, path


def test_every_logged_step_and_every_validation_has_its_row(rows):
    rows, drawn, _, path = rows
    assert [(row["step"], row["train/loss"], row["val/loss"]) for row in rows] == [
        ("2", "2", ""),
        ("2", "", "7"),
        ("4", "4", ""),
        ("4", "", "7"),
    ]
    with path.open(newline="") as file:
        assert next(csv.reader(file))[:3] == ["step", "epoch", "seconds"]
    assert drawn == [(2, "loss_curve.png"), (4, "loss_curve.png"), (4, "loss_curve.png")]


def test_real_tokens_are_counted(rows):
    tokens = [row["train/tokens"] for row in rows[0] if row["train/tokens"]]
    assert tokens == ["10", "20"]  # 1 + 2 + 3 + 4 in four batches, padding not


def test_progress_is_one_plain_line_a_logged_step(rows):
    lines = [line for line in rows[2] if line.startswith(("step", "validation"))]
    assert [line.split("  ")[:2] for line in lines] == [
        ["step 2/4", "loss 2.0000"],
        ["validation at step 2", "loss 7.0000"],
        ["step 4/4", "loss 4.0000"],
        ["validation at step 4", "loss 7.0000"],
    ]
    assert lines[2].endswith("0:00:00 left")


def test_time_is_written_as_a_clock_shows_it():
    assert [as_clock(seconds) for seconds in (0.4, 65, 3909)] == ["0:00:00", "0:01:05", "1:05:09"]
