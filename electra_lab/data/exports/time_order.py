"""Which times of an export fit together: the others may be what somebody typed."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from electra_lab.data.exports.chat import HEADER, MESSAGE, Entry


def with_doubt(entries: Sequence[Entry]) -> list[Entry]:
    """The entries with "ambiguous" where the times go back, for files in which a message can hold a forged line.

    Marked is what would have to go so that the times are in order, and the message before it, which may go on there. A
    forged line that fits between its neighbours cannot be told from a true one.
    """
    times = {
        index: entry.time for index, entry in enumerate(entries) if entry.time and _is_ordered(entry.time, entry.kind)
    }
    timed = list(times)
    doubtful = {timed[place] for place in _out_of_order(list(times.values()))}
    doubtful |= {index - 1 for index in doubtful if index and entries[index - 1].kind == MESSAGE}
    return [
        replace(entry, flags=("ambiguous", *entry.flags))
        if index in doubtful and "ambiguous" not in entry.flags
        else entry
        for index, entry in enumerate(entries)
    ]


def longest_in_order(times: Sequence[str]) -> set[int]:
    """Places of a longest non-decreasing subsequence, of several the one that begins first."""
    lengths = _lengths([-rank for rank in reversed(_ranks(times))])[::-1]
    longest = max(lengths, default=0)
    kept: list[int] = []
    for place, time in enumerate(times):
        if lengths[place] == longest - len(kept) and (not kept or times[kept[-1]] <= time):
            kept.append(place)
    return set(kept)


def _is_ordered(time: str, kind: str) -> bool:
    """Whether entries stand in the order of such times: not where the day is missing, or the time within it."""
    return not time.startswith("T") and ("T" in time or kind == HEADER)


def _out_of_order(times: Sequence[str]) -> set[int]:
    """Places that are not in every longest non-decreasing subsequence, in O(n log n)."""
    ranks = _ranks(times)
    before = _lengths(ranks)
    after = _lengths([-rank for rank in reversed(ranks)])[::-1]
    longest = max(before, default=0)
    members = [index for index in range(len(times)) if before[index] + after[index] - 1 == longest]
    rivals: dict[int, int] = {}
    for index in members:
        rivals[before[index]] = rivals.get(before[index], 0) + 1
    return set(range(len(times))) - {index for index in members if rivals[before[index]] == 1}


def _ranks(times: Sequence[str]) -> list[int]:
    rank = {time: place for place, time in enumerate(sorted(set(times)))}
    return [rank[time] for time in times]


def _lengths(values: Sequence[int]) -> list[int]:
    """For each value the length of the longest non-decreasing subsequence that ends with it."""
    tails: list[int] = []
    lengths = []
    for value in values:
        place = bisect_right(tails, value)
        tails[place : place + 1] = [value]
        lengths.append(place + 1)
    return lengths
