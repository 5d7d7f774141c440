"""wandb follows a run without blocking it, failing it, or being told what nobody may know."""

import csv
import json
import logging
import shutil
import socket
import subprocess
import sys
import time
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from electra_lab import cli, loggers, runs
from electra_lab.__main__ import main
from electra_lab.callbacks import wandb_run
from electra_lab.callbacks.wandb_run import WandbRun
from electra_lab.data.synthetic import conversations
from electra_lab.loggers import HIDDEN, NETWORKS, WORDS, check_logger, followers, open_run, sendable

wandb = pytest.importorskip("wandb")

CANARY, KOREAN = "kanarienvogel7", "카나리아새"
FINETUNE = """
data: {batch_size: 4, max_length: 128, lexicon_masking: 0.1}
trainer:
  {accelerator: cpu, devices: 1, max_steps: 4, check_val_every_n_epoch: null, val_check_interval: 2,
   log_every_n_steps: 1}
"""
CONFIG = {"run_name": "a", "seed": 42, "model": {"backbone": f"/{CANARY}/encoder", "pooling": "gated"}}


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A user who has never heard of wandb, on a machine whose settings would tell it everything."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "WANDB_RUN_GROUP", "WANDB_BASE_URL", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("HOME", tmp_path / CANARY / "home"), ("NETRC", tmp_path / "none"), ("WANDB_CONSOLE", "wrap")):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("WANDB_SAVE_CODE", "true")
    monkeypatch.setenv("WANDB_HOST", CANARY)
    monkeypatch.setattr(logging.getLogger("electra_lab"), "handlers", [])
    monkeypatch.setattr(wandb_run, "LONGEST_WAIT", 120)  # of a machine that is busy with other tests
    wandb.teardown()
    yield monkeypatch
    wandb.teardown()


def records(folder):
    """What the one offline run below a folder holds, through wandb's own reader."""
    (run,) = (folder / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(run)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def of_type(read, kind):
    return [record[kind] for record in read if record["type"] == kind]


def written(folder):
    """Every file of wandb below a folder, also its own logs."""
    return {path: path.read_bytes() for path in (folder / "wandb").rglob("*") if path.is_file()}


def holds(content, word):
    forms = [word.encode(), word.encode("utf-16-le"), json.dumps(word)[1:-1].encode()]
    return any(form in content for form in forms)


@pytest.fixture
def chats(tmp_path, koelectra_folder):
    """Conversations whose texts, speakers and files have a word that must not leave; an encoder in such a folder."""
    folder = tmp_path / CANARY
    folder.mkdir(exist_ok=True)
    with (folder / f"{CANARY}.jsonl").open("w", encoding="utf-8") as file:
        for conversation in conversations(24, seed=3):
            messages = [
                {"text": f"{m.text} {CANARY} {KOREAN}", "speaker": f"{CANARY}{m.speaker}", "label": m.label}
                for m in conversation.messages
            ]
            file.write(json.dumps({"id": f"{CANARY}{conversation.id}", "messages": messages}) + "\n")
    (folder / "lexicon.txt").write_text(KOREAN, encoding="utf-8")
    shutil.copytree(koelectra_folder, folder / "encoder")
    return folder


def test_no_text_leaves(stranger, chats, tmp_path, capfd):
    """A whole run without key or network; then every file that wandb has written is searched."""
    summary = runs.summary
    stranger.setattr(runs, "summary", lambda *given: (print(CANARY, KOREAN), summary(*given)))
    stranger.setenv("WANDB_RUN_GROUP", "study")
    (tmp_path / "finetune.yaml").write_text(FINETUNE)
    options = ["--config", str(tmp_path / "finetune.yaml"), "--data.lexicon", str(chats / "lexicon.txt")]
    paths = ["--data.paths", str(chats / f"{CANARY}.jsonl"), "--model.backbone", str(chats / "encoder")]
    options += ["--output", str(tmp_path / "runs")]
    assert main(["finetune", "--run_name", "followed", "--logger", "wandb", *paths, *options]) == 0
    folder = tmp_path / "runs/finetune/followed"
    files = written(folder)
    assert len(files) > 5
    for path, content in files.items():
        for word in (CANARY, KOREAN, "--run_name"):
            assert not holds(content, word), f"{word} is in {path.name}"
    for path in files:  # what a sync would upload
        assert path.name not in ("wandb-metadata.json", "requirements.txt", "output.log") and "code" not in path.parts
    assert "wandb sync" in capfd.readouterr().err

    read = records(folder)
    (run,) = of_type(read, "run")
    assert (run["display_name"], run["run_group"], run["job_type"]) == ("followed", "study", "finetune")
    assert (
        "host" not in run
        and not of_type(read, "artifact")
        and {"step_metric": "step", "glob_name": "*"}.items() <= of_type(read, "metric")[0].items()
    )
    with (folder / "training_log.csv").open(encoding="utf-8", newline="") as file:
        log = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    rows = [row["item"] for row in of_type(read, "history")]
    for row, line in zip(rows, log, strict=False):  # the same figures under the same names; after them the test's
        line.pop("seconds")
        assert {name: row[name] for name in line} == pytest.approx(line, rel=1e-6)
        own = {"_runtime", "_step", "_timestamp", "train/tokens"}  # tokens are an axis, so they are in every row
        assert row.keys() - line.keys() <= own and "train/tokens" in row
    assert len(log) == 6 and rows[6]["test/message_f1"] >= 0
    charts = {name.removesuffix("._type") for row in rows[6:] for name in row if name.endswith("._type")}
    assert {f"test/{name}_table" for name in wandb_run.AXES} <= charts and len(charts) == 7


def test_unreachable(stranger, tmp_path, caplog):
    """A server that takes every connection and never answers, the worst there is: offline, in time."""
    stranger.setattr(loggers.log.parent, "propagate", True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stranger.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        stranger.setenv("WANDB_API_KEY", "0" * 40)
        stranger.setitem(loggers.PRIVATE, "init_timeout", 1.0)
        started = time.monotonic()
        run = open_run(tmp_path, CONFIG)
        assert run.offline and time.monotonic() - started < 15
        run.finish()
    assert "cannot be reached" in caplog.text


def follower(opened, **options):
    watcher = WandbRun(opened, ("train/loss",), **options)
    watcher.setup(SimpleNamespace(is_global_zero=True), None, "fit")
    return watcher


def test_a_wandb_that_hangs_or_fails_costs_nothing_but_a_line(monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("electra_lab"), "propagate", True)
    monkeypatch.setattr(wandb_run, "LONGEST_WAIT", 0.2)
    trainer = SimpleNamespace(global_step=1, current_epoch=0, callback_metrics={"train/loss": torch.ones(())})
    never, started = Event(), time.monotonic()
    hanging = follower(never.wait)
    hanging._send_figures(trainer, "train/")
    hanging.finish({})
    assert time.monotonic() - started < 5 and "was not done after 0 s" in caplog.text

    def broken():
        raise RuntimeError("no\nservice")

    failing = follower(broken)
    failing._send_figures(trainer, "train/")
    failing.finish({})
    assert "wandb no longer follows this run, training_log.csv does (no service)" in caplog.text
    never.set()


def test_other_ranks_open_nothing():
    watcher = WandbRun(lambda: pytest.fail("opened"), ())
    watcher.setup(SimpleNamespace(is_global_zero=False), None, "fit")
    watcher.finish({"steps": 1})


def test_only_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert followers("none", tmp_path, CONFIG, ()) == []
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert followers("wandb", tmp_path, CONFIG, ()) == []
    assert cli.build_parser("finetune").get_defaults().logger == "none"
    with pytest.raises(ValueError, match="logger must be one of none, wandb, got 'tensorboard'"):
        check_logger("tensorboard")


def test_without_wandb_it_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None)
    given = ["--run_name", "x", "--model.backbone", "x", "--output", str(tmp_path)]
    assert main(["finetune", *given, "--logger", "wandb"]) == 1
    said = capsys.readouterr().err
    assert "--logger wandb needs the package wandb" in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_a_new_option_is_not_sent_unless_its_words_are_ours(verb):
    """Whatever option a name or path is given to, only those on the list let a string through."""
    names = list(vars(cli.build_parser(verb).get_defaults().as_flat()))
    config = {}
    for name in names:
        *parents, last = name.split(".")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = [f"{CANARY}.jsonl"] if last == "paths" else f"/{CANARY}/chats"
    sent = json.dumps(sendable(config))
    assert sent.count(CANARY) == len(WORDS & set(names)) > 5
    assert sent.count(HIDDEN) == len(set(names) - WORDS) > 10


def test_the_lists_name_options_that_there_are():
    parsers = [cli.build_parser(verb) for verb in ("pretrain", "finetune")]
    assert {name for parser in parsers for name in vars(parser.get_defaults().as_flat())} >= WORDS | NETWORKS


def test_public_names_of_networks_are_told_from_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/mine").mkdir(parents=True)
    for given, sent in (
        ("monologg/koelectra-base-v3-discriminator", True),
        ("bert-base-uncased", True),
        ("runs/mine", False),
        ("runs/pretrain/a/discriminator", False),
        ("/home/kim/encoder", False),
        ("~/encoder", False),
        (None, True),
    ):
        assert sendable({"model": {"backbone": given}})["model"]["backbone"] == (given if sent else HIDDEN)
    assert sendable({"model": {"learning_rate": 1e-4, "compile": True}}) == {
        "model": {"learning_rate": 1e-4, "compile": True}
    }


def test_text_goes_where_it_is_allowed_to(stranger, tmp_path):
    """The one way: the same folder gets the one id, so that a resumed run goes on in it."""
    watcher = follower(lambda: open_run(tmp_path, CONFIG, allows_text=True), allows_text=True)
    row = {"conversation": "c", "message": 1, "speaker": "kim", "text": KOREAN, "label": 1, "score": 0.9}
    watcher.finish({"examples": {"found": [row], "missed": []}, "validation": {"f1": 0.5}, "steps": 7})
    files = written(tmp_path)
    assert any(holds(content, CANARY) for content in files.values())
    assert any(holds(content, KOREAN) for path, content in files.items() if path.suffix == ".json")
    identifier = (tmp_path / "wandb/id").read_text()
    assert any(identifier in path.name for path in files)


def test_charts_need_no_single_score():
    """Tables of a few hundred points, whatever the number of messages; and counts."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 5000)
    points = wandb_run.curves({"message": (random.random(5000), labels)})
    charts = wandb_run._charts(points, {"message": (labels == 1, random.random(5000) > 0.5)})
    assert set(charts) == {*(f"test/{name}" for name in wandb_run.AXES), "test/confusion_matrix_message"}
    assert all(len(chart.table.data) <= 303 for chart in charts.values())
    assert sum(row[2] for row in charts["test/confusion_matrix_message"].table.data) == 5000
