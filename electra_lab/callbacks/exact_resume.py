"""Chance and place in the data as functions of the position, so that a run can be gone on with."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from electra_lab.batches import ConversationBatch, PretrainingBatch
from electra_lab.data.chance import hash64


class ExactResume(Callback):
    """Seeds torch for every micro-batch from its position, and tells the DataModule which step is done.

    The position counts micro-batches over all devices, so every device draws its own dropout and its own tokens
    (Lightning seeds all ranks alike), and the draws do not depend on how the step is spread over devices.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: PretrainingBatch | ConversationBatch, batch_idx: int
    ) -> None:
        torch.manual_seed(int(hash64(self.seed, *batch.position)) >> 1)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: PretrainingBatch | ConversationBatch,
        batch_idx: int,
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            epoch, index = batch.position
            step = index // (trainer.accumulate_grad_batches * trainer.world_size)
            trainer.datamodule.sampler.finished(epoch, step)  # type: ignore[attr-defined]  # set by `fit`
