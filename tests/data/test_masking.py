"""Masks: counts, rates, and what may never be masked."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.masking import choose_positions, max_masked, num_masked


def candidates_of(lengths, max_length):
    """Text tokens of `[CLS] text [SEP] [PAD] ...` rows."""
    columns = np.arange(max_length)[None]
    return (columns > 0) & (columns < np.asarray(lengths)[:, None] - 1)


def test_slots_are_those_of_the_published_configuration():
    assert max_masked(128, 0.15) == 19
    assert max_masked(512, 0.15) == 79
    assert max_masked(512, 0.25) == 130


def test_counts_round_half_to_even_and_stay_within_bounds():
    # .15 x 10 = 1.5 -> 2, x 30 = 4.5 -> 4, x 3 = .45 -> at least 1, x 128 = 19.2 -> 19 = all slots
    assert num_masked(np.array([10, 30, 3, 128]), 128, 0.15).tolist() == [2, 4, 1, 19]


@settings(max_examples=200, derandomize=True, deadline=None)
@given(lengths=st.lists(st.integers(3, 24), min_size=1, max_size=6), epoch=st.integers(0, 3), seed=st.integers(0, 99))
def test_chosen_positions_are_distinct_text_tokens_in_the_right_number(lengths, epoch, seed):
    lengths = np.array(lengths)
    candidates = candidates_of(lengths, 24)
    counts = num_masked(lengths, 24, 0.15)
    slots = max_masked(24, 0.15)
    positions, weights, hidden = choose_positions(candidates, counts, slots, seed, epoch, np.arange(len(lengths)))
    for row, length in enumerate(lengths):
        chosen = positions[row][weights[row] == 1]
        assert len(set(chosen)) == len(chosen) == min(counts[row], length - 2)
        assert candidates[row][chosen].all()  # a short row never has its [PAD] masked (gluon-nlp#1324)
        assert (positions[row][weights[row] == 0] == 0).all()
        assert not hidden[row][weights[row] == 0].any()


def test_a_row_without_text_is_left_alone():
    positions, weights, hidden = choose_positions(
        np.zeros((1, 8), dtype=bool), np.array([1]), 2, seed=0, epoch=0, examples=np.array([0])
    )
    assert weights.sum() == 0 and positions.sum() == 0 and not hidden.any()


def test_85_percent_are_hidden_and_every_position_is_equally_likely():
    rows, length = 4000, 22
    candidates = candidates_of([length] * rows, length)
    positions, weights, hidden = choose_positions(
        candidates, np.full(rows, 3), 3, seed=1, epoch=0, examples=np.arange(rows)
    )
    share = hidden.sum() / weights.sum()
    assert 0.84 < share < 0.86  # 12,000 draws: .85 +- .0033
    counts = np.bincount(positions.ravel(), minlength=length)[1:-1]
    assert counts.min() > 510 and counts.max() < 690  # 600 each, +- 24


def test_masks_depend_on_seed_epoch_and_example_alone():
    candidates = candidates_of([20, 20, 20], 20)

    def choose(epoch, examples, seed=0):
        rows = candidates[: len(examples)]
        counts = np.full(len(examples), 3)
        return choose_positions(rows, counts, 3, seed, epoch, np.array(examples))[0].tolist()

    together = choose(0, [5, 6, 7])
    assert together[1] == choose(0, [6])[0]  # whoever stands beside it
    assert choose(0, [6]) != choose(1, [6])  # anew each epoch
    assert choose(0, [6]) != choose(0, [6], seed=1)
