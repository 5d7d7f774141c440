"""Optimizer steps: how many a run has, and which of them are logged."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning.pytorch import Trainer


def total_steps(trainer: "Trainer") -> int:
    """Optimizer steps of the whole run, from `max_steps` and the epochs, whichever ends first.

    Not `trainer.estimated_stepping_batches`: it builds the loader early, and a resumed run then starts its data
    anew (https://github.com/Lightning-AI/pytorch-lightning/issues/20550).
    """
    ends = [] if trainer.max_steps == -1 else [trainer.max_steps]
    datamodule = getattr(trainer, "datamodule", None)  # set by `fit`, not declared
    if datamodule is not None and (trainer.max_epochs or 0) > 0:
        ends.append(trainer.max_epochs * datamodule.steps_per_epoch)
    if not ends:
        raise ValueError("the schedule needs an end: give trainer.max_steps or trainer.max_epochs")
    return min(ends)


def is_logged(trainer: "Trainer", step: int) -> bool:
    """Whether the figures of an optimizer step, counted from 1, are logged (`--trainer.log_every_n_steps`)."""
    return step % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]  # set by a connector, not declared
