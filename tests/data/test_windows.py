import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.windows import fitted, window_bounds


@pytest.mark.parametrize(
    ("num_messages", "bounds"),
    [
        (0, []),
        (1, [(0, 1)]),
        (3, [(0, 3)]),  # fewer than a window: one window, not none
        (10, [(0, 10)]),
        (13, [(0, 10), (3, 13)]),  # the tail is covered, the last window is whole
        (15, [(0, 10), (5, 15)]),
        (17, [(0, 10), (5, 15), (7, 17)]),
    ],
)
def test_window_bounds(num_messages: int, bounds: list[tuple[int, int]]) -> None:
    assert window_bounds(num_messages, 10, 5) == bounds


@given(st.integers(1, 200), st.integers(1, 20), st.data())
@settings(derandomize=True, deadline=None)
def test_every_message_is_covered(num_messages: int, size: int, data: st.DataObject) -> None:
    bounds = window_bounds(num_messages, size, data.draw(st.integers(1, size)))
    assert {message for start, end in bounds for message in range(start, end)} == set(range(num_messages))
    assert all(end - start == min(size, num_messages) for start, end in bounds)
    assert sorted(set(bounds)) == bounds


@pytest.mark.parametrize("stride", [0, 11])
def test_stride_that_leaves_messages_out_is_refused(stride: int) -> None:
    with pytest.raises(ValueError, match="leaves messages out"):
        window_bounds(30, 10, stride)


def test_long_windows_are_halved_and_shared_halves_kept_once() -> None:
    lengths = [10] * 15
    assert fitted([(0, 10), (5, 15)], lengths, 100) == [(0, 10), (5, 15)]
    assert fitted([(0, 10), (5, 15)], lengths, 99) == [(0, 5), (5, 10), (10, 15)]
    assert fitted([(0, 3)], [1, 1, 8], 8) == [(0, 1), (1, 2), (2, 3)]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(50, 200))
@settings(derandomize=True, deadline=None)
def test_fitted_covers_everything_within_the_budget(lengths: list[int], budget: int) -> None:
    bounds = fitted(window_bounds(len(lengths)), lengths, budget)
    assert {message for start, end in bounds for message in range(start, end)} == set(range(len(lengths)))
    assert all(sum(lengths[start:end]) <= budget for start, end in bounds)


def test_message_longer_than_the_budget_is_an_error() -> None:
    with pytest.raises(ValueError, match="51 tokens"):
        fitted([(0, 1)], [51], 50)
