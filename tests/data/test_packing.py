"""Examples: the published builder's rules, and not one token lost."""

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.packing import pack_examples


def offsets(documents):
    """Line and document offsets of documents given as lists of line lengths."""
    lines = np.cumsum([0, *(length for document in documents for length in document)])
    return lines, np.cumsum([0, *(len(document) for document in documents)])


class Rolls(random.Random):
    """Chance with the numbers written down."""

    def __init__(self, rolls):
        super().__init__(0)
        self.rolls = list(rolls)

    def random(self):
        return self.rolls.pop(0)


def pack_with(monkeypatch, documents, max_length, rolls):
    chance = Rolls(rolls)
    monkeypatch.setattr("electra_lab.data.packing.random.Random", lambda seed: chance)
    return pack_examples(*offsets(documents), max_length, seed=0).tolist()


def test_lines_fill_a_until_half_and_the_rest_is_b(monkeypatch):
    # L = 23: target 23, half = 10. Lines of 4, 4, 4, 4, 4, 4: after six, 24 >= 23, an example is due.
    # A: 4, then 8 < 10 goes to A, then 12 >= 10 and a roll of .9 sends it to B. B ends at 23 - 3 = 20 tokens.
    # What is left, 4 tokens, is the document's last example: one line, so all A.
    examples = pack_with(monkeypatch, [[4] * 6], 23, [0.5, 0.9, 0.9, 0.5, 0.9])
    assert examples == [[0, 8, 20], [20, 24, 24]]


def test_half_the_time_one_more_line_goes_to_a(monkeypatch):
    examples = pack_with(monkeypatch, [[4] * 6], 23, [0.5, 0.1, 0.9, 0.5, 0.9])
    assert examples == [[0, 12, 20], [20, 24, 24]]


def test_one_in_ten_has_a_single_segment(monkeypatch):
    examples = pack_with(monkeypatch, [[4] * 6], 23, [0.05, 0.9, 0.5, 0.9])
    assert examples == [[0, 21, 21], [21, 24, 24]]  # [CLS] and one [SEP]: 21 of 23 tokens


def test_a_line_longer_than_an_example_is_cut_not_dropped(monkeypatch):
    examples = pack_with(monkeypatch, [[50]], 20, [0.5, 0.9] * 3)
    assert examples == [[0, 18, 18], [18, 36, 36], [36, 50, 50]]


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    documents=st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=8), min_size=1, max_size=6),
    max_length=st.integers(8, 40),
    seed=st.integers(0, 999),
)
def test_no_token_is_lost_and_no_example_crosses_a_document(documents, max_length, seed):
    examples = pack_examples(*offsets(documents), max_length, seed)
    assert examples[0, 0] == 0 and examples[-1, 2] == sum(map(sum, documents))
    assert (examples[1:, 0] == examples[:-1, 2]).all()
    assert (examples[:, 0] < examples[:, 1]).all() and (examples[:, 1] <= examples[:, 2]).all()
    has_b = examples[:, 1] < examples[:, 2]
    assert (examples[:, 2] - examples[:, 0] + np.where(has_b, 3, 2) <= max_length).all()
    ends = np.cumsum([sum(document) for document in documents])
    assert (
        np.searchsorted(ends, examples[:, 0], side="right") == np.searchsorted(ends, examples[:, 2] - 1, "right")
    ).all()


def test_published_rates_of_single_segments_and_short_targets():
    chance = random.Random(0)
    documents = [[chance.randint(5, 20) for _ in range(5000)]]
    examples = pack_examples(*offsets(documents), 64, seed=0)
    text = examples[:, 2] - examples[:, 0]
    single = (examples[:, 1] == examples[:, 2]).mean()
    assert 0.08 < single < 0.14  # a tenth, and short examples of one line
    assert 0.025 < (text < 50).mean() < 0.06  # 5 % have a random target, most of them a short one
    assert text.mean() > 57  # of 61 or 62 places
