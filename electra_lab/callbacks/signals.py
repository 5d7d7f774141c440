"""SIGTERM and SIGUSR1: the step is finished, everything is saved, and the process ends with 143."""

import logging
import os
import signal
import threading
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from electra_lab import strategies
from electra_lab.callbacks.resume_checkpoints import ResumeCheckpoints

EXIT_CODE = 143  # 128 + SIGTERM, as of a process that SIGTERM has ended
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

log = logging.getLogger(__name__)


class Signals(Callback):
    """Saves and leaves at the next step boundary when any device's process is asked to end; asked twice, it ends.

    Lightning 2.6.6 ends with 0 and without a checkpoint on SIGTERM, and on a cluster saves inside the handler
    (https://github.com/Lightning-AI/pytorch-lightning/issues/19916, 21406); its handlers are replaced while it trains.
    """

    def __init__(self, checkpoints: ResumeCheckpoints) -> None:
        self.checkpoints = checkpoints
        self._asked: signal.Signals | None = None
        self._leaves = False
        self._group: Any = None  # of the processes; not that of the devices, which would be waited for

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            self._group = distributed.new_group(backend="gloo", timeout=strategies.PATIENCE)
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._note)  # Lightning puts back what was there before

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx % trainer.accumulate_grad_batches == 0 and self._is_asked():
            self.checkpoints.save(trainer, batch_idx)
            self._leave(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._leaves = self._is_asked()  # after the last checkpoint, which is saved by a later callback

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._leaves:
            self._leave(trainer)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._asked is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._asked = signal.Signals(number)

    def _is_asked(self) -> bool:
        """Whether any of the processes is; all of them must come here."""
        if self._group is None:
            return self._asked is not None
        asked = torch.tensor(int(self._asked is not None))
        distributed.all_reduce(asked, distributed.ReduceOp.MAX, group=self._group)
        return bool(asked)

    def _leave(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            name = self._asked.name if self._asked else "a signal to another process"
            log.warning("%s: saved at step %d, --resume auto goes on there", name, trainer.global_step)
        raise SystemExit(EXIT_CODE)
