import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.chance import generator, hash64, uniform


def test_hash_is_frozen() -> None:
    # order, masks and augmentation of every run follow from these numbers; a change would change all runs
    assert [int(hash64(0)), int(hash64(42, 1, 2)), int(hash64(42, 2, 1))] == [
        7960286522194355700,
        2860659093784622855,
        566055796226478021,
    ]


@given(st.integers(0, 2**63), st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
@settings(derandomize=True, deadline=None)
def test_arrays_give_what_single_counters_give(seed: int, counters: list[int]) -> None:
    array = hash64(seed, 3, np.array(counters))
    assert array.tolist() == [int(hash64(seed, 3, counter)) for counter in counters]


def test_counters_broadcast() -> None:
    assert hash64(1, np.arange(3)[:, None], np.arange(4)).shape == (3, 4)


def test_seed_and_order_of_counters_matter() -> None:
    hashes = {int(hash64(*key)) for key in [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]}
    assert len(hashes) == 8


def test_uniform_is_uniform() -> None:
    draws = uniform(7, np.arange(100_000))
    assert draws.min() >= 0 and draws.max() < 1
    # standard error of the mean: sqrt(1/12 / 100,000) = .0009; of a tenth's share: sqrt(.09 / 100,000) = .00095
    assert abs(draws.mean() - 0.5) < 0.004
    assert np.all(np.abs(np.histogram(draws, bins=10, range=(0, 1))[0] / 100_000 - 0.1) < 0.004)
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.013  # four standard errors


def test_every_bit_is_set_half_of_the_time() -> None:
    bits = (hash64(3, np.arange(20_000))[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.all(np.abs(bits.mean(0) - 0.5) < 0.018)  # five standard errors


def test_generators_of_neighbours_differ_and_repeat() -> None:
    assert generator(1, 0, 5).random() == generator(1, 0, 5).random()
    assert len({generator(1, epoch, example).random() for epoch in range(10) for example in range(10)}) == 100
