import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.order import MicroBatch, OrderedSampler, in_order, shuffled


@given(st.integers(1, 3000), st.integers(0, 2**32), st.integers(0, 1000))
@settings(derandomize=True, max_examples=60, deadline=None)
def test_shuffled_is_a_permutation(num_examples: int, seed: int, epoch: int) -> None:
    order = shuffled(np.arange(num_examples), num_examples, seed, epoch)
    assert np.array_equal(np.sort(order), np.arange(num_examples))


@given(st.integers(1, 500), st.data())
@settings(derandomize=True, max_examples=30, deadline=None)
def test_any_part_of_the_order_is_computed_alone(num_examples: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, num_examples - 1))
    positions = np.arange(first, num_examples)
    assert np.array_equal(
        shuffled(positions, num_examples, 1, 2), shuffled(np.arange(num_examples), num_examples, 1, 2)[first:]
    )


def test_every_example_comes_everywhere_about_as_often() -> None:
    orders = np.array([shuffled(np.arange(64), 64, 0, epoch) for epoch in range(1500)])
    counts = np.array([np.bincount(orders[:, place], minlength=64) for place in range(64)])
    chi_square = ((counts - 1500 / 64) ** 2 / (1500 / 64)).sum() / 63**2
    assert abs(chi_square - 1) < 0.09  # four standard errors: sqrt(2 / 63^2) = .022


def test_few_examples_keep_their_place() -> None:
    num_fixed = [(shuffled(np.arange(1000), 1000, 0, epoch) == np.arange(1000)).sum() for epoch in range(150)]
    assert 0.6 < np.mean(num_fixed) < 1.4  # 1 for random permutations, standard error .08


def test_no_example_is_an_error() -> None:
    with pytest.raises(ValueError, match="no example"):
        shuffled(np.arange(0), 0, 0, 0)


def epoch_of(num_examples: int, batch_size: int, micro: int, world: int) -> list[list[MicroBatch]]:
    """One epoch's micro-batches of every rank."""
    return [list(OrderedSampler(num_examples, batch_size, micro, 9, rank, world)) for rank in range(world)]


@pytest.mark.parametrize(("world", "micro"), [(1, 24), (1, 4), (2, 6), (3, 4), (3, 8), (4, 2), (6, 4), (6, 1)])
def test_same_examples_in_every_step_for_any_number_of_devices(world: int, micro: int) -> None:
    alone = [batch.examples for batch in epoch_of(100, 24, 24, 1)[0]]
    ranks = epoch_of(100, 24, micro, world)
    assert len(alone) == 4  # 100 examples, 24 a step; four are left out this time
    accumulation = 24 // (micro * world)
    for step, expected in enumerate(alone):
        batches = [batch for rank in ranks for batch in rank[step * accumulation : (step + 1) * accumulation]]
        in_step = sorted(batches, key=lambda batch: batch.index)
        assert np.concatenate([batch.examples for batch in in_step]).tolist() == expected.tolist()
        assert all(batch.step_examples.tolist() == expected.tolist() for batch in batches)
    indices = [batch.index for rank in ranks for batch in rank]
    assert sorted(indices) == list(range(len(indices)))


def test_batch_sizes_that_do_not_come_out_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of micro_batch_size x devices = 16 x 4"):
        OrderedSampler(100, 32, 16, 0, 0, 4)
    with pytest.raises(ValueError, match="more than the 31"):
        OrderedSampler(31, 32, 16, 0)


def test_epochs_follow_one_another_and_differ() -> None:
    sampler = OrderedSampler(40, 8, 4, 0)
    epochs = [list(sampler), list(sampler)]
    assert [{batch.epoch for batch in epoch} for epoch in epochs] == [{0}, {1}]
    assert all(len(epoch) == len(sampler) == 10 for epoch in epochs)
    first, second = (np.concatenate([batch.examples for batch in epoch]) for epoch in epochs)
    assert sorted(first) == sorted(second) == list(range(40)) and first.tolist() != second.tolist()


@given(st.integers(0, 14), st.sampled_from([(1, 2), (2, 1), (1, 6), (3, 2)]))
@settings(derandomize=True, max_examples=20, deadline=None)
def test_resumes_after_any_step_on_any_number_of_devices(done: int, place: tuple[int, int]) -> None:
    world, micro = place
    whole = OrderedSampler(33, 6, 6, 4)  # five steps an epoch
    batches = [batch for _ in range(3) for batch in whole]
    first = OrderedSampler(33, 6, 6, 4)
    iterator = iter(first)
    for step in range(done):
        batch = next(iterator, None) or next(iterator := iter(first))
        first.finished(batch.epoch, step % 5)
    state = first.state_dict()
    assert state == {"epoch": done // 5, "step": done % 5}

    resumed = [OrderedSampler(33, 6, micro, 4, rank, world) for rank in range(world)]
    for sampler in resumed:
        sampler.load_state_dict(state)
    rest = [batch for sampler in resumed for batch in sampler]
    expected = [batch for batch in batches[done:] if batch.epoch == done // 5]
    found = sorted(rest, key=lambda batch: batch.index)
    assert np.concatenate([batch.examples for batch in found]).tolist() == (
        np.concatenate([batch.examples for batch in expected]).tolist()
    )


@pytest.mark.parametrize("world", [1, 2, 3, 4, 6])
def test_in_order_gives_every_example_once(world: int) -> None:
    ranks = [in_order(50, 4, rank, world) for rank in range(world)]
    examples = np.concatenate([batch.examples for rank in ranks for batch in rank])
    assert sorted(examples.tolist()) == list(range(50))
    assert sorted(batch.index for rank in ranks for batch in rank) == list(range(13))
    assert in_order(0, 4) == []


@pytest.mark.parametrize(("number", "size", "devices"), [(10, 4, 2), (16, 4, 2), (3, 4, 2), (7, 2, 3), (5, 8, 1)])
def test_even_batches_come_to_every_device_as_often(number, size, devices):
    """With spread weights a device that comes once more than the others waits for ever."""
    shares = [in_order(number, size, rank, devices, even=True) for rank in range(devices)]
    assert len({len(share) for share in shares}) == 1
    seen = sorted(int(example) for share in shares for batch in share for example in batch.examples)
    batch = min(size, number // devices)
    assert seen == list(range(number - number % (batch * devices))) and seen
