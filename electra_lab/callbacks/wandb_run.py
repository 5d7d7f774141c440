"""A run followed by wandb: what training_log.csv has, under the same names, and the curves of a test as numbers."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from numpy.typing import NDArray

from electra_lab.calibration import Calibration
from electra_lab.callbacks.logged_steps import LoggedSteps
from electra_lab.curves import AXES, curves
from electra_lab.metrics import Collected

if TYPE_CHECKING:
    import wandb

    Run = wandb.Run

LONGEST_WAIT = 15.0  # seconds that a run waits for wandb, all in all

log = logging.getLogger(__name__)


@runtime_checkable
class Tested(Protocol):
    """A task that a test has left its scores in."""

    calibration: dict[str, Calibration]
    collected: Collected | None

    def scores(self, collected: Collected, is_scaled: bool = True) -> dict[str, NDArray[np.float64]]:
        """Probabilities of each level."""


class WandbRun(LoggedSteps):
    """Sends what training_log.csv has to wandb, under the same names, and the curves of a test as numbers.

    A thread of its own talks to wandb, so that neither a missing network nor a slow disk holds up the training; the
    run waits at its end alone, LONGEST_WAIT at most.

    Args:
        opened: opens the run; may take its time and may fail.
        names: what the run can log.
        allows_text: whether example messages may be sent.
    """

    def __init__(self, opened: "Callable[[], Run]", names: tuple[str, ...], allows_text: bool = False) -> None:
        super().__init__()
        self.opened = opened
        self.names = names
        self.allows_text = allows_text
        self._thread: Thread | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.is_global_zero and self._thread is None:
            self._waiting: SimpleQueue[Callable[[Run], None] | None] = SimpleQueue()
            self._thread = Thread(target=self._follow, name="wandb", daemon=True)
            self._thread.start()

    def on_logged_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._send_figures(trainer, "train/")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._send_figures(trainer, "val/")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._send_figures(trainer, "test/")
        task = cast(Any, pl_module)
        if self._thread is not None and isinstance(task, Tested) and task.collected is not None:
            scores, labels = task.scores(task.collected), task.collected.labels
            known = {level: labels[level] >= 0 for level in scores}
            levels = {level: (scores[level][known[level]], labels[level][known[level]]) for level in scores}
            points = curves(levels)
            alarms = {
                level: (truth == 1, values >= task.calibration[level].threshold)
                for level, (values, truth) in levels.items()
            }
            step = trainer.global_step
            self._waiting.put(lambda run: _log_tables(run, {"step": step}, _charts(points, alarms)))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._end(lambda run: run.finish(exit_code=1))

    def finish(self, results: Mapping[str, Any]) -> None:
        """Say what came out, that the run is over, and where it can be seen."""
        figures = {name: value for name, value in results.items() if isinstance(value, int | float)}
        figures |= {f"val/{name}": value for name, value in results.get("validation", {}).items()}  # of what is kept
        examples = results.get("examples", {}) if self.allows_text else {}

        def last(run: "Run") -> None:
            if examples:
                _log_tables(run, {}, {"test/examples": _examples(examples)})
            run.summary.update(figures)
            run.finish()

        self._end(last)

    def _send_figures(self, trainer: Trainer, prefix: str) -> None:
        if self._thread is not None:
            values = trainer.callback_metrics
            shown = {name: float(values[name]) for name in self.names if name.startswith(prefix) and name in values}
            if "train/tokens" in values:  # also beside validation: an axis like the steps
                shown["train/tokens"] = float(values["train/tokens"])
            row = {"step": trainer.global_step, "epoch": trainer.current_epoch, **shown}
            self._waiting.put(lambda run: run.log(row))

    def _end(self, last: "Callable[[Run], None]") -> None:
        if self._thread is not None:
            self._waiting.put(last)
            self._waiting.put(None)
            self._thread.join(LONGEST_WAIT)
            if self._thread.is_alive():
                log.warning("wandb was not done after %.0f s: it may lack the last rows of this run", LONGEST_WAIT)
            self._thread = None

    def _follow(self) -> None:
        """The thread: open the run, then send what comes; whatever wandb raises ends the thread alone."""
        try:
            run = self.opened()
            while (send := self._waiting.get()) is not None:
                send(run)
            log.info(_where(run))
        except Exception as error:
            log.warning("wandb no longer follows this run, training_log.csv does (%s)", " ".join(str(error).split()))


def _log_tables(run: "Run", row: dict[str, Any], charts: Mapping[str, Any]) -> None:
    """Log tables and charts of tables, as files of the run alone.

    By itself wandb would make an artifact of each as well, whose record names a copy in the user's home folder.
    """
    for name, chart in charts.items():
        table, key = (chart.table, f"{name}_table") if hasattr(chart, "table") else (chart, name)
        table.bind_to_run(run, key, run.step)
    run.log({**row, **charts})


def _charts(points: Mapping[str, Any], alarms: Mapping[str, Any]) -> dict[str, Any]:
    """Charts of wandb by name: a line a level, and a confusion matrix of each."""
    import wandb

    charts: dict[str, Any] = {}
    for name, (x, y) in AXES.items():
        table = wandb.Table(columns=["line", x, y], data=[list(row) for row in points[name]])
        charts[f"test/{name}"] = wandb.plot.line(table, x, y, stroke="line", title=name.replace("_", " "))
    for level, (truth, decision) in alarms.items():
        charts[f"test/confusion_matrix_{level}"] = wandb.plot.confusion_matrix(
            y_true=truth.astype(int).tolist(),
            preds=decision.astype(int).tolist(),
            class_names=["normal", "anomalous"],
            title=f"{level}s",
        )
    return charts


def _examples(examples: Mapping[str, list[dict[str, Any]]]) -> "wandb.Table":
    import wandb

    rows = [{"kind": kind, **row} for kind, found in examples.items() for row in found]
    return wandb.Table(columns=list(rows[0]), data=[list(row.values()) for row in rows]) if rows else wandb.Table()


def _where(run: "Run") -> str:
    if run.offline:
        return f"wandb followed this run offline; `wandb login` once and `wandb sync {Path(run.dir).parent}` send it"
    return f"wandb: {run.url}"
