"""Plain progress lines for log files and pipes, where a bar cannot be drawn."""

import logging
import time

from lightning.pytorch import LightningModule, Trainer

from electra_lab.callbacks.logged_steps import LoggedSteps
from electra_lab.steps import total_steps

log = logging.getLogger(__name__)


class ProgressLines(LoggedSteps):
    """Logs one line every logged step, with the time that is left, and one every validation."""

    def __init__(self, shown: tuple[str, ...]) -> None:
        super().__init__()
        self.shown = shown  # names worth a place on the line, without their stage

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._started, self._first_step = time.monotonic(), trainer.global_step

    def on_logged_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step, total = trainer.global_step, total_steps(trainer)
        left = (time.monotonic() - self._started) / (step - self._first_step) * (total - step)
        speed = float(trainer.callback_metrics.get("train/tokens_per_second", 0))
        values = self._values(trainer, "train")
        log.info("step %d/%d  %s  %.0f tokens/s  %s left", step, total, values, speed, as_clock(left))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            log.info("validation at step %d  %s", trainer.global_step, self._values(trainer, "val"))

    def _values(self, trainer: Trainer, stage: str) -> str:
        values = trainer.callback_metrics
        shown = [(name, values[f"{stage}/{name}"]) for name in self.shown if f"{stage}/{name}" in values]
        return "  ".join(f"{name} {float(value):.4f}" for name, value in shown)


def as_clock(seconds: float) -> str:
    """Hours, minutes and seconds, e.g. 1:05:09."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
