"""training_log.csv: one row every logged step and every validation, always there, readable by anything."""

import csv
import time
from pathlib import Path
from typing import Any, TextIO

from lightning.pytorch import Callback, LightningModule, Trainer

from electra_lab.steps import is_logged


class TrainingLog(Callback):
    """Writes what the task logs to a CSV file, line by line.

    The columns are fixed before the first row: step (optimizer steps done), epoch, seconds since the start of the
    run, then the names the task says it can log. A name that it does not log at a step leaves its cell empty.
    """

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self.path = path
        self.names = names
        self._file: TextIO | None = None
        self._logged_step = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic()
        if trainer.is_global_zero:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(["step", "epoch", "seconds", *self.names])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step != self._logged_step and is_logged(trainer, step):
            self._logged_step = step
            self._write(trainer, "train/")

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


def read_training_log(path: Path) -> list[dict[str, str]]:
    """The rows of a training log; empty cells are empty strings."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
