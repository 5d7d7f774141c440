"""Works take turns, and what a work takes is what it takes."""

import sys

import pytest
import torch

from experiments import timing

CPU = torch.device("cpu")


def test_works_take_turns() -> None:
    done: list[str] = []
    costs = timing.in_turn([lambda: done.append("a"), lambda: done.append("b")], 3, CPU)
    assert done == ["a", "b"] * 4  # once to warm up
    assert [len(row) for row in costs] == [2, 2, 2]
    assert all(cost.seconds > 0 for row in costs for cost in row)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
def test_memory_is_that_of_one_work() -> None:
    """Eighty megabytes, let go before it ends, and then a work without."""
    large = timing.cost(lambda: torch.ones(20_000_000).sum(), CPU)
    assert large.memory == pytest.approx(80e6, rel=0.2)
    assert timing.cost(lambda: None, CPU).memory < 8e6


def test_how_it_is_printed() -> None:
    assert timing.spread([3.0, 1.0, 2.5], ".1f") == "2.5 (1.0-3.0)"
    lines = timing.markdown(["a", "b"], [["1", "2"], ["3", ""]]).splitlines()
    assert lines == ["| a | b |", "| --- | ---: |", "| 1 | 2 |", "| 3 |  |"]
