"""Windows to measure speed on, real or made up, and the ways to put them together into batches."""

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from electra_lab.data.conversation import speaker_indices
from electra_lab.data.encoding import MARKS_PER_MESSAGE, ConversationEncoder, EncodedWindow
from electra_lab.data.formats import read_conversations
from electra_lab.data.wordpiece import NUM_SPEAKERS, SPECIAL_TOKENS, train_wordpiece
from electra_lab.tokenizer import load_tokenizer

MESSAGES, STRIDE = 10, 5  # of a window; to the next one

# Tokens of a window of ten messages of Korean chat (HuLiC, KoELECTRA's tokenizer): mean 128, 5 % above 192, 1 % above
# 231, none above 308. The logarithms are normal: these two give 128, 192 and 231.
_LOG_MEAN, _LOG_SPREAD, _LONGEST = 4.816, 0.268, 308

Batches = list[NDArray[np.int64]]  # which windows stand together


def windows_of(
    paths: Sequence[str], tokenizer: str | None, vocabulary_size: int, number: int, max_length: int = 512
) -> tuple[list[EncodedWindow], int]:
    """Some windows of ten messages, drawn from the conversations at random, and the size of the vocabulary.

    Args:
        paths: files or folders of conversations.
        tokenizer: name or folder; None: one is trained on the messages.
        vocabulary_size: of that one, at most.
        number: of windows.
        max_length: tokens of one.
    """
    conversations = list(read_conversations(list(paths)))
    texts = [message.text for conversation in conversations for message in conversation.messages]
    encoder = _encoder(tokenizer, texts, vocabulary_size, max_length)
    windows = []
    for conversation in conversations:
        ids = encoder.encode_texts([message.text for message in conversation.messages])
        speakers = speaker_indices(conversation)
        windows += [(ids[start:end], speakers[start:end]) for start, end in encoder.windows(ids)]
    drawn = np.random.default_rng(0).permutation(len(windows))[:number].tolist()
    return [encoder.encode_window(*windows[index]) for index in drawn], len(encoder.tokenizer)


def made_up_windows(number: int, vocabulary_size: int, max_length: int = _LONGEST) -> list[EncodedWindow]:
    """Windows of ten messages with the lengths of real ones, evenly over their distribution, and any tokens."""
    rng = np.random.default_rng(0)
    encoder = _encoder(None, ["."], vocabulary_size, max_length)
    normal = NormalDist(_LOG_MEAN, _LOG_SPREAD)
    windows = []
    for share in rng.permutation((np.arange(number) + 0.5) / number):
        length = min(_LONGEST, max_length, round(np.exp(normal.inv_cdf(share))))
        lengths = rng.multinomial(max(0, length - 1 - MESSAGES * MARKS_PER_MESSAGE), [1 / MESSAGES] * MESSAGES)
        ids = [rng.integers(len(SPECIAL_TOKENS), vocabulary_size, size) for size in lengths]
        windows.append(encoder.encode_window(ids, [message % NUM_SPEAKERS for message in range(MESSAGES)]))
    return windows


def ways(lengths: NDArray[np.int64], size: int) -> dict[str, Batches]:
    """Batches of `size` windows, of fewer, of more, of as many tokens as these have; as they come and by length."""
    as_they_come, by_length = np.arange(len(lengths)), np.argsort(lengths, kind="stable")
    budget = int(size * lengths.mean())
    return {
        f"{size} windows": runs(as_they_come, size),
        f"{size} windows, by length": runs(by_length, size),
        f"{budget:,} tokens": within(as_they_come, lengths, budget),
        f"{budget:,} tokens, by length": within(by_length, lengths, budget),
        **{f"{other} windows": runs(as_they_come, other) for other in (max(1, size // 4), 4 * size)},
    }


def runs(order: NDArray[np.int64], size: int) -> Batches:
    """Always `size` neighbours, the last ones fewer."""
    return [order[start : start + size] for start in range(0, len(order), size)]


def within(order: NDArray[np.int64], lengths: NDArray[np.int64], budget: int) -> Batches:
    """As many neighbours as have `budget` tokens together, at least one."""
    batches: list[list[int]] = []
    tokens = budget
    for window in order.tolist():
        tokens += int(lengths[window])
        if tokens > budget:
            batches.append([])
            tokens = int(lengths[window])
        batches[-1].append(window)
    return [np.array(batch) for batch in batches]


def _encoder(tokenizer: str | None, texts: Sequence[str], vocabulary_size: int, max_length: int) -> ConversationEncoder:
    with TemporaryDirectory() as folder:
        if tokenizer is None:
            train_wordpiece(texts, vocabulary_size, Path(folder))
        loaded = load_tokenizer(tokenizer or folder, NUM_SPEAKERS)
    return ConversationEncoder(loaded, MESSAGES, STRIDE, max_length, NUM_SPEAKERS)
