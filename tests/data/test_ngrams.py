import unicodedata
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.batches import NGRAM_BUCKETS
from electra_lab.data.ngrams import ORDERS, ngrams
from electra_lab.data.text import for_model

TEXTS = st.text(alphabet="가나다라ab AB.ㅋ\n\u200b😀", max_size=12)


def spelled(text: str) -> Counter[str]:
    """The n-grams themselves, by a loop."""
    found: Counter[str] = Counter()
    for word in (f" {word} " for word in for_model(text).lower().split()):
        for order in ORDERS:
            found.update(word[start : start + order] for start in range(len(word) - order + 1))
    del found[" "]
    return found


def test_by_hand() -> None:
    # " 가 ": 가, " 가", "가 ", " 가 "; twice the same word: twice each
    once, twice, both = (ngrams([text]) for text in ("가", "가 가", "가 나"))
    assert len(once.ids) == 4 and np.allclose(once.weights, 0.5)
    assert once.ids.tolist() == twice.ids.tolist() and np.allclose(twice.weights, 0.5)
    assert len(both.ids) == 8 and {*once.ids} < {*both.ids} and np.allclose(both.weights, 8**-0.5)
    # "가가 가": 가 three times, " 가" and "가 " twice, 가가, " 가가", "가가 ", " 가 " once
    counts = sorted(ngrams(["가가 가"]).weights.tolist())
    expected = np.array([1, 1, 1, 1, 1 + np.log(2), 1 + np.log(2), 1 + np.log(3)])
    assert np.allclose(counts, expected / np.linalg.norm(expected))


@given(st.lists(TEXTS, max_size=6))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_what_is_hashed_is_what_is_spelled(texts: list[str]) -> None:
    """As many numbers as n-grams, whatever stands beside them; the weights are those of TF-IDF without IDF."""
    found = ngrams(texts)
    assert (np.diff(found.message) >= 0).all()
    for message, text in enumerate(texts):
        mine = found.message == message
        ids, weights = found.ids[mine], found.weights[mine]
        counts = spelled(text)
        expected = 1 + np.log(np.array([*counts.values()], dtype=float))
        assert len(ids) == len(counts) == len(set(ids.tolist()))
        assert np.allclose(sorted(weights), sorted(expected / np.linalg.norm(expected)) if counts else [])
        alone = ngrams([text])
        assert (alone.ids == ids).all() and (alone.weights == weights).all()  # neighbours change nothing


def test_one_spelling_of_what_looks_the_same() -> None:
    plain = ngrams(["한글 Ice"])
    for text in (unicodedata.normalize("NFD", "한글 Ice"), "한\u200b글  iCE\n"):
        same = ngrams([text])
        assert (same.ids == plain.ids).all() and (same.weights == plain.weights).all()


def test_numbers_hardly_ever_meet() -> None:
    """Of 20,000 n-grams in 2^20 numbers about 190 meet another; were it a worse hash, many more would."""
    letters = [chr(0xAC00 + number) for number in range(10_000)]
    found = ngrams(letters).ids  # four of each: alone, with either space, with both
    assert found.min() >= 0 and found.max() < NGRAM_BUCKETS
    expected = NGRAM_BUCKETS * (1 - np.exp(-len(found) / NGRAM_BUCKETS))
    assert abs(len(set(found.tolist())) - expected) < 5 * np.sqrt(len(found) - expected)


def test_nothing_has_no_ngrams() -> None:
    for texts in ([], [""], [" \n"]):
        assert [len(part) for part in ngrams(texts)] == [0, 0, 0]
    assert ngrams(["", "가", ""]).message.tolist() == [1] * 4


def test_the_numbers_never_change() -> None:
    """The weights of a saved detector are for these."""
    assert ngrams(["가"]).ids.tolist() == [60708, 464431, 833017, 976432]
