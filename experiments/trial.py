"""One run of a sweep: the command that a person would type, watched from outside while it lasts."""

import contextlib
import ctypes
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.dotted import as_arguments, value_at
from experiments.objectives import Objective

# Runs `python -m WORDS` with its output in the file, calls the function now and then and once at the end, and gives
# the exit code. What the function raises ends the run. Tests give one that stays in this process.
Launch = Callable[[Sequence[str], Path, Callable[[], None]], int]

_LOOK = 0.5  # seconds between two looks
_GRACE = 20.0  # seconds to end by itself, after which the whole group of processes is killed
_WEIGHTS = ("checkpoints", "generator", "discriminator", "detector")


class RunFailed(Exception):
    """A run that came to no end, in one sentence without any text of the data."""


class Runs(NamedTuple):
    """What all runs of a sweep have in common."""

    verb: str
    config: Path
    output: Path
    objective: Objective
    probe: Path | None  # labelled texts
    launch: Launch

    def folder(self, name: str) -> Path:
        """Of the run with this name."""
        return self.output / self.verb / name


def train(runs: Runs, name: str, options: Mapping[str, object], watch: Callable[[], None], test: bool = False) -> None:
    """Train, and probe where the objective is a probe's; a run that is done is not repeated.

    Args:
        runs: The sweep's.
        name: The run's name.
        options: What differs from the configuration.
        watch: Called now and then; what it raises ends the run.
        test: Whether the test part is measured, too.

    Raises:
        RunFailed: it failed.
    """
    folder = runs.folder(name)
    if not (folder / "results.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)  # of a worker that died
        words = ["electra_lab", runs.verb, "--config", str(runs.config), "--run_name", name]
        words += ["--output", str(runs.output), *(["--test", json.dumps(test)] if runs.verb == "finetune" else [])]
        _run(runs, name, [*words, *as_arguments(options)], watch)
    if runs.probe is not None:
        words = ["experiments.probe_score", str(folder), "--table", str(runs.probe), *(["--test"] if test else [])]
        _run(runs, name, words, watch)


def measured(runs: Runs, name: str) -> float:
    """What the run has reached on the validation part.

    Raises:
        RunFailed: nothing that can be compared.
    """
    value = figure(runs, name, runs.objective.keys)
    if value is None or not math.isfinite(value):
        raise RunFailed(f"its {runs.objective.said} is not defined")
    return value


def figure(runs: Runs, name: str, keys: Sequence[str]) -> float | None:
    """A number from the file that the objective stands in; None where it is not."""
    path = runs.folder(name) / runs.objective.file
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return value_at(results, ".".join(keys))


def progress(runs: Runs, name: str) -> list[float]:
    """The validation figures in the run's training log so far, where they are defined."""
    path = runs.folder(name) / "training_log.csv"
    if runs.objective.column is None or not path.is_file():
        return []
    *lines, _ = path.read_text(encoding="utf-8").split("\n")  # the last one is being written
    if not lines or runs.objective.column not in (names := lines[0].rstrip("\r").split(",")):
        return []
    place = names.index(runs.objective.column)
    cells = (line.rstrip("\r").split(",")[place] for line in lines[1:])
    return [float(cell) for cell in cells if cell and math.isfinite(float(cell))]


def drop_weights(folder: Path) -> None:
    """Remove what is large: a sweep would fill the disk with detectors that nobody uses."""
    for name in _WEIGHTS:
        shutil.rmtree(folder / name, ignore_errors=True)


def in_child(words: Sequence[str], log: Path, watch: Callable[[], None]) -> int:
    """Run it in a group of processes of its own, so that Ctrl-C reaches it through us only, with all its ranks."""
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        try:
            while True:
                try:
                    process.wait(_LOOK)
                    break
                except subprocess.TimeoutExpired:
                    watch()
        finally:
            _end(process)
    watch()
    return process.returncode


def _run(runs: Runs, name: str, words: Sequence[str], watch: Callable[[], None]) -> None:
    log = runs.output / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    code = runs.launch(words, log, watch)
    if code:
        raise RunFailed(f"{_reason(log, code)}; see {log}")


def _reason(log: Path, code: int) -> str:
    """Why it failed: our own sentence, else the name of the error only, as its text may hold text of the data."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"it was ended by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")
    with log.open(encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    for line in reversed(lines):
        if line.startswith(("electra-lab ", "experiments.")):
            return line
        error = line.split(":")[0]
        if error.replace(".", "").isidentifier() and error.endswith(("Error", "Exception", "Interrupt")):
            return f"{error} (exit code {code})"
    return f"exit code {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the run if it lasts: first its first process, which ends the others; then whatever is left of the group."""
    try:
        if process.poll() is None:
            process.terminate()
            process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end_with_parent() -> None:
    """Have the kernel end the run when the worker dies without a chance to do so (kill -9)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG of linux/prctl.h
