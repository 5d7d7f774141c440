"""training_log.csv: one row every logged step and every validation, always there, readable by anything."""

import csv
import os
import time
from pathlib import Path
from typing import Any, TextIO

from lightning.pytorch import LightningModule, Trainer

from electra_lab.callbacks.logged_steps import LoggedSteps


class TrainingLog(LoggedSteps):
    """Writes what the task logs to a CSV file, line by line; a run that goes on goes on in it.

    The columns are fixed before the first row: step (optimizer steps done), epoch, seconds since the start of the
    run, then the names the task says it can log. A name that it does not log at a step leaves its cell empty.
    """

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        super().__init__()
        self.path = path
        self.names = names
        self._file: TextIO | None = None
        self._resumed_step: int | None = None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._resumed_step = checkpoint["global_step"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic()
        if not trainer.is_global_zero:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = self._resumed_step is None or not cut_back(self.path, self._resumed_step)
        self._file = self.path.open("w" if is_new else "a", encoding="utf-8", newline="")
        if is_new:
            csv.writer(self._file).writerow(["step", "epoch", "seconds", *self.names])
            self._file.flush()
        for row in read_training_log(self.path)[-1:]:
            self._started -= float(row["seconds"])

    def on_logged_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, "train/")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._file is not None:  # a checkpoint that is on the disk must not know more than the log there
            os.fsync(self._file.fileno())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._write(trainer, "val/")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, trainer: Trainer, prefix: str) -> None:
        if self._file is None:
            return
        values = trainer.callback_metrics
        cells = [f"{float(values[n]):.8g}" if n.startswith(prefix) and n in values else "" for n in self.names]
        seconds = f"{time.monotonic() - self._started:.1f}"
        csv.writer(self._file).writerow([trainer.global_step, trainer.current_epoch, seconds, *cells])
        self._file.flush()


def cut_back(path: Path, step: int) -> bool:
    """Remove the rows of later steps and a row that was cut off; says whether a log with a header is left."""
    if not path.exists():
        return False
    end = 0
    with path.open("r+b") as file:
        for number, line in enumerate(file):
            if not line.endswith(b"\n") or (number and int(line.split(b",")[0]) > step):
                break
            end += len(line)
        file.truncate(end)
    return end > 0


def read_training_log(path: Path) -> list[dict[str, str]]:
    """The rows of a training log; empty cells are empty strings."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
