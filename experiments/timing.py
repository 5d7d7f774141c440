"""What a piece of work takes on a device: seconds and memory, of several pieces in turn, and how they are printed."""

import ctypes
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

_STATUS = Path("/proc/self/status")
_RESET_PEAK = Path("/proc/self/clear_refs"), "5"  # proc(5): the peak becomes what is resident now


class Cost(NamedTuple):
    """What one piece of work took."""

    seconds: float
    memory: int  # bytes at the peak beyond what was there before; 0 where it cannot be told


def in_turn(works: Sequence[Callable[[], object]], rounds: int, device: torch.device) -> list[list[Cost]]:
    """The costs (rounds, works): every work once a round, so that what slows the machine down slows down all of them.

    Each is done once before, unmeasured: allocations, kernels, an optimizer's state.
    """
    for work in works:
        work()
    return [[cost(work, device) for work in works] for _ in range(rounds)]


def cost(work: Callable[[], object], device: torch.device) -> Cost:
    """Do the work once and say what it took."""
    before = _begin(device)
    seconds = seconds_of(work, device)
    return Cost(seconds, max(0, _peak(device) - before))


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Wall clock of the work, with all that it started on the device."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def resident(field: str = "VmHWM") -> int:
    """Bytes of this process's memory that are resident now (VmRSS) or were at the peak (VmHWM); 0 beyond Linux."""
    if not _STATUS.is_file():
        return 0
    lines = _STATUS.read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def spread(values: Sequence[float], form: str) -> str:
    """Median, lowest and highest."""
    return f"{median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is left-aligned, the others right."""
    alignment = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, alignment, *rows))


def _begin(device: torch.device) -> int:
    """Bytes in use; peaks count from here."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    if _STATUS.is_file():
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(0)  # what the work before has freed is no longer resident
        file, command = _RESET_PEAK
        file.write_text(command, encoding="ascii")
    return resident("VmRSS")


def _peak(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else resident()
