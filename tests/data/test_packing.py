"""Examples: the published builder's rules, and not one token lost."""

import itertools
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.packing import pack_examples
from tests import reference_google_data as published


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

    def randint(self, low, high):
        return low + int(self.random() * (high - low + 1))


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


def published_segments(documents, max_length, chance):
    """Examples of the published builder as (tokens of A, tokens of B), tokens counted through all documents."""
    numbered = itertools.count()
    sentences = [[[next(numbered) for _ in range(length)] for length in document] for document in documents]
    return [tuple(example) for example in published.build_examples(sentences, max_length, chance)]


def segments(examples):
    """Ours in the same form."""
    return [(list(range(start, split)), list(range(split, end))) for start, split, end in np.asarray(examples).tolist()]


def test_ours_are_the_published_examples_where_nothing_overflows(monkeypatch):
    documents = [[4, 4, 4], [5, 5], [3, 3, 3, 3]]
    rolls = [0.5, 0.9, 0.9]  # two segments; the third sentence of the first document to B; no short target
    rolls += [0.05, 0.01, 0.3]  # the second document in one segment; a short target follows, 5 + int(.3 x 19) = 10
    rolls += [0.5, 0.9]  # half of it is (10 - 3) // 2 = 3: one sentence to A, without a toss
    expected = [(0, 8, 12), (12, 22, 22), (22, 25, 34)]
    assert published_segments(documents, 23, Rolls(rolls)) == segments(expected)
    assert [tuple(row) for row in pack_with(monkeypatch, documents, 23, rolls)] == expected


def test_what_the_published_builder_throws_away_begins_our_next_example(monkeypatch):
    theirs = published_segments([[4] * 6], 23, Rolls([0.5, 0.9, 0.9]))
    assert theirs == segments([(0, 8, 20)])  # 24 tokens come to 20 places, tokens 20 to 23 are gone
    assert segments(pack_with(monkeypatch, [[4] * 6], 23, [0.5, 0.9, 0.9, 0.5, 0.9])) == [
        *theirs,
        ([20, 21, 22, 23], []),
    ]
    theirs = published_segments([[50]], 20, Rolls([0.5, 0.9]))
    assert theirs == segments([(0, 18, 18)])  # of a long line one example is left
    assert len(pack_with(monkeypatch, [[50]], 20, [0.5, 0.9] * 3)) == 3


def test_the_published_builder_may_put_a_later_sentence_first_and_ours_does_not(monkeypatch):
    theirs = published_segments([[4, 9, 3]], 23, Rolls([0.5, 0.9, 0.9]))
    assert theirs == [([0, 1, 2, 3, 13, 14, 15], list(range(4, 13)))]  # 4 + 3 < 10, so the third goes to A
    assert pack_with(monkeypatch, [[4, 9, 3]], 23, [0.5, 0.9, 0.9]) == [[0, 4, 16]]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    documents=st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=6), min_size=1, max_size=8),
    seed=st.integers(0, 999),
)
def test_the_same_chance_gives_the_published_examples(documents, seed):
    """Of documents that fit into an example; of others the first example, before anything has been carried on."""
    theirs = published_segments(documents, 30, random.Random(seed))
    ours = segments(pack_examples(*offsets(documents), 30, seed))
    fit = all(sum(document) <= 27 for document in documents)
    assert len(ours) == len(theirs) if fit else len(ours) >= len(theirs)
    for (a, b), (first, second) in zip(ours if fit else ours[:1], theirs if fit else theirs[:1], strict=True):
        if first + second == sorted(first + second):
            assert (a, b) == (first, second)
        elif fit:  # a later sentence stands before an earlier one: the same tokens, in their order
            assert a + b == sorted(first + second)


def test_the_published_builder_loses_tokens_and_ours_none():
    """A full example of two segments has three tokens fewer than were waited for, and the last sentence hangs over."""
    chance = random.Random(0)
    documents = [[chance.randint(5, 40) for _ in range(30)] for _ in range(200)]
    theirs = sum(len(a) + len(b) for a, b in published_segments(documents, 128, random.Random(0)))
    ours = sum(len(a) + len(b) for a, b in segments(pack_examples(*offsets(documents), 128, 0)))
    assert ours == sum(map(sum, documents))
    assert 0.88 < theirs / ours < 0.92  # .90
