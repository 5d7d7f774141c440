"""Masks: counts, rates, and what may never be masked."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.masking import choose_positions, max_masked, num_masked
from electra_lab.data.words import first_of_word
from tests import reference_google as google
from tests import reference_google_data as published


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


@pytest.mark.parametrize(("max_length", "probability"), [(24, 0.15), (128, 0.15), (512, 0.15), (512, 0.25)])
def test_counts_are_the_published_ones_at_every_length(max_length, probability):
    lengths = np.arange(2, max_length + 1)
    attention_mask = (np.arange(max_length)[None] < lengths[:, None]).astype(np.int64)
    expected = google.num_to_mask(attention_mask, probability, max_masked(max_length, probability))
    assert num_masked(lengths, max_length, probability).tolist() == expected.tolist()


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


def test_masks_of_single_tokens_stay_what_they_were():
    """Recorded before whole words came: golden losses and runs that are resumed depend on every bit."""
    lengths = np.arange(3, 67)
    chosen = choose_positions(candidates_of(lengths, 66), num_masked(lengths, 66, 0.15), 10, 42, 3, np.arange(64) * 7)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in chosen)).hexdigest()
    assert [array.dtype.name for array in chosen] == ["int64", "float32", "bool"]
    assert digest[:16] == "f01c4ceb8a38212f"


def test_seven_percent_of_the_published_positions_are_drawn_twice_and_none_of_ours():
    """k draws of n positions: n (1 - (1 - 1/n)^k) different ones, of which 7.2 % more than once at L = 512."""
    rows, length = 4000, 512
    candidates = candidates_of([length] * rows, length)
    counts, slots = num_masked(np.full(rows, length), length, 0.15), max_masked(length, 0.15)
    theirs = published.draw_positions(candidates, counts, slots, np.random.default_rng(0))
    ours = choose_positions(candidates, counts, slots, 0, 0, np.arange(rows))[0]
    twice = {}
    for name, positions in (("theirs", theirs), ("ours", ours)):
        drawn = np.stack([np.bincount(row[row > 0], minlength=length) for row in positions])
        assert (drawn.sum(axis=1) == 77).all() and not drawn[~candidates].any()
        twice[name] = (drawn > 1).sum() / (drawn > 0).sum()
    assert 0.070 < twice["theirs"] < 0.074
    assert twice["ours"] == 0.0


class TestWholeWords:
    """Words are drawn, tokens are counted."""

    @staticmethod
    def choose(goes_on, counts, seed=0, epoch=0, examples=None):
        """Chosen positions of rows `[CLS] text [SEP]`, in the order in which they were drawn."""
        goes_on = np.asarray(goes_on, dtype=bool)
        rows, length = goes_on.shape
        examples = np.arange(rows) if examples is None else np.asarray(examples)
        counts = np.asarray(counts)
        candidates = candidates_of([length] * rows, length)
        return choose_positions(
            candidates, counts, int(counts.max()), seed, epoch, examples, words=first_of_word(goes_on)
        )

    @settings(max_examples=200, derandomize=True, deadline=None)
    @given(
        goes_on=st.lists(st.lists(st.booleans(), min_size=18, max_size=18), min_size=1, max_size=4),
        count=st.integers(1, 18),
        seed=st.integers(0, 99),
    )
    def test_counts_hold_and_at_most_one_word_is_chosen_in_part(self, goes_on, count, seed):
        goes_on = np.array([[False, False, *row[1:], False] for row in goes_on])  # [CLS], 18 tokens, [SEP]
        positions, weights, _ = self.choose(goes_on, [count] * len(goes_on), seed)
        assert (weights == 1).all()
        for row, chosen in enumerate(positions):
            assert len(set(chosen)) == count and chosen.min() >= 1 and chosen.max() <= 18  # never [CLS] or [SEP]
            parts = []
            for word in np.unique(first_of_word(goes_on)[row, 1:19]):
                tokens = np.flatnonzero(first_of_word(goes_on)[row] == word)
                taken = [token for token in tokens if token in chosen]
                if 0 < len(taken) < len(tokens):
                    parts.append(word)
                    assert taken == tokens[: len(taken)].tolist()  # its first pieces
            assert len(parts) <= 1

    def test_a_word_longer_than_the_count_gives_its_first_pieces(self):
        positions, weights, _ = self.choose([[0, 0, 1, 1, 1, 1, 1, 0]], [3])
        assert positions.tolist() == [[1, 2, 3]] and weights.tolist() == [[1, 1, 1]]

    def test_every_word_is_equally_likely_to_come_first_however_long_it_is(self):
        lengths = [1, 5, 2, 1, 3, 4]  # of the words
        row = [0, *(piece > 0 for length in lengths for piece in range(length)), 0]
        positions, _, _ = self.choose([row] * 6000, [1] * 6000)
        counts = np.bincount(positions[:, 0], minlength=len(row))
        starts = 1 + np.cumsum([0, *lengths[:-1]])
        assert counts[starts].sum() == 6000  # a word begins with its first piece
        assert counts[starts].min() > 880 and counts[starts].max() < 1120  # 1,000 each, +- 29

    def test_words_of_one_token_are_drawn_as_tokens_are(self):
        single = np.zeros((50, 20), dtype=bool)
        ours = self.choose(single, [4] * 50)
        tokens = choose_positions(candidates_of([20] * 50, 20), np.full(50, 4), 4, 0, 0, np.arange(50))
        assert all((a == b).all() for a, b in zip(ours, tokens, strict=True))

    def test_hidden_or_kept_is_drawn_for_each_token(self):
        row = [0, *[0, 1, 1, 1] * 5, 0]
        _, weights, hidden = self.choose([row] * 4000, [4] * 4000)
        assert 0.84 < hidden.sum() / weights.sum() < 0.86
        assert 0.50 < hidden.all(axis=1).mean() < 0.54  # .85^4 = .522, were it drawn for a word .85

    def test_choice_depends_on_seed_epoch_and_example_alone(self):
        row = [0, *[0, 1] * 9, 0]
        together = self.choose([row] * 3, [4] * 3, examples=[5, 6, 7])[0].tolist()
        assert together[1] == self.choose([row], [4], examples=[6])[0][0].tolist()
        assert together[1] != self.choose([row], [4], epoch=1, examples=[6])[0][0].tolist()
        assert together[1] != self.choose([row], [4], seed=1, examples=[6])[0][0].tolist()
