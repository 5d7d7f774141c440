"""Which of many texts are nearly the same: Jaccard similarity of their character 5-grams, exact, by an inverted index.

Two sets can only be as alike as asked if they share one of their few rarest members (prefix filtering, Chaudhuri et
al., ICDE 2006, https://doi.org/10.1109/ICDE.2006.9), so each text is compared with few others.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_CHARACTERS = 5  # of a shingle
_BASE = np.uint64(0x9E3779B97F4A7C15)  # of the rolling polynomial, modulo 2^64


def near_duplicates(texts: Sequence[str], threshold: float = 0.8) -> Iterator[tuple[int, int]]:
    """Yield pairs (earlier, later) of texts at least this alike; of equal texts only each with the first of them."""
    first: dict[bytes, int] = {}
    sets: list[NDArray[np.uint64]] = []
    places: list[int] = []
    for place, text in enumerate(texts):
        members = shingles(text)
        known = first.setdefault(members.tobytes(), place)
        if known != place:
            yield known, place
        else:
            sets.append(members)
            places.append(place)
    for earlier, later in _alike(sets, threshold):
        yield places[earlier], places[later]


def shingles(text: str) -> NDArray[np.uint64]:
    """Sorted 64-bit hashes of the text's runs of five characters, each once; a shorter text is one run."""
    characters = np.frombuffer(text.ljust(_CHARACTERS, "\0").encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    num_runs = len(characters) - _CHARACTERS + 1
    hashes = np.zeros(num_runs, dtype=np.uint64)
    for offset in range(_CHARACTERS):
        hashes = hashes * _BASE + characters[offset : offset + num_runs]
    hashes.sort()  # numpy's unique takes twenty times as long
    return hashes[np.append(True, hashes[1:] != hashes[:-1])]


def _alike(sets: list[NDArray[np.uint64]], threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs of sets whose intersection is at least `threshold` of their union."""
    if not sets:
        return
    ranked, frequency = _rarest_first(sets)
    sizes = np.array([len(members) for members in ranked])
    holders: defaultdict[int, list[int]] = defaultdict(list)  # rare member -> the sets so far that have it
    present = np.zeros(len(frequency), dtype=np.bool_)
    for number, members in enumerate(ranked):
        size = len(members)
        prefix = members[: size - int(np.ceil(threshold * size - 1e-9)) + 1]
        rare = prefix[frequency[prefix] > 1].tolist()
        candidates = np.array(sorted({other for member in rare for other in holders[member]}), dtype=np.int64)
        candidates = candidates[np.minimum(sizes[candidates], size) >= threshold * np.maximum(sizes[candidates], size)]
        if len(candidates):
            present[members] = True
            starts = np.cumsum(sizes[candidates]) - sizes[candidates]
            theirs = np.concatenate([ranked[other] for other in candidates])
            shared = np.add.reduceat(present[theirs], starts, dtype=np.int64)
            present[members] = False
            enough = shared >= threshold * (sizes[candidates] + size - shared)
            yield from ((int(other), number) for other in candidates[enough])
        for member in rare:
            holders[member].append(number)


def _rarest_first(sets: list[NDArray[np.uint64]]) -> tuple[list[NDArray[np.int32]], NDArray[np.int64]]:
    """The sets with their members numbered by how few sets have them, in that order; in how many each is."""
    _, numbers, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    order = np.argsort(counts, kind="stable")
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    ends = np.cumsum([len(members) for members in sets])[:-1]
    return [np.sort(members) for members in np.split(rank[numbers], ends)], counts[order]
