"""A sweep from end to end with runs that are made up in this process, and with one that is real."""

import csv
import json
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("optuna")
pytest.importorskip("matplotlib")

import optuna

from electra_lab import cli
from electra_lab.__main__ import main
from electra_lab.data.synthetic import conversations
from experiments import sweep as sweep_module
from experiments.shared_study import counted, open_storage
from experiments.sweep import sweep
from experiments.sweep_report import as_yaml, winner

State = optuna.trial.TrialState
Watch = Callable[[], None]
SPACE = "{model.dropout: {float: [0.0, 0.5]}, data.batch_size: {choice: [16, 32]}}"
SECRET = "drop the parcel at nine"  # text of a message


@pytest.fixture(autouse=True)
def parsers_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "build_parser", build_once)


build_once = cache(cli.build_parser)


class Runs:
    """Runs that take no time: a figure from the options, told in three validations."""

    def __init__(
        self, changes: Callable[[dict[str, str]], None] = lambda given: None, hopeless: Collection[str] = ()
    ) -> None:
        self.commands: list[dict[str, str]] = []
        self.changes = changes
        self.hopeless = hopeless  # names

    @staticmethod
    def figure(dropout: float) -> float:
        return round(1 - abs(dropout - 0.1), 6)

    def __call__(self, words: Sequence[str], log: Path, watch: Watch) -> int:
        given = {name.removeprefix("--"): value for name, value in zip(words[2::2], words[3::2], strict=True)}
        configured = yaml.safe_load(Path(given["config"]).read_text())
        dropout = float(given.get("model.dropout", configured["model"]["dropout"]))
        self.commands.append(given)
        folder = Path(given["output"]) / words[1] / given["run_name"]
        for name in ("checkpoints", "detector"):
            (folder / name).mkdir(parents=True)
        try:
            self.changes(given)
        except RuntimeError:
            log.write_text(f"Traceback\ntorch.OutOfMemoryError: {SECRET}\n")
            return 1
        reached = self.figure(dropout) + int(given.get("seed", 42)) % 2 * 0.001
        if given["run_name"] in self.hopeless:
            reached = 0.01
        lines = ["step,train/loss,val/average_precision\n"]
        for step in range(1, 4):
            lines += [f"{step},0.5,\n", f"{step},,{reached * step / 3:.8g}\n"]
            (folder / "training_log.csv").write_text("".join(lines) + f"{step},,0.")  # the next row is being written
            watch()
        results: dict[str, Any] = {"validation": {"average_precision": reached}}
        if given.get("test") == "true":
            results["test"] = {"window": {"average_precision": reached / 2}}
        (folder / "results.json").write_text(json.dumps(results))
        (folder / "splits.json").write_text("{}")
        watch()
        return 0


def options(folder: Path, **changed: Any) -> Namespace:
    (folder / "space.yaml").write_text(SPACE)
    (folder / "finetune.yaml").write_text("{model: {backbone: some, dropout: 0.3}, data: {batch_size: 32}}")
    usual = {"verb": "finetune", "config": folder / "finetune.yaml", "space": folder / "space.yaml", "trials": 8}
    usual |= {"study": "demo", "storage": None, "output": folder / "sweeps", "sampler": "random", "pruner": "none"}
    return Namespace(**usual | {"objective": None, "probe": None, "best": 2, "seeds": 0} | changed)


def trials(folder: Path, name: str = "demo") -> list[Any]:
    storage = open_storage(str(folder / "sweeps/demo/study.journal"))
    return optuna.load_study(study_name=name, storage=storage).trials


def test_from_the_first_trial_to_the_winner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, chats = Runs(), str(tmp_path / "chats")
    sweep(options(tmp_path, seeds=2), ["--data.paths", chats], runs)
    output = tmp_path / "sweeps/demo"
    first, searched, over_seeds, last = runs.commands[0], runs.commands[:8], runs.commands[8:12], runs.commands[12]
    assert (first["model.dropout"], first["data.batch_size"], first["test"]) == ("0.3", "32", "false")  # the defaults
    assert [command["run_name"] for command in searched] == [f"trial-{number:04d}" for number in range(8)]
    assert [command["test"] for command in runs.commands] == ["false"] * 12 + ["true"]  # the winner alone

    ordered = sorted(searched, key=lambda command: abs(float(command["model.dropout"]) - 0.1))
    assert {command["seed"] for command in over_seeds} == {"43", "44"}
    for command in over_seeds:  # the two best, on the split of the trial
        assert command["run_name"][:10] in {best["run_name"] for best in ordered[:2]}
        assert command["data.splits_file"] == str(output / "finetune" / command["run_name"][:10] / "splits.json")

    best = output / "best.yaml"
    config = cli.parse(cli.build_parser("finetune"), ["--config", str(best), "--run_name", "detector"])
    assert config.model.dropout == float(ordered[0]["model.dropout"]) and config.data.paths == chats
    assert config.test and config.output == "runs"  # not the sweep's
    assert (last["config"], last["run_name"]) == (str(best), ordered[0]["run_name"].replace("trial", "winner"))
    assert [path.parent.name for path in output.glob("finetune/*/detector")] == [last["run_name"]]  # no other weights

    with (output / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["complete"] * 8 and float(rows[0]["value"]) == pytest.approx(0.8)
    page = (output / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2 and "<script" not in page and str(tmp_path) in page
    said = capsys.readouterr().out
    figure = Runs.figure(config.model.dropout)
    assert f"on the test part {figure / 2:.4f}" in said and "2 further seeds: " in said and " ± 0.001" in said

    sweep(options(tmp_path, seeds=2), ["--data.paths", chats], runs)  # again: nothing is left to do
    assert len(runs.commands) == 13


def test_the_defaults_of_a_space_that_does_not_hold_them_are_run_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs()
    sweep(options(tmp_path, trials=2), ["--model.dropout", "0.9"], runs)
    assert runs.commands[0]["model.dropout"] == "0.9"
    assert "is 0.9 in the configuration, outside 0 to 0.5" in capsys.readouterr().out


def test_the_hopeless_are_pruned(tmp_path: Path) -> None:
    """Every second trial from the seventh on stays far below the others."""
    runs = Runs(hopeless={"trial-0007", "trial-0009", "trial-0011"})
    sweep(options(tmp_path, trials=12, pruner="median"), [], runs)
    found = {trial.number: trial for trial in trials(tmp_path)}
    assert all(found[number].state == State.PRUNED for number in (7, 9, 11))
    assert len(found[7].intermediate_values) == 2  # not after the first validation, not after the last
    assert found[0].state == State.COMPLETE and len(found[0].intermediate_values) == 3


def test_a_crash_is_one_failed_trial_and_its_text_is_not_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(given: dict[str, str]) -> None:
        if given["run_name"] == "trial-0002":
            raise RuntimeError

    runs = Runs(crash)
    sweep(options(tmp_path, trials=5), [], runs)
    assert [trial.state == State.FAIL for trial in trials(tmp_path)] == [False, False, True, False, False]
    said = capsys.readouterr()
    assert "trial 2: failed: torch.OutOfMemoryError (exit code 1); see " in said.out and "trial-0002.log" in said.out
    everything = (
        said.out
        + said.err
        + "".join(
            path.read_text()
            for path in (tmp_path / "sweeps/demo").iterdir()
            if path.suffix in (".csv", ".html", ".journal")
        )
    )
    assert SECRET not in everything


def test_nothing_but_failures_ends_the_sweep(tmp_path: Path) -> None:
    def crash(given: dict[str, str]) -> None:
        raise RuntimeError

    runs = Runs(crash)
    with pytest.raises(ValueError, match=r"the first 3 trials have all failed; the last one: torch\.OutOfMemoryError"):
        sweep(options(tmp_path), [], runs)
    assert len(runs.commands) == 3


def test_several_workers_never_run_more_than_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four workers, each with its own storage, as separate processes have; only the parser is shared."""
    parse, one_at_a_time = cli.parse, threading.Lock()

    def parse_alone(parser: Any, arguments: Sequence[str]) -> Any:
        with one_at_a_time:
            return parse(parser, arguments)

    monkeypatch.setattr(cli, "parse", parse_alone)
    everyone = [Runs(lambda given: time.sleep(0.02)) for _ in range(4)]
    given = options(tmp_path, trials=13, seeds=1)
    with ThreadPoolExecutor(len(everyone)) as pool:
        list(pool.map(lambda runs: sweep(given, [], runs), everyone))  # raises what one of them raises
    assert sum(bool(runs.commands) for runs in everyone) > 1
    names = [command["run_name"] for runs in everyone for command in runs.commands]
    assert len(names) == len(set(names)) == 13 + 2 + 1
    assert (tmp_path / "sweeps/demo/report.html").is_file()


def test_an_interrupted_trial_is_run_again(tmp_path: Path) -> None:
    def interrupt(given: dict[str, str]) -> None:
        if given["run_name"] == "trial-0003":
            raise KeyboardInterrupt

    runs = Runs(interrupt)
    with pytest.raises(KeyboardInterrupt):
        sweep(options(tmp_path), [], runs)
    broken = runs.commands[-1]
    sweep(options(tmp_path), [], runs)
    again = runs.commands[4]
    assert again["run_name"] == "trial-0004"
    assert {**again, "run_name": ""} == {**broken, "run_name": ""}
    found = trials(tmp_path)
    assert [trial.number for trial in found if trial.state == State.FAIL] == [3]
    assert sum(trial.state == State.COMPLETE for trial in found) == 8


def test_a_grid_is_run_once_through(tmp_path: Path) -> None:
    given = options(tmp_path, sampler="grid", trials=20)
    given.space.write_text("{model.dropout: {choice: [0.1, 0.3, 0.5]}, data.batch_size: {choice: [16, 32]}}")
    runs = Runs()
    sweep(given, [], runs)
    tried = [(command["model.dropout"], command["data.batch_size"]) for command in runs.commands[:-1]]
    assert tried[0] == ("0.3", "32") and len(tried) == len(set(tried)) == 6
    given.trials, given.study = 5, "short"
    with pytest.raises(ValueError, match="--trials 5 is less than the 6 trials that are certain"):
        sweep(given, [], runs)


@pytest.mark.parametrize(
    ("changed", "more", "complaint"),
    [
        ({"sampler": "cma"}, [], "no sampler is called 'cma'; there is tpe, gp, random, grid"),
        ({"pruner": "halving"}, [], "no pruner is called 'halving'; there is median, hyperband, none"),
        ({"trials": 0}, [], "--trials 0 is less than"),
        ({}, ["--model.lerning_rate", "1"], "did you mean --model.learning_rate"),
        ({"verb": "pretrain"}, [], "backbone"),
    ],
)
def test_mistakes_are_said_before_the_first_trial(
    tmp_path: Path, changed: dict[str, Any], more: list[str], complaint: str
) -> None:
    runs = Runs()
    with pytest.raises((ValueError, cli.UsageError), match=complaint):
        sweep(options(tmp_path, **changed), more, runs)
    assert not runs.commands and not list(tmp_path.glob("sweeps/demo/finetune/*"))


def test_another_sweep_is_not_mixed_in(tmp_path: Path) -> None:
    runs = Runs()
    sweep(options(tmp_path, trials=2), [], runs)
    with pytest.raises(ValueError, match="demo was begun with another configuration; give another --study"):
        sweep(options(tmp_path, trials=4), ["--patience", "9"], runs)
    (tmp_path / "sweeps/demo/study.journal").unlink()
    with pytest.raises(ValueError, match="holds the runs of a study that is not in the storage"):
        sweep(options(tmp_path, trials=2), [], runs)
    assert len(runs.commands) == 3


def test_a_database_serves_as_storage(tmp_path: Path) -> None:
    runs = Runs()
    url = f"sqlite:///{tmp_path / 'study.db'}"
    sweep(options(tmp_path, trials=3, storage=url, sampler="tpe", pruner="hyperband"), [], runs)
    assert len(counted(optuna.load_study(study_name="demo", storage=url))) == 3


def test_the_winner_has_the_best_mean_of_the_most_seeds() -> None:
    some = [optuna.trial.create_trial(value=value) for value in (0.9, 0.8, 0.7)]
    for number, one in enumerate(some):
        one.number = number
    assert winner(some, {}, "maximize").number == 0
    assert winner(some, {0: [0.5, 0.6], 1: [0.7, 0.6], 2: [0.99]}, "maximize").number == 1
    assert winner(some, {0: [0.5, 0.6], 1: [0.7, 0.6]}, "minimize").number == 0


def test_the_command_line_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = options(tmp_path)
    files = ["--config", str(given.config), "--space", str(tmp_path / "none.yaml"), "--output", str(given.output)]
    handlers = [sweep_module.signal.getsignal(number) for number in (2, 15)]
    try:
        assert sweep_module.main(["finetune", *files]) == 1
    finally:
        for number, handler in zip((2, 15), handlers, strict=True):
            sweep_module.signal.signal(number, handler)
    assert "experiments.sweep: " in (said := capsys.readouterr().err) and "none.yaml" in said


def test_a_null_that_is_no_default_stays(tmp_path: Path) -> None:
    """Left out, validation would be counted in epochs again."""
    parser = cli.build_parser("pretrain")
    options = ["--trainer.check_val_every_n_epoch", "null", "--trainer.val_check_interval", "200"]
    path = tmp_path / "best.yaml"
    path.write_text(as_yaml(parser, cli.parse(parser, [*options, "--run_name", "a", "--output", "elsewhere"])))
    again = cli.parse(parser, ["--config", str(path), "--run_name", "b"])
    assert again.trainer.check_val_every_n_epoch is None and again.trainer.val_check_interval == 200
    assert again.output == "runs"


def in_process(words: Sequence[str], log: Path, watch: Watch) -> int:
    code = main(words[1:])
    watch()
    return code


def test_a_real_sweep(tmp_path: Path, koelectra_folder: Path) -> None:
    given = options(tmp_path, trials=2)
    with (tmp_path / "chats.jsonl").open("w", encoding="utf-8") as file:
        for conversation in conversations(24, seed=3):
            messages = [{"text": m.text, "speaker": m.speaker, "label": m.label} for m in conversation.messages]
            file.write(json.dumps({"id": conversation.id, "messages": messages}) + "\n")
    given.config.write_text(
        f"{{model: {{backbone: {koelectra_folder}}}, data: {{batch_size: 32, max_length: 128}},"
        "trainer: {accelerator: cpu, devices: 1, max_epochs: 1, limit_train_batches: 2, log_every_n_steps: 1}}"
    )
    sweep(given, ["--data.paths", str(tmp_path / "chats.jsonl")], in_process)
    output = tmp_path / "sweeps/demo"
    first, second = trials(tmp_path)
    assert first.values[0] == pytest.approx(first.intermediate_values[0], abs=1e-6) and second.state == State.COMPLETE
    won = json.loads(next(output.glob("finetune/winner-*/results.json")).read_text())
    best = max(first, second, key=lambda trial: trial.values[0])
    assert won["validation"]["average_precision"] == best.values[0]  # the same run, to the bit
    trial_results = [json.loads(path.read_text()) for path in output.glob("finetune/trial-*/results.json")]
    assert "test" in won and len(trial_results) == 2 and not any("test" in results for results in trial_results)
