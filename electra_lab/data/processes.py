"""Worker processes for a stream of tasks: bounded memory, no process left behind, and an end that says why."""

import itertools
import os
import signal
import traceback
from collections.abc import Callable, Generator, Iterable
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_processes(
    function: Callable[[Task], Result], tasks: Iterable[Task], num_processes: int | None = None
) -> Generator[Result]:
    """Results of a function for each task, in no fixed order.

    Every process holds one task and this one the next, so memory does not grow with the number of tasks. A single
    task, or a single process, needs no other process. Processes end when this one does, however it ends; close the
    iterator to end them at once.

    Args:
        function: Can be pickled; its module is imported by each process, so it should be light.
        tasks: Can be pickled. They are read while the processes work.
        num_processes: As many as there are cores for this process if not given.

    Raises:
        ChildProcessError: a process ended without an answer.
        Exception: what the function raised, with the process's traceback as a note.
    """
    tasks = iter(tasks)
    first = list(itertools.islice(tasks, 2))
    tasks = itertools.chain(first, tasks)
    num_processes = num_processes or num_cores()
    if num_processes == 1 or len(first) < 2:
        yield from map(function, tasks)
        return
    context = get_context("spawn")  # a fork would copy the threads' locks of whatever has been used before
    workers: dict[Connection, SpawnProcess] = {}
    idle: list[Connection] = []
    try:
        for task in tasks:
            if not idle and len(workers) < num_processes:
                here, there = context.Pipe()
                workers[here] = context.Process(target=_work, args=(function, there), daemon=True)
                _start(workers[here])
                there.close()  # the worker's end is the only one left: its death is the end of the pipe
                idle.append(here)
            while not idle:
                ready = wait(workers)
                idle = [connection for connection in workers if connection in ready]
                yield from map(_receive, idle)
            _send(idle.pop(), task)
        for connection in workers:
            if connection not in idle:
                yield _receive(connection)
    finally:
        for connection, worker in workers.items():
            connection.close()
            if worker.pid is not None:
                worker.terminate()
                worker.join()


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # else: macOS


def _start(worker: SpawnProcess) -> None:
    """Ctrl-C reaches the whole group: born with the signal blocked, a worker leaves it to the first process."""
    resource_tracker.ensure_running()  # the first worker would start it, which lifts the blockade
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        worker.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(connection: Connection, task: object) -> None:
    try:
        connection.send(task)
    except OSError:
        raise _died() from None


def _receive(connection: Connection) -> Any:
    try:
        result = connection.recv()
    except (EOFError, OSError):
        raise _died() from None
    if isinstance(result, BaseException):
        raise result
    return result


def _died() -> ChildProcessError:
    return ChildProcessError(
        "a worker process ended without an answer; was it killed, is memory short, or does a script lack its "
        'if __name__ == "__main__": line?'
    )


def _work(function: Callable[[Task], Result], connection: Connection) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one core each is all there is
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        try:
            result: object = function(task)
        except Exception as error:
            error.add_note(traceback.format_exc())
            result = error
        try:
            connection.send(result)
        except OSError:
            return
