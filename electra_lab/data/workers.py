"""Processes that make batches: none is waited for without end, and what is meant for the run does not end them."""

import os
from typing import Any

LONGEST_WAIT = 300  # seconds for a batch, which takes milliseconds


def worker_options(num_workers: int) -> dict[str, Any]:
    """Options of a DataLoader: a worker that hangs or dies is an error, and a signal to the run's group spares it."""
    if not num_workers:
        return {}
    return {"num_workers": num_workers, "timeout": LONGEST_WAIT, "worker_init_fn": _leave_group}


def _leave_group(worker: int) -> None:
    """A cluster sends SIGTERM to the whole group: the run still needs its workers to come to the next step."""
    os.setpgid(0, 0)
