"""kill -9 at any instant, then the same command with `--resume auto`: bit for bit the run that nobody killed."""

import csv
import itertools
import json
import os
import random
import re
import shutil
import signal
import threading
import time

import pytest
import torch
from lightning.pytorch import Trainer

from electra_lab import checkpoint, cli, runs, verbs
from electra_lab.__main__ import main
from electra_lab.callbacks import resume_checkpoints, signals
from electra_lab.callbacks.exact_resume import ExactResume
from electra_lab.callbacks.resume_checkpoints import set_counters
from electra_lab.checkpoint import AtomicCheckpointIO
from tests.made_up_files import write_data

EVERY = 2  # optimizer steps between checkpoints
PRETRAIN = f"""
model:
  preset: tiny
  sizes: {{num_layers: 1, hidden_size: 32, intermediate_size: 64, num_heads: 2, embedding_size: 16, dropout: 0.1}}
  warmup_steps: 2
  learning_rate: 1.0e-2
data: {{vocabulary_size: 600, max_length: 32, batch_size: 8, micro_batch_size: 4, validation_share: 0.1,
  validation_examples: 8}}
trainer:
  {{accelerator: cpu, devices: 1, max_steps: 18, check_val_every_n_epoch: null, val_check_interval: 5,
   log_every_n_steps: 2, num_sanity_val_steps: 0}}
checkpoint_every: {EVERY}
"""
FINETUNE = f"""
data: {{batch_size: 8, micro_batch_size: 4, max_length: 128}}
trainer: {{accelerator: cpu, devices: 1, max_epochs: 15, log_every_n_steps: 1, num_sanity_val_steps: 0}}
model: {{learning_rate: 1.0e-2}}
patience: 1
test: false
checkpoint_every: {EVERY}
"""
TIMES = ("seconds", "train/tokens_per_second", "train/mfu", "train/memory_gib")  # what differs from run to run
COSTS = ("seconds", "seconds_an_epoch", "peak_memory_gib", "windows_per_second")  # likewise, of results.json
VERBS = ("pretrain", "finetune")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Text, conversations, an encoder, and the parsed options of both verbs; pictures are not drawn."""
    folder = tmp_path_factory.mktemp("place")
    write_data(folder, num_documents=30)
    (folder / "pretrain.yaml").write_text(PRETRAIN)
    (folder / "finetune.yaml").write_text(FINETUNE)
    patch = pytest.MonkeyPatch()
    patch.setattr(runs, "loss_curve", lambda *anything: None)
    patch.setattr(verbs, "remove_resumable", lambda folder: None)  # so that the optimizer can be compared
    yield folder
    patch.undo()


def options(place, verb, run_name, *more):
    given = ["--config", str(place / f"{verb}.yaml"), "--run_name", run_name, "--output", str(place / "runs")]
    if verb == "pretrain":
        return [*given, "--data.paths", str(place / "text.txt"), "--data.cache", str(place / "cache"), *more]
    encoder = str(place / "runs/pretrain/whole/discriminator")
    return [*given, "--model.backbone", encoder, "--data.paths", str(place / "chats.jsonl"), *more]


@pytest.fixture(scope="module")
def whole(place):
    """The folders of two runs that nobody kills."""
    for verb in VERBS:
        assert main([verb, *options(place, verb, "whole")]) == 0
    return {verb: place / "runs" / verb / "whole" for verb in VERBS}


def live(config, yaml, verb, folder, kill):
    """One life of a run in a forked process that kills itself; whether it came to the end of the run."""
    child = os.fork()
    if not child:
        try:
            torch.set_num_threads(1)
            kill(folder)
            count_steps(folder)
            getattr(verbs, verb)(config, yaml)
            os._exit(0)
        except SystemExit as end:
            os._exit(end.code)
        except BaseException as error:  # pytest must not go on in the child
            (folder / "error.txt").write_text(repr(error))
            os._exit(3)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) in (0, signals.EXIT_CODE), (folder / "error.txt").read_text()
    return os.WEXITSTATUS(status) == 0


def count_steps(folder):
    """Leave a byte in a file for every optimizer step that is done, whatever becomes of it."""
    plain = ExactResume.on_train_batch_end
    file = os.open(folder.parent / f"{folder.name}.steps", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def counted(self, trainer, pl_module, outputs, batch, batch_idx):
        plain(self, trainer, pl_module, outputs, batch, batch_idx)
        if (batch_idx + 1) % 2 == 0:
            os.write(file, b".")

    ExactResume.on_train_batch_end = counted


def at_an_instant(number, share, sent=signal.SIGKILL):
    """Kills, or sends itself another signal, a share of a micro-batch's time after the one of this number has begun.

    That may be in its step, in a hook, in a validation or in a save. The time is that of the processor, so that a busy
    machine makes no difference.
    """

    def arm(folder):
        plain = ExactResume.on_train_batch_start
        begun = []

        def begins(self, trainer, pl_module, batch, batch_idx):
            begun.append(time.process_time())
            if len(begun) == number:
                before = begun[-1] - begun[-2] if number > 1 else 0.02
                threading.Thread(target=wait, args=(begun[-1] + share * before,), daemon=True).start()
            plain(self, trainer, pl_module, batch, batch_idx)

        ExactResume.on_train_batch_start = begins

    def wait(end):
        while time.process_time() < end:
            time.sleep(0.0005)
        os.kill(os.getpid(), sent)

    return arm


def in_a_save(point, number):
    """Kills in a save for resuming, the one of this number in a life: before, in or after writing, or in pruning."""

    def arm(folder):
        saves = itertools.count(1)
        where, name = {
            "begin": (AtomicCheckpointIO, "save_checkpoint"),
            "half": (checkpoint, "_write_all"),
            "written": (checkpoint.os, "fsync"),
            "renamed": (checkpoint, "_sync_folder"),
            "prune": (resume_checkpoints, "keep_newest"),
        }[point]
        plain = getattr(where, name)
        if point == "half":
            setattr(checkpoint, name, lambda file, data: half(file, data, saves, plain))
        else:
            setattr(where, name, lambda *a, **k: kill_at(saves) or plain(*a, **k))

    def kill_at(saves):
        if next(saves) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def half(file, data, saves, plain):
        if len(data) > 1000 and next(saves) == number:
            plain(file, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(file, data)

    return arm


def kills(seed):
    """Random kills without end: three at any instant, then one in a save."""
    chance = random.Random(seed)
    points = itertools.cycle(["half", "written", "renamed", "prune", "begin"])
    for point in points:
        for _ in range(3):
            yield at_an_instant(chance.randint(1, 10), chance.uniform(0, 1.5))
        yield in_a_save(point, chance.randint(1, 2))


def chain(place, verb, run_name, kills, most, *more):
    """Lives of a run until one comes to its end, killed `most` times at most; (folder, kills, kills after a save)."""
    parser = cli.build_parser(verb)
    config = cli.parse(parser, options(place, verb, run_name, "--resume", "auto", *more))
    folder = place / "runs" / verb / run_name
    folder.mkdir(parents=True)
    number = late = 0
    while not live(config, parser.dump(config), verb, folder, next(kills) if number < most else lambda folder: None):
        number += 1
        late += any((folder / "checkpoints").glob("step=*.ckpt"))
    return folder, number, late


def differences(whole, folder, num_kills, lost=EVERY):
    """What is not as in the run that nobody killed; every part has its name. A kill may lose so many steps."""
    found = []
    last, other = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (whole, folder))
    if last.keys() != other.keys():
        found.append("parts of the checkpoint")
    for state in (last, other):
        for callback in state["callbacks"].values():
            callback.pop("current_score", None)  # Lightning writes it and does not read it
    for part in last.keys() & other.keys() - {"hyper_parameters"}:
        if not same(last[part], other[part]):
            found.append(part)
    if logged(whole) != logged(folder):
        found.append("training_log.csv")
    results = [json.loads((run / "results.json").read_text(encoding="utf-8")) for run in (whole, folder)]
    found += [name for name in results[0] if name not in COSTS and results[0][name] != results[1][name]]
    names = [{path.name for path in (run / "checkpoints").iterdir()} for run in (whole, folder)]
    steps = [{name for name in run if name.startswith("step=")} for run in names]  # others, if a signal was in between
    if names[0] - steps[0] != names[1] - steps[1] or len(steps[0]) != len(steps[1]):
        found.append(f"files {names}")
    for name in names[0] & names[1]:
        if name.startswith("epoch="):
            best = [torch.load(run / "checkpoints" / name, weights_only=True) for run in (whole, folder)]
            found += [name] * (not same(best[0]["state_dict"], best[1]["state_dict"]))
    taken = (folder.parent / f"{folder.name}.steps").stat().st_size
    if taken > last["global_step"] + num_kills * lost:
        found.append(f"{taken} steps for {last['global_step']}")
    return found


def same(first, second):
    """Equal to the bit; paths are those of other folders, and times are not looked at."""
    if type(first) is not type(second):
        return False
    if isinstance(first, torch.Tensor):
        return first.equal(second)
    if isinstance(first, dict):
        return same(*(sorted(map(list, part.items()), key=str) for part in (first, second)))
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, str):
        return re.sub(r"\S*/", "", first) == re.sub(r"\S*/", "", second)
    return first == second


def logged(folder):
    with (folder / "training_log.csv").open(encoding="utf-8", newline="") as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def assert_killed_is_like_whole(place, whole, least, most):
    """Chains of both verbs, in turn, until so many kills have come, each with at most so many."""
    total = late = 0
    for number in itertools.count():
        for verb in VERBS:
            folder, num_kills, num_late = chain(place, verb, f"killed-{least}-{number}", kills(number), most)
            assert not differences(whole[verb], folder, num_kills)
            total, late = total + num_kills, late + num_late
        if total >= least:
            break
    assert late >= total / 2


def test_a_killed_run_ends_as_if_nobody_had_killed_it(place, whole):
    ends = json.loads((whole["finetune"] / "results.json").read_text())
    assert 1 < ends["epochs"] < 15  # early stopping has a part in it
    assert_killed_is_like_whole(place, whole, least=10, most=5)


@pytest.mark.slow
@pytest.mark.timeout(900)  # about a second a kill where nothing else runs
def test_a_hundred_kills(place, whole):
    assert_killed_is_like_whole(place, whole, least=100, most=12)


def unseeded(patch):
    """Dropout and draws from the state of the generator, as Lightning leaves it."""
    patch.setattr(ExactResume, "on_train_batch_start", lambda *anything: None)


def lightnings_counters(patch):
    """The loop goes on from what Lightning itself wrote down."""
    patch.setattr(resume_checkpoints, "set_counters", lambda *anything: None)


def from_scratch(patch):
    """No checkpoint is found."""
    patch.setattr(runs, "resumed_from", lambda *anything: None)


@pytest.mark.slow
@pytest.mark.parametrize("control", [unseeded, lightnings_counters, from_scratch])
def test_what_must_be_noticed_is(place, whole, monkeypatch, control):
    """The comparison is not blind: each of these is a run that is not resumed exactly."""
    control(monkeypatch)
    name = control.__name__
    assert main(["pretrain", *options(place, "pretrain", f"{name}-whole")]) == 0
    places = [at_an_instant(7, 0.5), at_an_instant(6, 0.5), at_an_instant(9, 0.5)]
    folder, num_kills, _ = chain(place, "pretrain", name, iter(places), len(places))
    assert differences(place / "runs/pretrain" / f"{name}-whole", folder, num_kills)


def states(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("verb", VERBS)
def test_a_finished_run_is_left_alone(place, whole, verb, capsys):
    before = states(whole[verb])
    assert main([verb, *options(place, verb, "whole", "--resume", "auto")]) == 0
    assert "is finished: there is nothing left to do" in capsys.readouterr().err
    after = states(whole[verb])
    assert {path.name for path in before if before[path] != after[path]} == {"train.log"}


@pytest.mark.parametrize("verb", VERBS)
def test_what_follows_the_training_is_done_without_training_again(place, whole, verb, monkeypatch):
    """Killed after the last step, with early stopping or without: no step is taken, all else is made up for."""
    folder = place / "runs" / verb / "after"
    shutil.copytree(whole[verb], folder)
    (folder / "results.json").unlink()
    (whole[verb] / "checkpoints").rename(away := place / "away")  # a run that was moved finds its own files
    monkeypatch.setattr(ExactResume, "on_train_batch_start", lambda *anything: pytest.fail("it trains"))
    assert main([verb, *options(place, verb, "after", "--resume", "auto")]) == 0
    away.rename(whole[verb] / "checkpoints")
    (folder.parent / "after.steps").write_bytes(b"")
    assert not differences(whole[verb], folder, 0)


def test_a_new_run_goes_on_from_a_checkpoint_of_another(place, whole):
    """With more steps than that had; its own log begins where it began."""
    more = ("--resume", str(whole["pretrain"] / "checkpoints/last.ckpt"), "--trainer.max_steps", "20")
    assert main(["pretrain", *options(place, "pretrain", "longer", *more)]) == 0
    assert [row["step"] for row in logged(place / "runs/pretrain/longer")] == ["20", "20"]
    assert json.loads((place / "runs/pretrain/longer/results.json").read_text())["steps"] == 20


@pytest.mark.parametrize(
    ("resume", "says"),
    [
        ("never", "is there already; choose another name"),
        ("PLACE/none.ckpt", "is there already"),
        ("auto", "all checkpoints in"),
    ],
)
def test_what_cannot_be_gone_on_with_is_one_sentence(place, whole, resume, says, capsys):
    folder = place / "runs/pretrain/broken"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole["pretrain"], folder)
    (folder / "results.json").unlink()
    for path in (folder / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    more = ("--resume", resume.replace("PLACE", str(place)))
    assert main(["pretrain", *options(place, "pretrain", "broken", *more)]) == 1
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_other_options_are_not_mixed_into_a_run(place, whole, capsys):
    """A learning rate, say, would not be heeded: the resumed schedule has its own."""
    shutil.copytree(whole["pretrain"], place / "runs/pretrain/other")
    (place / "runs/pretrain/other/results.json").unlink()
    more = ("--resume", "auto", "--data.num_workers", "1")
    assert main(["pretrain", *options(place, "pretrain", "other", *more, "--model.learning_rate", "2e-2")]) == 1
    assert "was begun with --model.learning_rate 0.01, not 0.02" in capsys.readouterr().err.splitlines()[-1]
    assert main(["pretrain", *options(place, "pretrain", "other", *more)]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [1, 2, 4])
@pytest.mark.parametrize("verb", VERBS)
def test_processes_that_make_batches_change_no_bit(place, whole, verb, num_workers):
    name = f"workers-{num_workers}"
    more = ("--resume", "auto", "--data.num_workers", str(num_workers))
    folder, num_kills, _ = chain(place, verb, name, iter([at_an_instant(9, 0.5)]), 1, *more)
    assert num_kills == 1 and not differences(whole[verb], folder, num_kills)


@pytest.mark.parametrize(("name", "says"), [("none.ckpt", "no such checkpoint"), ("epoch=1.ckpt", "the best weights")])
def test_a_checkpoint_that_cannot_be_resumed_is_one_sentence(place, whole, name, says, capsys):
    (place / "epoch=1.ckpt").write_bytes(b"weights")
    assert main(["pretrain", *options(place, "pretrain", "new", "--resume", str(place / name))]) == 1
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_lightnings_loop_has_the_counters_that_are_set():
    """Private keys: another version of Lightning must fail here and not in someone's run."""
    state = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False).fit_loop.state_dict()
    place = {"epoch": 2, "batch": 6, "batches": 46, "accumulation": 2, "stopped": 0}
    before = {name: set(state[name]["current"]) for name in ("epoch_progress", "epoch_loop.batch_progress")}
    assert all(keys == {"ready", "started", "processed", "completed"} for keys in before.values())
    set_counters(state, place, accumulation=1)  # on twice as many devices
    assert state["epoch_progress"]["current"] == {"ready": 3, "started": 3, "processed": 2, "completed": 2}
    batches = state["epoch_loop.batch_progress"]
    assert batches["current"] == dict.fromkeys(("ready", "started", "processed", "completed"), 3)
    assert batches["total"]["completed"] == 23 and batches["is_last_batch"] is False
