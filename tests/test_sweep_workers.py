"""Workers that die, sleep and are ended; runs in processes of their own, watched from outside."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

pytest.importorskip("optuna")

import optuna

from experiments.objectives import OBJECTIVES
from experiments.shared_study import Queued, Worker, counted, open_storage, open_study
from experiments.trial import RunFailed, Runs, drop_weights, in_child, measured, progress, train

State = optuna.trial.TrialState
SPACE = {"x": optuna.distributions.FloatDistribution(0, 1)}
ROOT = Path(__file__).parent.parent


def begin(folder: Path, about: str = "a test") -> optuna.Study:
    storage = open_storage(str(folder / "study.journal"))
    return open_study("s", storage, {"kind": about}, [Queued({"x": 0.25}, {"mark": "first"})])


def worker(study: optuna.Study, cap: int, said: list[str], silence: float = 60.0) -> Worker:
    return Worker(study, cap, SPACE, said.append, beat=0.02, silence=silence)


def run(trial: optuna.Trial, beat: Callable[[], None]) -> float:
    beat()
    return float(trial.params["x"])


def test_the_trial_of_a_dead_worker_is_run_again(tmp_path: Path) -> None:
    lost = begin(tmp_path).ask(SPACE)  # and never heard of again
    said: list[str] = []
    study = begin(tmp_path)
    worker(study, 3, said, silence=0.2).work(run)
    assert [trial.state for trial in study.trials].count(State.COMPLETE) == 3 == len(counted(study))
    assert study.trials[lost.number].state == State.FAIL
    again = next(trial for trial in study.trials if trial.user_attrs.get("again") == lost.number)
    assert again.params == lost.params == {"x": 0.25} and again.user_attrs["mark"] == "first"
    assert any("trial 0: its worker unknown is silent; it is queued again" in line for line in said)


def test_a_trial_that_no_worker_survives_is_given_up(tmp_path: Path) -> None:
    said: list[str] = []
    study = begin(tmp_path)
    for _ in range(3):
        begin(tmp_path).ask(SPACE)
        one = worker(study, 1, said, silence=0.05)
        one._requeue_silent()
        time.sleep(0.06)
        one._requeue_silent()
    assert "trial 2: 3 workers died of it; it counts as failed" in said
    assert [trial.state for trial in study.trials] == [State.FAIL] * 3 and len(counted(study)) == 1


def test_a_worker_that_beats_is_left_alone_and_waited_for(tmp_path: Path) -> None:
    study, said = begin(tmp_path), []
    other = begin(tmp_path).ask(SPACE)
    one = worker(study, 1, said, silence=0.1)
    for count in range(6):
        other.set_user_attr("beat", count)
        one._requeue_silent()
        time.sleep(0.04)
    assert study.trials[0].state == State.RUNNING and not said
    other.study.tell(other, 0.5)
    one.work(run)
    assert len(study.trials) == 1


def test_a_worker_that_comes_too_late_gives_its_trial_back(tmp_path: Path) -> None:
    """Two workers see that one trial is missing, and both take one."""
    study = begin(tmp_path)
    first = study.ask(SPACE)
    worker(study, 1, [])._take(lambda trial, beat: pytest.fail("it was run"))
    assert [trial.state for trial in study.trials] == [State.RUNNING, State.FAIL]
    assert [trial.number for trial in counted(study)] == [first.number]


def test_a_worker_that_slept_does_not_tell(tmp_path: Path) -> None:
    """It was taken for dead; what it comes back with is not counted beside the trial that was run instead."""
    said: list[str] = []

    def sleep(trial: optuna.Trial, beat: Callable[[], None]) -> float:
        if trial.number == 0:
            begin(tmp_path).tell(0, state=State.FAIL)
            begin(tmp_path).enqueue_trial(trial.params, user_attrs={"again": 0})
        return 0.5

    study = begin(tmp_path)
    worker(study, 2, said).work(sleep)
    assert "slept through" in said[0]
    assert [trial.state for trial in study.trials] == [State.FAIL, State.COMPLETE, State.COMPLETE]


def test_joining_waits_for_the_beginning_and_refuses_another(tmp_path: Path) -> None:
    begin(tmp_path)
    with pytest.raises(ValueError, match="the study s was begun with another kind"):
        begin(tmp_path, "another test")


def runs_of(folder: Path, verb: str = "finetune") -> Runs:
    objective = next(iter(OBJECTIVES[verb].values()))
    return Runs(verb, folder / "base.yaml", folder, objective, None, in_child)


def program(folder: Path, text: str) -> list[str]:
    """A module that a child runs; the folder is on its path."""
    (folder / "childs_play.py").write_text(textwrap.dedent(text))
    return ["childs_play"]


def test_the_end_of_a_run_reaches_its_whole_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the other ranks of several devices, which their first process may leave behind."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    words = program(
        tmp_path,
        """
        import pathlib, subprocess, sys, time
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
        rank = subprocess.Popen([sys.executable, "-c", code])
        pathlib.Path("PLACE").write_text(str(rank.pid))
        time.sleep(60)
        """.replace("PLACE", str(tmp_path / "pid")),
    )

    def prune() -> None:
        if (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text():
            raise optuna.TrialPruned

    with pytest.raises(optuna.TrialPruned):
        in_child(words, tmp_path / "log", prune)
    assert gone(int((tmp_path / "pid").read_text()))


def gone(process: int, seconds: float = 10.0) -> bool:
    """Whether a process is over, or a zombie that nobody has asked about."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_a_run_does_not_outlive_a_worker_that_is_killed(tmp_path: Path) -> None:
    place = str(tmp_path / "pid")
    text = f"import os, pathlib, time; pathlib.Path({place!r}).write_text(str(os.getpid())); time.sleep(60)"
    words = program(tmp_path, text)
    code = f"from pathlib import Path; from experiments.trial import in_child; in_child({words}, Path('log'), print)"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not ((tmp_path / "pid").is_file() and (tmp_path / "pid").read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; print('electra-lab finetune: no encoder at x'); sys.exit(1)", "electra-lab finetune: no encoder"),
        ("raise ValueError('secret text')", "ValueError (exit code 1)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL, as the system does when memory"),
        ("import sys; print('secret text'); sys.exit(3)", "exit code 3"),
    ],
)
def test_why_a_run_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    words = program(tmp_path, text)
    runs = runs_of(tmp_path)._replace(launch=lambda _, log, watch: in_child(words, log, watch))
    with pytest.raises(RunFailed) as error:
        train(runs, "trial-0000", {}, lambda: None)
    assert said in str(error.value) and "secret" not in str(error.value) and "trial-0000.log" in str(error.value)


def test_a_training_log_is_read_as_it_grows(tmp_path: Path) -> None:
    runs, path = runs_of(tmp_path), tmp_path / "finetune/a/training_log.csv"
    path.parent.mkdir(parents=True)
    assert progress(runs, "a") == []
    path.write_text("step,val/average_pre")
    assert progress(runs, "a") == []
    rows = "step,val/average_precision,val/f1\r\n1,,\r\n2,0.5,0.1\r\n3,nan,\r\n4,0.62"
    path.write_bytes(rows.encode())
    assert progress(runs, "a") == [0.5]  # 0.62 may be the beginning of 0.625
    path.write_bytes((rows + "5,0.1\r\n").encode())
    assert progress(runs, "a") == [0.5, 0.625]


def test_figures_that_are_not_there_are_failures_and_weights_go(tmp_path: Path) -> None:
    runs, folder = runs_of(tmp_path), tmp_path / "finetune/a"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({"validation": {"average_precision": float("nan")}}))
    with pytest.raises(RunFailed, match="its validation average precision is not defined"):
        measured(runs, "a")
    drop_weights(folder)
    assert [path.name for path in folder.iterdir()] == ["results.json"]


def test_a_pretraining_run_is_judged_by_its_probe(tmp_path: Path) -> None:
    commands = []

    def launch(words: Sequence[str], log: Path, watch: Callable[[], None]) -> int:
        commands.append(list(words))
        runs.folder("a").mkdir(parents=True, exist_ok=True)
        if words[0] == "experiments.probe_score":
            (runs.folder("a") / "probe.json").write_text('{"validation": {"accuracy": 0.75}}')
        return 0

    runs = runs_of(tmp_path, "pretrain")._replace(probe=tmp_path / "ratings.tsv", launch=launch)
    train(runs, "a", {"model.temperature": 1.5}, lambda: None)
    assert measured(runs, "a") == 0.75
    assert "--test" not in commands[0] and commands[0][-2:] == ["--model.temperature", "1.5"]
    assert commands[1] == ["experiments.probe_score", str(runs.folder("a")), "--table", str(tmp_path / "ratings.tsv")]
