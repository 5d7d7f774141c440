"""SIGTERM and SIGUSR1: saved at the next step, ended with 143, nothing lost; one process, and any or all of two."""

import itertools
import os
import random
import signal
import socket
from multiprocessing import get_context

import pytest
import torch

from electra_lab import cli, verbs
from electra_lab.__main__ import main
from electra_lab.callbacks.exact_resume import ExactResume
from tests.test_resume import (  # the place and the runs that nobody ends
    VERBS,
    at_an_instant,
    chain,
    differences,
    logged,
    options,
    place,  # noqa: F401
    same,
    whole,  # noqa: F401
)
from tests.test_two_processes import TIMEOUT, TWO

SENT = (signal.SIGTERM, signal.SIGUSR1)


def asked(seed):
    """Signals at random instants without end."""
    chance = random.Random(seed)
    for sent in itertools.cycle(SENT):
        yield at_an_instant(chance.randint(1, 8), chance.uniform(0, 1.5), sent)


def assert_nothing_is_lost(place, whole, least, most):  # noqa: F811
    total = 0
    for number in itertools.count():
        for verb in VERBS:
            folder, num_asked, _ = chain(place, verb, f"asked-{least}-{number}", asked(number), most)
            assert not differences(whole[verb], folder, num_asked, lost=0)
            total += num_asked
        if total >= least:
            return


def test_a_run_that_is_asked_to_end_loses_nothing(place, whole):  # noqa: F811
    assert_nothing_is_lost(place, whole, least=2, most=1)


@pytest.mark.slow
def test_forty_signals(place, whole):  # noqa: F811
    assert_nothing_is_lost(place, whole, least=40, most=12)


def rank(place, run_name, number, port, asked):  # noqa: F811
    """One of two ranks of `pretrain --resume auto`, which sends itself a signal if it is asked."""
    torch.set_num_threads(1)
    where = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "GROUP_RANK": 0}
    os.environ.update({name: str(value) for name, value in where.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID="test")
    if asked:
        at_an_instant(5, 0.5, signal.SIGTERM)(None)
    parser = cli.build_parser("pretrain")
    given = options(place, "pretrain", run_name, "--resume", "auto", *TWO)
    verbs.pretrain(cli.parse(parser, given), parser.dump(cli.parse(parser, given)))


def exit_codes(place, run_name, asked):  # noqa: F811
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [get_context("fork").Process(target=rank, args=(place, run_name, n, port, n in asked)) for n in (0, 1)]
    for process in ranks:
        process.start()
    try:
        for process in ranks:
            process.join(TIMEOUT)
        return [process.exitcode for process in ranks]
    finally:
        for process in ranks:
            process.kill()


@pytest.mark.parametrize(
    "asked", [(1,), pytest.param((0,), marks=pytest.mark.slow), pytest.param((0, 1), marks=pytest.mark.slow)]
)
def test_one_rank_that_is_asked_ends_all(place, whole, asked):  # noqa: F811
    """Both save at the same step; resumed by two, or by one, the run ends with what one process ends with."""
    name = f"ranks-{asked}"
    assert exit_codes(place, name, asked) == [143, 143]
    folder = place / "runs/pretrain" / name
    assert "last.ckpt" not in {path.name for path in (folder / "checkpoints").iterdir()}
    if asked == (1,):
        assert main(["pretrain", *options(place, "pretrain", name, "--resume", "auto")]) == 0
    else:
        assert exit_codes(place, name, ()) == [0, 0]
    states = [torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (whole["pretrain"], folder)]
    for part in ("state_dict", "optimizer_states", "PretrainingDataModule"):
        assert same(states[0][part], states[1][part]), part
    assert [row["step"] for row in logged(folder)] == [row["step"] for row in logged(whole["pretrain"])]


def test_a_second_signal_ends_at_once(place, whole):  # noqa: F811
    """The first one waits for a step that never ends."""
    child = os.fork()
    if not child:
        signal.alarm(60)
        ExactResume.on_train_batch_start = lambda *anything: (
            [os.kill(os.getpid(), signal.SIGTERM) for _ in range(2)] and signal.pause()
        )
        cli.run("pretrain", options(place, "pretrain", "twice"))
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
