"""Once at the end of each optimizer step that is logged: what the watchers of a training have in common."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from electra_lab.steps import is_logged


class LoggedSteps(Callback):
    """Calls `on_logged_step` once for each optimizer step whose figures are logged; none again after a resume."""

    def __init__(self) -> None:
        self._logged_step = 0

    def on_logged_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What the watcher does: within Lightning's `on_train_batch_end`, so that it may log."""
        raise NotImplementedError

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._logged_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step != self._logged_step and is_logged(trainer, step):  # of several micro-batches the last alone
            self._logged_step = step
            self.on_logged_step(trainer, pl_module)
