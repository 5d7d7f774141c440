"""loss_curve.png: drawn anew from training_log.csv after every validation and at the end."""

from collections.abc import Callable
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from electra_lab.callbacks.training_log import read_training_log


class LossCurve(Callback):
    """Redraws the curve from the training log; `draw(rows, path)` makes the picture."""

    def __init__(self, log_path: Path, draw: Callable[[list[dict[str, str]], Path], None]) -> None:
        self.log_path = log_path
        self.draw = draw

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking and trainer.is_global_zero:
            self._draw()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self._draw()

    def _draw(self) -> None:
        self.draw(read_training_log(self.log_path), self.log_path.with_name("loss_curve.png"))
