"""Character n-grams of messages as numbers: what a linear model beside the encoder reads.

An n-gram is a number because it is hashed (Weinberger et al. 2009, https://arxiv.org/abs/0902.2206), so there is no
vocabulary to learn or to save, and a spelling that no tokenizer knows has n-grams all the same.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from electra_lab.batches import NGRAM_BUCKETS
from electra_lab.data.chance import hash64
from electra_lab.data.text import for_model

ORDERS = (1, 2, 3)  # characters


class NGrams(NamedTuple):
    """The n-grams of M messages one after another, N of all together, each once a message."""

    ids: NDArray[np.int64]  # (N,) 0..NGRAM_BUCKETS-1
    weights: NDArray[np.float32]  # (N,) 1 + ln(count), over the length of the message's vector of these
    message: NDArray[np.int64]  # (N,) 0..M-1, rising


def ngrams(texts: Sequence[str]) -> NGrams:
    """The hashed 1- to 3-grams within the words of every text, in lower case.

    A word begins and ends with a space, so that its first and last letters are told apart, and no n-gram goes from one
    word to the next. The weights of a text have Euclidean length 1, as in TF-IDF with sublinear counts and no IDF.
    """
    characters, word, message = _characters(texts)
    numbers, owners = [], []
    for order in ORDERS:
        starts = np.arange(max(0, len(characters) - order + 1))
        starts = starts[word[starts] == word[starts + order - 1]]
        if order == 1:
            starts = starts[characters[starts] != ord(" ")]
        hashed = hash64(order, *(characters[starts + place] for place in range(order)))
        numbers.append((hashed % np.uint64(NGRAM_BUCKETS)).astype(np.int64))
        owners.append(message[starts])
    both, counts = np.unique(np.concatenate(owners) * NGRAM_BUCKETS + np.concatenate(numbers), return_counts=True)
    owner = both // NGRAM_BUCKETS
    weights = 1 + np.log(counts)
    length = np.sqrt(np.bincount(owner, weights**2, minlength=len(texts)))
    return NGrams(both % NGRAM_BUCKETS, (weights / length[owner]).astype(np.float32), owner)


def _characters(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """The code points of all words, each with a space before and after; of each the word and the message."""
    words = [(number, f" {word} ") for number, text in enumerate(texts) for word in for_model(text).lower().split()]
    lengths = [len(word) for _, word in words]
    joined = "".join(word for _, word in words).encode("utf-32-le")
    return (
        np.frombuffer(joined, dtype="<u4").astype(np.uint64),
        np.repeat(np.arange(len(words)), lengths),
        np.repeat(np.array([number for number, _ in words], dtype=np.int64), lengths),
    )
