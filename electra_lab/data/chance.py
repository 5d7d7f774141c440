"""Random numbers as a pure function of (seed, counters): no state to save, equal for any worker, rank or resume.

One 64-bit mixing function (splitmix64, Steele et al., OOPSLA 2014, https://doi.org/10.1145/2660193.2660195) is folded
over the counters. Counters may be arrays: they broadcast, so a whole batch of masks costs one call.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hash64(seed: int, *counters: ArrayLike) -> NDArray[np.uint64]:
    """64 well-mixed bits for each combination of the counters (non-negative integers; broadcast together)."""
    with np.errstate(over="ignore"):  # wrapping around is the point
        state = _mix(np.asarray(seed & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64) + _GOLDEN)
        for counter in counters:
            state = _mix(state ^ (np.asarray(counter).astype(np.uint64) + _GOLDEN))
    return np.asarray(state, dtype=np.uint64)


def uniform(seed: int, *counters: ArrayLike) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) for each combination of the counters."""
    return (hash64(seed, *counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def generator(seed: int, *counters: int) -> np.random.Generator:
    """A numpy generator for code that draws one number after another."""
    return np.random.default_rng(int(hash64(seed, *counters)))


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
