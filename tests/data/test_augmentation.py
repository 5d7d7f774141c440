import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.augmentation import (
    augmented,
    shuffled_in_blocks,
    with_masked_words,
    with_some_dropped,
    with_some_twice,
)
from electra_lab.data.encoding import MARKS_PER_MESSAGE

MASK = 0
STARTS = np.array([True] + [number % 3 != 0 for number in range(1, 100)])  # multiples of three continue a word


@given(
    st.lists(st.lists(st.integers(1, 99), max_size=6), min_size=1, max_size=14),
    st.integers(0, 2**32),
    st.integers(0, 9),
)
@settings(derandomize=True, deadline=None)
def test_a_message_stays_what_it_is_and_the_budget_holds(texts: list[list[int]], seed: int, slack: int) -> None:
    ids = [np.array(text, dtype=np.int64) for text in texts]
    budget = sum(len(text) + MARKS_PER_MESSAGE for text in ids) + slack
    messages, new = augmented(ids, np.random.default_rng(seed), MASK, STARTS, budget)
    assert len(messages) == len(new) >= min(3, len(ids))
    assert sum(len(text) + MARKS_PER_MESSAGE for text in new) <= budget
    for message, text in zip(messages, new, strict=True):
        assert all(token in (MASK, old) for token, old in zip(text, ids[message], strict=True))


@given(st.integers(0, 20), st.integers(0, 2**32))
@settings(derandomize=True, deadline=None)
def test_shuffled_in_blocks_of_three(num_messages: int, seed: int) -> None:
    messages = shuffled_in_blocks(num_messages, np.random.default_rng(seed))
    for start in range(0, num_messages, 3):
        block = range(start, min(start + 3, num_messages))
        assert sorted(messages[start : start + 3]) == list(block)


@pytest.mark.parametrize(("num_messages", "left"), [(1, 1), (2, 2), (3, 3), (4, 3), (9, 8), (10, 8), (15, 12)])
def test_a_fifth_is_dropped_but_three_stay(num_messages: int, left: int) -> None:
    messages = with_some_dropped(num_messages, np.random.default_rng(0))
    assert len(messages) == left and messages == sorted(set(messages))


def test_a_fifth_is_said_twice_as_far_as_it_fits() -> None:
    lengths = [10] * 10
    twice = with_some_twice(lengths, np.random.default_rng(0), budget=120)
    assert len(twice) == 12 and sorted(set(twice)) == list(range(10)) and twice == sorted(twice)
    assert len(with_some_twice(lengths, np.random.default_rng(0), budget=119)) == 11
    assert with_some_twice(lengths, np.random.default_rng(0), budget=109) == list(range(10))


def test_whole_words_are_masked() -> None:
    ids = [np.array([1, 3, 6, 2, 3]), np.array([], dtype=np.int64), np.array([3, 4, 5, 6])]
    words = [[0, 1, 2], [3, 4], [5], [6], [7, 8]]  # a message begins a word, whatever its first piece looks like
    seen = set()
    for seed in range(50):
        masked = with_masked_words(ids, np.random.default_rng(seed), MASK, STARTS)
        assert [len(text) for text in masked] == [5, 0, 4]
        places = np.flatnonzero(np.concatenate(masked) == MASK).tolist()
        assert places in words  # 15 % of five words: one
        seen.add(places[0])
    assert seen == {0, 3, 5, 6, 7}
    assert ids[0].tolist() == [1, 3, 6, 2, 3]  # the corpus itself is untouched


def test_fifteen_percent_of_the_words() -> None:
    masked = with_masked_words([np.ones(100, dtype=np.int64)], np.random.default_rng(0), MASK, STARTS)
    assert (masked[0] == MASK).sum() == 15


def test_window_without_any_text_can_be_masked() -> None:
    empty = np.array([], dtype=np.int64)
    assert [len(text) for text in with_masked_words([empty, empty], np.random.default_rng(0), MASK, STARTS)] == [0, 0]
