"""Two processes are one: the same weights, the same figures and one set of files, whoever computes which part."""

import csv
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from electra_lab import cli, runs, verbs  # noqa: F401  # imported once, here, and not by every process
from electra_lab.__main__ import main
from electra_lab.data.pretraining import PretrainingDataModule
from tests.made_up_files import write_data

PRETRAIN = """
model:
  preset: tiny
  sizes: {num_layers: 1, hidden_size: 32, intermediate_size: 64, num_heads: 2, embedding_size: 16, dropout: 0.1}
  warmup_steps: 2
  learning_rate: 1.0e-2
data: {vocabulary_size: 600, max_length: 32, batch_size: 8, micro_batch_size: 4, validation_share: 0.1}
trainer:
  {accelerator: cpu, devices: 1, max_steps: 6, check_val_every_n_epoch: null, val_check_interval: 3,
   log_every_n_steps: 2}
checkpoint_every: 4
"""
FINETUNE = """
data: {batch_size: 8, micro_batch_size: 4, max_length: 128}
trainer: {accelerator: cpu, devices: 1, max_epochs: 1, log_every_n_steps: 1}
model: {learning_rate: 1.0e-3}
"""
TIMEOUT = 150  # seconds; a run takes two or three
TWO = ("--trainer.devices", "2", "--trainer.strategy", "ddp")
TIMES = ("seconds", "train/tokens_per_second")  # the columns of the log that differ from run to run


def rank_of_two(arguments, rank, port):
    """One rank of a run, as a cluster or torchrun starts it, without the seconds that the imports take."""
    torch.set_num_threads(1)
    runs.loss_curve = verbs.write_figures = lambda *anything: None  # pictures would take half of the time
    if rank is not None:
        where = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "GROUP_RANK": 0}
        os.environ.update({name: str(value) for name, value in where.items()})
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID="test")
    sys.exit(main(arguments))


def run(arguments, processes):
    """Run a verb in this many new processes and see all of them end well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")
    arguments = [*arguments, *(TWO if processes == 2 else ())]
    ranks = [None] if processes == 1 else [0, 1]
    children = [context.Process(target=rank_of_two, args=(arguments, rank, port)) for rank in ranks]
    for child in children:
        child.start()
    try:
        for child in children:
            child.join(TIMEOUT)
        assert [child.exitcode for child in children] == [0] * processes
    finally:
        for child in children:
            child.kill()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A text, labelled conversations and two configurations."""
    folder = tmp_path_factory.mktemp("place")
    write_data(folder, num_documents=60)
    (folder / "pretrain.yaml").write_text(PRETRAIN)
    (folder / "finetune.yaml").write_text(FINETUNE)
    return folder


def pretrain(place, run_name, processes, *options):
    paths = ["--output", str(place / "runs"), "--data.paths", str(place / "text.txt"), "--data.cache", f"{place}/cache"]
    run(["pretrain", "--config", str(place / "pretrain.yaml"), "--run_name", run_name, *paths, *options], processes)
    return place / "runs/pretrain" / run_name


def detection(place, encoder, verb, run_name, processes, *options):
    paths = ["--output", str(place / "runs"), "--data.paths", str(place / "chats.jsonl")]
    given = ["--config", str(place / "finetune.yaml"), "--run_name", run_name, "--model.backbone", str(encoder)]
    run([verb, *given, *paths, *options], processes)
    return place / "runs" / verb / run_name


@pytest.fixture(scope="module")
def one(place):
    return pretrain(place, "one", 1)


@pytest.fixture(scope="module")
def two(place, one):
    return pretrain(place, "two", 2)


def checkpoint(folder, name="last.ckpt"):
    return torch.load(folder / "checkpoints" / name, weights_only=True)


def logged(folder):
    """The training log without its times."""
    with (folder / "training_log.csv").open(encoding="utf-8", newline="") as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def assert_same_figures(first, second, relative=1e-6):
    assert len(first) == len(second) > 0
    for row, other in zip(first, second, strict=True):
        assert row.keys() == other.keys()
        for name in row:
            if row[name] != other[name]:  # also empty cells
                assert float(row[name]) == pytest.approx(float(other[name]), rel=relative), (name, row["step"])


def results(folder):
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_two_processes_end_with_the_weights_of_one(one, two):
    """Six steps with dropout, shuffled, against one process that accumulates two micro-batches: not a bit differs.

    Two ranks that drew alike, or saw the same examples, would end elsewhere: the one process draws anew each time.
    """
    first, second = checkpoint(one), checkpoint(two)
    for name, value in first["state_dict"].items():
        assert value.equal(second["state_dict"][name]), name
    states = [state["optimizer_states"][0]["state"] for state in (first, second)]
    for number, moments in states[0].items():
        assert all(value.equal(states[1][number][name]) for name, value in moments.items())
    assert first["PretrainingDataModule"] == second["PretrainingDataModule"]


def test_two_processes_measure_what_one_measures(one, two):
    """Held-out text is an odd number of micro-batches here, one rank has more of them than the other."""
    assert_same_figures(logged(one), logged(two))
    validation = [results(folder)["validation"] for folder in (one, two)]
    assert validation[1] == pytest.approx(validation[0], rel=1e-6)
    assert results(two)["devices"] == 2 and results(two)["tokens"] == results(one)["tokens"]


def test_two_processes_leave_the_files_of_one(one, two):
    """Whole folders of both networks; every line of the log and every row once."""
    files = [{str(path.relative_to(folder)) for path in folder.rglob("*")} for folder in (one, two)]
    assert files[0] == files[1]
    lines = [(folder / "train.log").read_text(encoding="utf-8").splitlines() for folder in (one, two)]
    steps = [[line.split("  ")[0].split(" ", 2)[2] for line in text if " step " in line] for text in lines]
    assert steps[0] == steps[1] and len(set(steps[0])) == len(steps[0]) > 0
    for part in ("generator", "discriminator"):
        weights = [(folder / part / "model.safetensors").read_bytes() for folder in (one, two)]
        assert weights[0] == weights[1]


@pytest.mark.slow
def test_two_by_two_micro_batches_end_close_to_four(place, one):
    """Here sums are taken in another order, which is all that may differ."""
    options = ("--data.micro_batch_size", "2")
    four, twice_two = (pretrain(place, f"parts-{n}", n, *options) for n in (1, 2))
    states = [checkpoint(folder)["state_dict"] for folder in (four, twice_two)]
    assert max(float((value - states[1][name]).abs().max()) for name, value in states[0].items()) <= 1e-6


@pytest.mark.parametrize("sharing", ["es", "gdes"])
def test_spread_weights_are_the_weights_of_one_process(place, one, sharing, monkeypatch):
    """fsdp2: each rank holds half of every table, also of a shared one; what is exported is whole and the same."""
    options = ("--model.sharing", sharing, "--data.validation_examples", "8")
    alone = pretrain(place, f"alone-{sharing}", 1, *options)
    monkeypatch.setattr("tests.test_two_processes.TWO", (*TWO[:3], "fsdp2"))
    spread = pretrain(place, f"spread-{sharing}", 2, *options)
    for part in ("generator", "discriminator"):
        weights, others = (load_file(folder / part / "model.safetensors") for folder in (alone, spread))
        assert weights.keys() == others.keys()
        assert max(float((value - others[name]).abs().max()) for name, value in weights.items()) <= 1e-6
    assert_same_figures(logged(alone), logged(spread), relative=1e-5)


def test_few_held_out_examples_are_shared_by_all_ranks(place, one):
    """Four held-out examples are one micro-batch; a rank without one would not come to the sums, and all would wait."""
    options = ("--data.validation_examples", "4", "--trainer.max_steps", "3")
    alone, together = (results(pretrain(place, f"few-{n}", n, *options))["validation"] for n in (1, 2))
    assert together["masked_lm_loss"] == pytest.approx(alone["masked_lm_loss"], rel=1e-6)  # the draws are others


def test_ranks_share_the_batches_of_one_process_and_mask_each_example_alike(place, one):
    """Each rank has its own examples and its own place in the order of chance; together they are the one process."""
    kinds = {}
    for processes, workers in ((1, 0), (1, 1), (2, 0), (2, 2)):
        ranks = []
        for rank in range(processes):
            datamodule = PretrainingDataModule(
                str(place / "text.txt"),
                cache=str(place / "cache"),
                vocabulary_size=600,
                max_length=32,
                batch_size=8,
                micro_batch_size=4,
                validation_share=0.1,
                num_workers=workers,
            )
            datamodule.trainer = SimpleNamespace(global_rank=rank, world_size=processes)
            datamodule.prepare_data()
            ranks.append(list(datamodule.train_dataloader()))
        assert len({len(batches) for batches in ranks}) == 1  # a rank with more would wait for the others
        kinds[processes, workers] = sorted((tuple(batch.position), batch) for batches in ranks for batch in batches)
    alone = kinds[1, 0]
    assert len(alone) > 20 and len({position for position, _ in alone}) == len(alone)
    for batches in kinds.values():
        for (position, batch), (expected_position, expected) in zip(batches, alone, strict=True):
            assert position == expected_position
            assert all(a.equal(b) for a, b in zip(batch[:-1], expected[:-1], strict=True))
    halves = [alone[0][1], alone[1][1]]
    assert not np.array_equal(halves[0].input_ids, halves[1].input_ids)
    assert not np.array_equal(halves[0].masked_positions, halves[1].masked_positions)


def test_a_detector_trained_by_two_is_tested_by_one_alike(place, one):
    """Fit, choose the best and test in two processes; its checkpoint tested in one process gives the same figures."""
    encoder = one / "discriminator"
    trained = detection(place, encoder, "finetune", "two", 2)
    best = trained / "checkpoints" / results(trained)["best_checkpoint"]
    tested = detection(place, encoder, "test", "one", 1, "--checkpoint", str(best))
    assert results(trained)["test"] == results(tested)["test"]
    assert results(trained)["examples"] == results(tested)["examples"]
    assert len(list((trained / "checkpoints").iterdir())) == 1
    alone = detection(place, encoder, "finetune", "one", 1)
    assert_same_figures(logged(alone), logged(trained), relative=1e-5)
    assert {path.name for path in trained.iterdir()} == {path.name for path in alone.iterdir()}


@pytest.mark.slow
@pytest.mark.timeout(4 * TIMEOUT)
def test_the_command_starts_its_own_second_process(place, two):
    """`electra-lab pretrain --trainer.devices 2` as a user types it; nothing is left running, nothing is said twice."""
    paths = ["--output", str(place / "runs"), "--data.paths", str(place / "text.txt"), "--data.cache", f"{place}/cache"]
    given = ["--config", str(place / "pretrain.yaml"), "--run_name", "typed", *paths, *TWO]
    command = [sys.executable, "-m", "electra_lab", "pretrain", *given]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    try:
        said = process.communicate(timeout=3 * TIMEOUT)[1]  # ends when nobody of its group is left to write
        assert process.returncode == 0, said
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    lines = [line for line in said.splitlines() if line.startswith(("step ", "validation at"))]
    assert len(lines) == len({line.split("  ")[0] for line in lines}) > 0
    assert "sync_dist" not in said and "deprecated" not in said
    states = [checkpoint(folder)["state_dict"] for folder in (two, place / "runs/pretrain/typed")]
    assert all(value.equal(states[1][name]) for name, value in states[0].items())
