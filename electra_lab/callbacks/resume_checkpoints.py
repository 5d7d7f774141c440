"""Checkpoints that a run goes on from as if nothing had happened: when they are saved, and what is read otherwise."""

import logging
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from electra_lab.checkpoint import LAST, keep_newest
from electra_lab.steps import total_steps

_KEPT = 2  # the newest, and the one before in case the newest is found damaged

log = logging.getLogger(__name__)


class ResumeCheckpoints(Checkpoint):
    """Saves everything at the start of the next optimizer step, when all hooks of the one before are through.

    Validation, schedule, early stopping and the best weights are then settled, no gradient is half accumulated, and no
    epoch is at its end. At the end of the training there is one more, after which nothing is trained again.

    Args:
        folder: of the checkpoints.
        every: optimizer steps between two.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder = folder
        self.every = every
        self._saved_step = 0
        self._place: dict[str, int] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved_step = trainer.global_step
        if trainer.ckpt_path and trainer.is_global_zero:
            log.info("goes on at step %d, from %s", trainer.global_step, trainer.ckpt_path)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx % trainer.accumulate_grad_batches:
            return
        # the step that Lightning's loggers are given: after a resume it counts one too many
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
        if trainer.global_step > self._saved_step and trainer.global_step % self.every == 0:
            self.save(trainer, batch_idx)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        is_whole = done == trainer.num_training_batches
        self._place = _place(trainer, trainer.current_epoch - (not is_whole), 0 if is_whole else done)
        self._save_as(trainer, LAST)

    def save(self, trainer: Trainer, batch_idx: int) -> None:
        """Save at the start of a step, all devices together; then older ones go."""
        self._saved_step = trainer.global_step
        self._place = _place(trainer, trainer.current_epoch, batch_idx)
        self._save_as(trainer, f"step={trainer.global_step}.ckpt")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["place"] = self._place

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != "fit":
            return
        if checkpoint["place"]["stopped"] or checkpoint["global_step"] >= total_steps(trainer):
            trainer.should_stop = True  # is over; Lightning does not remember it
        else:
            set_counters(checkpoint["loops"]["fit_loop"], checkpoint["place"], trainer.accumulate_grad_batches)
        states = checkpoint["callbacks"]
        for name in [name for name in states if name.startswith("ModelCheckpoint")]:
            best = self.folder.resolve() / Path(states[name]["best_model_path"]).name
            if best.is_file():  # the run may have been moved
                states[name] |= {"dirpath": str(best.parent), "best_model_path": str(best)}
                states[name] |= {
                    "kth_best_model_path": str(best),
                    "best_k_models": {str(best): states[name]["kth_value"]},
                }
            else:  # none yet, or a better one came after this checkpoint, and will come again
                del states[name]

    def _save_as(self, trainer: Trainer, name: str) -> None:
        trainer.save_checkpoint(self.folder / name)
        if trainer.is_global_zero:
            keep_newest(self.folder, _KEPT, self.folder / name)


def set_counters(fit_loop: dict[str, Any], place: dict[str, int], accumulation: int) -> None:
    """Write Lightning's loop counters as a function of the place: so many epochs, and batches of the next one, done.

    What it saves at this moment has the next batch begun, or an epoch ended, and is read as a batch or an epoch that
    need not be trained (https://github.com/Lightning-AI/pytorch-lightning/issues/19815, 19403). On other devices a
    step is other micro-batches, of which the counters are.

    Args:
        fit_loop: the state of the loop in a checkpoint, changed in place; these are private keys of Lightning 2.6.
        place: as saved.
        accumulation: micro-batches of a step on one device now.
    """
    epochs = place["epoch"]
    batches = fit_loop["epoch_loop.batch_progress"]
    for kind, saved in (("current", place["batch"]), ("total", place["batches"])):
        fit_loop["epoch_progress"][kind].update(
            ready=epochs + 1, started=epochs + 1, processed=epochs, completed=epochs
        )
        number = saved // place["accumulation"] * accumulation
        batches[kind].update(ready=number, started=number, processed=number, completed=number)
    batches["is_last_batch"] = False


def _place(trainer: Trainer, epoch: int, batch: int) -> dict[str, int]:
    return {
        "epoch": epoch,
        "batch": batch,
        "batches": trainer.fit_loop.epoch_loop.batch_progress.total.completed,
        "accumulation": trainer.accumulate_grad_batches,
        "stopped": int(trainer.should_stop),
    }
