"""NaN and Inf never reach the weights: such a step is skipped on the device, and three in a row end the run."""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, distributed
from torch.distributed.tensor import DTensor

from electra_lab.callbacks.logged_steps import LoggedSteps

EXIT_CODE = 65  # EX_DATAERR of sysexits.h
_MOST = 3  # in a row

log = logging.getLogger(__name__)


class NonFinite(LoggedSteps):
    """Skips the optimizer steps whose loss or gradients are not finite, on any device, and counts them.

    The decision stays on the device, where the fused AdamW reads it (`found_inf`, made for gradient scaling), and is
    looked at when a step is logged (`train/skipped_steps`): nothing waits for it before. In the precision 16-mixed
    Lightning's gradient scaler skips instead; weights that are spread (fsdp2) are passed by.

    Args:
        path: of the file that says where three in a row were.
    """

    logged_names = ("train/skipped_steps",)

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._counts = torch.zeros(4)  # skipped, in a row now, most in a row, step of the last
        self._last = torch.zeros(2)  # loss and gradient norm of the last skipped step
        self._loss = torch.zeros(())  # sum over the micro-batches of the step

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._counts, self._last = self._counts.to(pl_module.device), self._last.to(pl_module.device)
        self._loss = torch.zeros((), device=pl_module.device)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self._loss = self._loss + loss.detach()

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        if not optimizer.defaults.get("fused") or any(isinstance(gradient, DTensor) for gradient in gradients):
            return
        values = torch.stack([self._loss, torch.nn.utils.get_total_norm(gradients)]).float()
        self._loss = torch.zeros_like(self._loss)
        is_bad = 1 - values.isfinite().all().float()
        if trainer.world_size > 1:
            distributed.all_reduce(is_bad, distributed.ReduceOp.MAX)
        optimizer.found_inf = is_bad  # type: ignore[attr-defined]  # what GradScaler sets
        skipped, in_row, most, last = self._counts.unbind()
        in_row = (in_row + 1) * is_bad
        step = torch.where(is_bad > 0, float(trainer.global_step + 1), last)
        self._counts = torch.stack([skipped + is_bad, in_row, torch.maximum(most, in_row), step])
        self._last = torch.where(is_bad > 0, values, self._last)

    def on_logged_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log("train/skipped_steps", self._counts[0])
        self._stop_after_many(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop_after_many(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"counts": self._counts.tolist()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._counts = torch.tensor(state_dict["counts"])

    def _stop_after_many(self, trainer: Trainer) -> None:
        skipped, _, most, step = (int(count) for count in self._counts)
        if most < _MOST:
            return
        if trainer.is_global_zero:
            loss, norm = (str(value) for value in self._last.tolist())
            where = {"step": step, "epoch": trainer.current_epoch, "in_a_row": most, "skipped": skipped}
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            facts = {**where, "loss": loss, "gradient_norm": norm, "learning_rate": rate}
            self.path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            said = "step %d: loss %s, gradient norm %s, the %d. such step in a row, none of which was taken; see %s"
            log.error(said, step, loss, norm, most, self.path)
        raise SystemExit(EXIT_CODE)
