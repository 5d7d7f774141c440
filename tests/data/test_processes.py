"""Worker processes: their results, their errors and their ends."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from electra_lab.data import processes
from electra_lab.data.errors import IngestError
from electra_lab.data.processes import in_processes


def square(number):
    return number**2, os.getpid()


def fail(number):
    if number == 3:
        raise IngestError("E103", "a.txt", "line 3", "UTF-8 text", "byte 7 is not UTF-8")
    return number


def die(number):
    os._exit(1)


def test_results_come_from_as_many_processes():
    results = list(in_processes(square, range(9), 2))
    assert sorted(value for value, _ in results) == [number**2 for number in range(9)]
    places = {place for _, place in results}
    assert len(places) == 2 and os.getpid() not in places


@pytest.mark.parametrize(("tasks", "number"), [([], 4), ([5], 4), (range(9), 1)])
def test_one_task_or_one_process_is_done_here(tasks, number):
    assert list(in_processes(square, tasks, number)) == [(task**2, os.getpid()) for task in tasks]


def test_no_more_tasks_are_read_than_are_worked_on():
    read = []
    with closing(in_processes(square, (read.append(task) or task for task in range(50)), 2)) as results:
        for done, _ in enumerate(results, start=1):
            assert len(read) <= done + 2 + 1  # one in each process, one in hand


@pytest.mark.parametrize("number", [1, 2])
def test_an_error_comes_out_as_it_is(number):
    with pytest.raises(IngestError, match=r"a.txt:line 3: expected UTF-8 text, got byte 7 is not UTF-8 \(E103\)"):
        list(in_processes(fail, range(9), number))


def test_a_process_that_dies_is_one_sentence():
    with pytest.raises(ChildProcessError, match="a worker process ended without an answer"):
        list(in_processes(die, range(9), 2))


def test_ctrl_c_is_left_to_the_first_process():
    """A terminal sends it to the workers too, where it would end a block in the middle with a traceback of its own."""
    with closing(in_processes(square, range(9), 2)) as results:
        seen = [next(results)]
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGINT)
        assert len(seen + list(results)) == 9


BORN = """
import signal
from electra_lab.data.processes import in_processes

class Work:
    def __setstate__(self, state):  # in the worker, before anything of ours runs there
        self.is_deaf = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def __call__(self, number):
        return self.is_deaf

    def __getstate__(self):
        return {"number": 1}

if __name__ == "__main__":
    assert list(in_processes(Work(), range(8), 2)) == [True] * 8
"""


def test_a_worker_is_born_deaf_to_ctrl_c(tmp_path):
    """The first one too, with which multiprocessing starts a tracker that lifts the blockade."""
    (tmp_path / "run.py").write_text(BORN)
    environment = {**os.environ, "PYTHONPATH": str(Path(processes.__file__).parents[2])}
    subprocess.run([sys.executable, "run.py"], cwd=tmp_path, env=environment, check=True)


RUN = """
import signal
import time
from pathlib import Path
from electra_lab.data.processes import in_processes

def work(number):
    Path(f"done-{number}").touch()
    time.sleep(0 if number < 4 else 2)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is born deaf to it
    list(in_processes(work, range(100), 2))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize(("number", "tracebacks"), [(signal.SIGKILL, 0), (signal.SIGINT, 1)], ids=["kill", "Ctrl-C"])
def test_no_process_is_left_behind(tmp_path, number, tracebacks):
    """In a group of its own, as a terminal starts a command: Ctrl-C reaches the workers too."""
    (tmp_path / "run.py").write_text(RUN)
    environment = {**os.environ, "PYTHONPATH": str(Path(processes.__file__).parents[2])}
    command = [sys.executable, "run.py"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (tmp_path / "done-3").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.kill()
    assert process.communicate(timeout=30)[1].count(b"Traceback") == tracebacks  # of the first process alone
    while _group(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _group(process.pid)


def _group(number):
    """Processes of this group that run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[2] == str(number) and fields[0] != "Z":
            found.append(stat.parent.name)
    return found
