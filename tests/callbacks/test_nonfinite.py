"""NaN and Inf in loss or gradients, in one process and in one of two: skipped, counted, and ended with 65."""

import json
import os
import socket
from multiprocessing import get_context

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from electra_lab.callbacks.nonfinite import EXIT_CODE, NonFinite
from electra_lab.callbacks.training_log import TrainingLog, read_training_log
from electra_lab.optim import adamw

STEPS = 8


class Faulty(LightningModule):
    """Learns nothing in particular; some micro-batches give a loss, or a gradient, that is not finite."""

    def __init__(self, faults, fault_rank=0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4))
        self.faults, self.fault_rank = faults, fault_rank
        self.taken = []

    def training_step(self, batch, batch_idx):
        fault = self.faults.get(batch_idx) if self.global_rank == self.fault_rank else None
        loss = (self.weight * (batch_idx + 1)).square().sum()
        if fault == "gradient":
            self.weight.register_hook(lambda gradient: gradient * torch.inf)
        return loss + float(fault) if fault in ("nan", "inf") else loss * (torch.nan if fault == "nan loss" else 1)

    def on_train_batch_end(self, outputs, batch, batch_idx):
        state = self.trainer.optimizers[0].state[self.weight]
        self.taken.append((self.weight.detach().clone(), int(state.get("step", 0))))

    def configure_optimizers(self):
        return adamw([{"params": [self.weight], "weight_decay": 0.0}], 0.1)


def fit(task, folder, every=1, callbacks=(), **changes):
    settings = {"accelerator": "cpu", "devices": 1, "max_steps": STEPS, "log_every_n_steps": every, "logger": False}
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    watchers = [NonFinite(folder / "nonfinite.json"), *callbacks]
    trainer = Trainer(**{**settings, **quiet, "gradient_clip_val": 1.0, **changes}, callbacks=watchers)
    trainer.fit(task, DataLoader([0] * 100, batch_size=None))
    return trainer


@pytest.mark.parametrize("fault", ["nan", "inf", "nan loss"])
def test_a_step_that_is_not_finite_is_not_taken(tmp_path, fault):
    """Also where the loss alone is not: gradients are then what they would have been."""
    task = Faulty({2: fault, 5: fault})
    log = TrainingLog(tmp_path / "log.csv", NonFinite.logged_names)
    fit(task, tmp_path, callbacks=[log])
    weights = [weight for weight, _ in task.taken]
    assert all(weight.isfinite().all() for weight in weights)
    assert [int(weights[n].equal(weights[n - 1])) for n in range(1, STEPS)] == [0, 1, 0, 0, 1, 0, 0]
    assert [step for _, step in task.taken] == [1, 2, 2, 3, 4, 4, 5, 6]  # of Adam, who knows nothing of the skipped
    counted = [row["train/skipped_steps"] for row in read_training_log(tmp_path / "log.csv")]
    assert counted == ["0", "0", "1", "1", "1", "2", "2", "2"]


def test_a_gradient_that_is_not_finite_is_not_taken(tmp_path):
    task = Faulty({3: "gradient"})  # and, the hook staying, all that come after it
    with pytest.raises(SystemExit) as ended:
        fit(task, tmp_path)
    assert ended.value.code == EXIT_CODE
    assert task.taken[-1][0].equal(task.taken[2][0]) and task.taken[-1][0].isfinite().all()


def test_without_it_the_weights_are_lost(tmp_path, monkeypatch):
    """The control: Lightning alone takes the step, and ends as if nothing had been."""
    monkeypatch.setattr(NonFinite, "on_before_optimizer_step", lambda *anything: None)
    task = Faulty({2: "nan loss"})
    fit(task, tmp_path)
    assert task.taken[-1][0].isnan().all()


def test_healthy_steps_are_what_they_were(tmp_path, monkeypatch):
    watched, alone = Faulty({}), Faulty({})
    fit(watched, tmp_path)
    monkeypatch.setattr(NonFinite, "on_before_optimizer_step", lambda *anything: None)
    fit(alone, tmp_path)
    assert watched.weight.equal(alone.weight)


@pytest.mark.parametrize("every", [1, 4, 50])
def test_three_in_a_row_end_the_run(tmp_path, every):
    """Seen when a step is logged, at the latest at the end."""
    task = Faulty(dict.fromkeys((2, 3, 4), "nan loss"))
    with pytest.raises(SystemExit) as ended:
        fit(task, tmp_path, every=every)
    assert ended.value.code == EXIT_CODE
    written = json.loads((tmp_path / "nonfinite.json").read_text())
    assert (written["step"], written["in_a_row"], written["loss"], written["gradient_norm"]) == (5, 3, "nan", "nan")
    assert all(weight.isfinite().all() for weight, _ in task.taken)


def test_one_bad_micro_batch_spoils_its_step_alone(tmp_path):
    task = Faulty({2: "inf", 5: "inf", 6: "inf"})  # of the steps 2, 3 and 4: three in a row
    with pytest.raises(SystemExit):
        fit(task, tmp_path, accumulate_grad_batches=2)
    assert [step for _, step in task.taken[1::2]] == [1, 1, 1]


def rank(number, port, folder, queue):
    where = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "GROUP_RANK": 0}
    os.environ.update({name: str(value) for name, value in where.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID="test")
    torch.set_num_threads(1)
    task = Faulty({2: "inf", 5: "nan loss"}, fault_rank=1)
    fit(task, folder, devices=2, strategy="ddp", use_distributed_sampler=False)
    queue.put((number, [(weight.tolist(), step) for weight, step in task.taken]))


def test_what_one_rank_has_no_rank_takes(tmp_path):
    """The loss of the second rank alone is not finite, once without the gradients knowing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = get_context("fork")
    queue = context.SimpleQueue()
    ranks = [context.Process(target=rank, args=(number, port, tmp_path, queue)) for number in (0, 1)]
    try:
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(100)
        assert [process.exitcode for process in ranks] == [0, 0]
    finally:
        for process in ranks:
            process.kill()
    taken = dict(queue.get() for _ in ranks)
    assert taken[0] == taken[1]
    assert [step for _, step in taken[0]] == [1, 2, 2, 3, 4, 4, 5, 6]
