"""A worker or a rank that dies or hangs ends the run: soon, with an error, and with no process left."""

import datetime
import multiprocessing
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
import torch

from electra_lab import strategies
from electra_lab.__main__ import main
from electra_lab.callbacks.end_together import EndTogether
from electra_lab.callbacks.exact_resume import ExactResume
from electra_lab.data import workers
from electra_lab.data.examples import PackedExamples
from tests.test_resume import options, place  # noqa: F401
from tests.test_two_processes import TWO

WORKER = ("--data.num_workers", "1")


def in_a_worker(monkeypatch, what):
    """Do something at the fifth batch of a worker."""
    plain, main_process, made = PackedExamples.__getitem__, os.getpid(), []

    def batch(self, key):
        made.append(key)
        if os.getpid() != main_process and len(made) == 5:
            what()
        return plain(self, key)

    monkeypatch.setattr(PackedExamples, "__getitem__", batch)


def children():
    return multiprocessing.active_children()


# what the reader of its queue says if it is the first to notice
GONE = r"DataLoader (timed out|worker .* is killed|worker .* exited)|reset by peer|^$"


def assert_ends(place, name, within):  # noqa: F811
    started = time.monotonic()
    with pytest.raises(
        (RuntimeError, ConnectionError, EOFError), match=r"DataLoader (timed out|worker .* is killed|worker .* exited)"
    ):
        main(["pretrain", *options(place, "pretrain", name, *WORKER)])
    assert time.monotonic() - started < within and not children()


@pytest.mark.slow
def test_a_worker_that_hangs_ends_the_run(place, monkeypatch):  # noqa: F811
    monkeypatch.setattr(workers, "LONGEST_WAIT", 2)
    in_a_worker(monkeypatch, lambda: time.sleep(600))
    assert_ends(place, "hangs", within=60)


def test_a_worker_that_is_killed_ends_the_run(place, monkeypatch):  # noqa: F811
    in_a_worker(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert_ends(place, "dies", within=60)


def test_a_signal_to_the_group_spares_the_workers(place):  # noqa: F811
    """The run needs its batches up to the next step; it ends with 143, not with a dead worker."""
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        torch.set_num_threads(1)
        plain, seen = ExactResume.on_train_batch_start, []

        def begins(self, *arguments):
            seen.append(1)
            if len(seen) == 4:  # in the middle of a step
                os.killpg(0, signal.SIGTERM)
            plain(self, *arguments)

        ExactResume.on_train_batch_start = begins
        try:
            os._exit(main(["pretrain", *options(place, "pretrain", "group", *WORKER)]))
        except SystemExit as end:
            os._exit(end.code)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 143
    with pytest.raises(ProcessLookupError):
        os.killpg(child, 0)


def rank(place, number, port, behaviour):  # noqa: F811
    torch.set_num_threads(1)
    where = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "GROUP_RANK": 0}
    os.environ.update({name: str(value) for name, value in where.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID="test")
    strategies.PATIENCE = datetime.timedelta(seconds=5)
    if number == 1:
        ExactResume.on_train_batch_start = lambda *anything: behaviour()
    sys.exit(main(["pretrain", *options(place, "pretrain", behaviour.__name__, *TWO)]))


def hung():
    time.sleep(600)


def dead():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", [hung, dead])
def test_a_rank_that_is_gone_ends_the_other(place, behaviour):  # noqa: F811
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=rank, args=(place, number, port, behaviour)) for number in (0, 1)]
    for process in ranks:
        process.start()
    try:
        ranks[0].join(60)
        assert ranks[0].exitcode not in (0, None)
    finally:
        for process in ranks:
            with suppress(ProcessLookupError):
                process.kill()


def test_an_error_ends_the_processes_that_were_started():
    sent = []
    trainer = SimpleNamespace(strategy=SimpleNamespace(launcher=SimpleNamespace(kill=sent.append)))
    EndTogether().on_exception(trainer, None, SystemExit(143))
    assert not sent
    EndTogether().on_exception(trainer, None, RuntimeError("timed out"))
    assert sent == [signal.SIGKILL]
    trainer.strategy.launcher = None
    EndTogether().on_exception(trainer, None, RuntimeError("timed out"))
