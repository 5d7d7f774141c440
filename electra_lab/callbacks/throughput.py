"""Tokens seen, tokens a second and the share of the device's peak; validation and waiting for it do not count."""

import time
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import LightningModule, Trainer

from electra_lab.batches import ConversationBatch, PretrainingBatch
from electra_lab.callbacks.logged_steps import LoggedSteps
from electra_lab.models.flops import peak_flops


@runtime_checkable
class CountsFlops(Protocol):
    """A task that knows what its training step costs: without it there is no `train/mfu`."""

    def flops(self, batch: Any) -> int:
        """FLOPs of one micro-batch, forward and backward, by a formula: called at every step."""


class Throughput(LoggedSteps):
    """Logs what was trained on, how fast, and what of the device that took; each since the last logged step.

    `train/tokens` (real tokens since step 0, all devices), `train/tokens_per_second` (all devices), `train/mfu` (model
    FLOPs utilisation: FLOPs that the model needs, over seconds, over the peak of the datasheet; of one device; empty
    on a device whose peak is not known), `train/memory_gib` (peak of allocated GPU memory since the start).
    """

    logged_names = ("train/tokens", "train/tokens_per_second", "train/mfu", "train/memory_gib")

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0  # over all devices, up to the last logged step
        self._carried = 0  # over all devices, since then, before the run was resumed
        self._new: torch.Tensor | int = 0  # on this device since then; stays on the device until a step is logged
        self._flops = 0  # likewise
        self._peak: float | None = None
        self._since = 0.0
        self._paused_at = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._since = time.monotonic()
        self._peak = device_peak(pl_module.device, str(trainer.precision))

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
        if self._peak is not None and isinstance(pl_module, CountsFlops):
            self._flops += pl_module.flops(batch)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_logged_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        new = self._new_tokens(trainer)
        now = time.monotonic()
        self.tokens += new + self._carried
        self._carried = 0
        pl_module.log("train/tokens", float(self.tokens))
        pl_module.log("train/tokens_per_second", new / (now - self._since))
        if self._flops and self._peak is not None:
            pl_module.log("train/mfu", self._flops / (now - self._since) / self._peak)
        if pl_module.device.type == "cuda":
            pl_module.log("train/memory_gib", torch.cuda.max_memory_allocated(pl_module.device) / 2**30)
        self._new, self._flops, self._since = 0, 0, now

    def state_dict(self) -> dict[str, int]:
        return {"tokens": self.tokens}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["callbacks"][self.state_key]["new"] = self._new_tokens(trainer) + self._carried

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.tokens, self._carried = state_dict["tokens"], state_dict["new"]

    def _new_tokens(self, trainer: Trainer) -> int:
        """Over all devices since the last logged step; all of them must ask."""
        device = trainer.strategy.root_device
        return int(trainer.strategy.reduce(torch.as_tensor(self._new, device=device), reduce_op="sum"))


def device_peak(device: torch.device, precision: str) -> float | None:
    """Peak FLOP/s of a device in the Trainer's precision ("bf16-mixed", "32-true", ...); None where it is not known."""
    if device.type != "cuda":
        return None
    kind = {"bf16": "bf16", "16": "fp16", "32": "fp32"}.get(precision.split("-")[0])
    if kind == "fp32" and torch.get_float32_matmul_precision() != "highest":
        kind = "tf32"
    return None if kind is None else peak_flops(torch.cuda.get_device_name(device), kind)


def _real_tokens(batch: PretrainingBatch | ConversationBatch) -> torch.Tensor | int:
    return batch.input_ids.numel() if isinstance(batch, ConversationBatch) else batch.attention_mask.sum()
