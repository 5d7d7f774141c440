"""What it costs that a run survives: the share of a training step that goes into seeding, checking and signals.

    OMP_NUM_THREADS=1 python -m experiments.speed reliability --steps 20 --batch 16

pretrains for a few steps as `electra-lab pretrain` does, on the CPU, with a clock around each hook of the callbacks in
`WATCHED`. Processor time, so that what else the machine does makes no difference. Further options are those of
`pretrain`: `-- --data.paths corpus.txt`. Checkpoints are not in the sum: they are written every `--checkpoint_every`
steps (1,000), and the table has what one takes.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from lightning.pytorch import Callback

from electra_lab import checkpoint, cli, verbs
from electra_lab.callbacks.end_together import EndTogether
from electra_lab.callbacks.exact_resume import ExactResume
from electra_lab.callbacks.nonfinite import NonFinite
from electra_lab.callbacks.resume_checkpoints import ResumeCheckpoints
from electra_lab.callbacks.signals import Signals
from experiments.timing import markdown

WATCHED: tuple[type[Callback], ...] = (ExactResume, NonFinite, ResumeCheckpoints, Signals, EndTogether)
HOOKS = ("on_train_batch_start", "on_before_backward", "on_before_optimizer_step", "on_train_batch_end")

Times = dict[str, list[float]]  # seconds, one number a call


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16, help="examples of a step")
    parser.add_argument("--preset", default="small")
    parser.add_argument("arguments", nargs="*", help="further options of `electra-lab pretrain`, after --")


def measure(options: argparse.Namespace) -> str:
    """Train, and return the table."""
    times: Times = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as clocks:
        for watcher in WATCHED:
            for hook in HOOKS:
                if hook in vars(watcher):
                    clocks.enter_context(_clock(watcher, hook, watcher.__name__, times))
        clocks.enter_context(_clock(checkpoint.AtomicCheckpointIO, "save_checkpoint", "a checkpoint, written", times))
        clocks.enter_context(_moments(times))
        parser = cli.build_parser("pretrain")
        given = {
            "run_name": "speed",
            "output": folder,
            "data.cache": str(Path(folder) / "data"),
            "model.preset": options.preset,
            "data.batch_size": options.batch,
            "trainer.max_steps": options.steps,
            "trainer.accelerator": "cpu",
            "trainer.check_val_every_n_epoch": 10**6,
        }
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        config = cli.parse(parser, [*words, *options.arguments])
        verbs.pretrain(config, parser.dump(config))
    return _table(times)


@contextmanager
def _clock(owner: type, name: str, row: str, times: Times) -> Iterator[None]:
    """Adds what each call of a method takes to its row."""
    plain = getattr(owner, name)

    def timed(*arguments: Any, **named: Any) -> Any:
        start = time.process_time()
        try:
            return plain(*arguments, **named)
        finally:
            times[row].append(time.process_time() - start)

    with patch.object(owner, name, timed):
        yield


@contextmanager
def _moments(times: Times) -> Iterator[None]:
    """When each step begins; outside the clock of that hook."""
    plain: Callable[..., Any] = ExactResume.on_train_batch_start

    def begins(*arguments: Any) -> None:
        times["begin"].append(time.process_time())
        plain(*arguments)

    with patch.object(ExactResume, "on_train_batch_start", begins):
        yield


def _table(times: Times) -> str:
    moments = times.pop("begin")
    step = median(later - earlier for earlier, later in pairwise(moments))
    rows = []
    for name in [watcher.__name__ for watcher in WATCHED if watcher.__name__ in times]:
        a_step = sum(times[name]) / len(moments)
        rows.append((name, f"{1000 * a_step:.2f}", f"{a_step / step:.2%}"))
    together = sum(sum(times[watcher.__name__]) for watcher in WATCHED) / len(moments)
    rows.append(("together", f"{1000 * together:.2f}", f"{together / step:.2%}"))
    rows.append(("a whole step", f"{1000 * step:.2f}", ""))
    written = times["a checkpoint, written"]
    rows.append(("a checkpoint, written", f"{1000 * median(written):.2f}", ""))
    return markdown(("", "ms a step", "share"), rows)
