"""Tokens seen and tokens a second, over all devices; validation and waiting for it do not count."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from electra_lab.batches import ConversationBatch, PretrainingBatch
from electra_lab.steps import is_logged


class Throughput(Callback):
    """Logs `train/tokens` (real tokens since step 0) and `train/tokens_per_second` (since the last logged step)."""

    logged_names = ("train/tokens", "train/tokens_per_second")

    def __init__(self) -> None:
        self._tokens = 0  # over all devices, up to the last logged step
        self._new: torch.Tensor | int = 0  # on this device since then; stays on the device until a step is logged
        self._since = 0.0
        self._paused_at = 0.0
        self._logged_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.monotonic()
        self._logged_step = trainer.global_step

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._paused_at = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since += time.monotonic() - self._paused_at

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: PretrainingBatch | ConversationBatch,
        batch_idx: int,
    ) -> None:
        self._new = self._new + _real_tokens(batch)
        step = trainer.global_step
        if step == self._logged_step or not is_logged(trainer, step):
            return
        new = int(trainer.strategy.reduce(torch.as_tensor(self._new, device=pl_module.device), reduce_op="sum"))
        now = time.monotonic()
        self._tokens += new
        pl_module.log("train/tokens", float(self._tokens))
        pl_module.log("train/tokens_per_second", new / (now - self._since))
        self._new, self._since, self._logged_step = 0, now, step

    def state_dict(self) -> dict[str, int]:
        return {"tokens": self._tokens}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self._tokens = state_dict["tokens"]


def _real_tokens(batch: PretrainingBatch | ConversationBatch) -> torch.Tensor | int:
    return batch.input_ids.numel() if isinstance(batch, ConversationBatch) else batch.attention_mask.sum()
