"""Messages -> token ids, and the message each token belongs to: the one path for training and serving.

Letters: W windows, M messages, T tokens of all windows together; k messages of one window.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from electra_lab.batches import ConversationBatch
from electra_lab.data.ngrams import ngrams
from electra_lab.data.text import for_model
from electra_lab.data.windows import Bounds, fitted, window_bounds
from electra_lab.tokenizer import MESSAGE_TOKEN, speaker_tokens

Ids = NDArray[np.int64]

LONGEST_MESSAGE = 128  # tokens; one message must not push the others out of their window
MARKS_PER_MESSAGE = 3  # [MSG] [SPEAKER_k] ... [SEP]
CONTEXTS = ("window", "message")


class EncodedWindow(NamedTuple):
    """The tokens of one window."""

    input_ids: Ids  # (T,)
    sequences: list[int]  # tokens of each part that the encoder reads by itself; their sum is T
    message_of_token: Ids  # (T,) 0..k-1 within the window, -1 for [CLS] and [SEP]


class ConversationEncoder:
    """`[CLS] [MSG] [SPEAKER_k] text [SEP] [MSG] [SPEAKER_k] text [SEP]`, put together by id.

    Each message is tokenised once and alone, so that control tokens somebody types stay text.

    Args:
        tokenizer: from `load_tokenizer` with at least `num_speakers` speakers.
        window: messages a window.
        stride: messages from one window's first to the next one's.
        max_length: tokens a window may have; longer windows get fewer messages, and more windows.
        num_speakers: speakers told apart; the last token is shared by all beyond.
        context: "window" reads a window's messages together; "message" each by itself, `[CLS] [MSG] [SPEAKER_k] text
            [SEP]`, so that a window is only what is decided about.
        ngrams: whether the batches carry the messages' character n-grams too.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        window: int = 10,
        stride: int = 5,
        max_length: int = 512,
        num_speakers: int = 2,
        context: str = "window",
        ngrams: bool = False,
    ) -> None:
        if context not in CONTEXTS:
            raise ValueError(f"context must be one of {', '.join(CONTEXTS)}, got {context!r}")
        marks = [MESSAGE_TOKEN, *speaker_tokens(num_speakers)]
        if unknown := [mark for mark in marks if mark not in tokenizer.all_special_tokens]:
            raise ValueError(f"the tokenizer lacks {' '.join(unknown)}; load it for {num_speakers} speakers")
        if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
            raise ValueError("the tokenizer has no [CLS] or no [SEP]; take the tokenizer of an encoder such as ELECTRA")
        if max_length < 16:
            raise ValueError(f"max_length {max_length} leaves no room for messages; use 16 tokens or more")
        window_bounds(0, window, stride)  # a stride that leaves messages out is refused here
        self.tokenizer = tokenizer
        self.window = window
        self.stride = stride
        self.max_length = max_length
        self.max_message_tokens = min(LONGEST_MESSAGE, max_length - 1 - MARKS_PER_MESSAGE)
        self.context = context
        self.ngrams = ngrams
        # what [CLS] leaves of a window, in tokens; messages that are read alone fit, however many there are
        self.window_budget = max_length - 1 if context == "window" else window * max_length
        self.num_capped = 0  # messages longer than max_message_tokens, so far
        self.num_shortened = 0  # windows longer than max_length, so far
        vocabulary = tokenizer.get_vocab()
        message, *speakers = (vocabulary[mark] for mark in marks)
        self._cls = np.array([tokenizer.cls_token_id])
        self._sep = np.array([tokenizer.sep_token_id])
        self._heads = [np.array([message, speaker]) for speaker in speakers]
        self._is_control = _control_table(tokenizer)

    def encode_texts(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of every text alone, without marks; of a long text the head and the tail, counted in `num_capped`."""
        ids, is_capped = self.encode_and_cap(texts)
        self.num_capped += sum(is_capped)
        return ids

    def encode_and_cap(self, texts: Sequence[str]) -> tuple[list[Ids], list[bool]]:
        """The same, and of which texts the middle was left out; counts nothing."""
        all_ids = [np.asarray(ids, dtype=np.int64) for ids in self._tokenised(texts)["input_ids"]]
        longest = self.max_message_tokens
        is_capped = [len(ids) > longest and int((~self._is_control[ids]).sum()) > longest for ids in all_ids]
        return [ids[self._kept(ids)] for ids in all_ids], is_capped

    def token_spans(self, texts: Sequence[str]) -> list[Ids]:
        """(T, 2) of every text: the characters of `for_model(text)` that each token of `encode_texts` stands for."""
        batch = self._tokenised(texts, return_offsets_mapping=True)
        return [
            np.asarray(spans, dtype=np.int64).reshape(-1, 2)[self._kept(np.asarray(ids, dtype=np.int64))]
            for ids, spans in zip(batch["input_ids"], batch["offset_mapping"], strict=True)
        ]

    def windows(self, message_ids: Sequence[Ids]) -> list[Bounds]:
        """The windows of a conversation, each within `max_length`; shortened ones are counted."""
        bounds = window_bounds(len(message_ids), self.window, self.stride)
        lengths = self.lengths(message_ids)
        self.num_shortened += sum(sum(lengths[start:end]) > self.window_budget for start, end in bounds)
        return fitted(bounds, lengths, self.window_budget)

    def lengths(self, message_ids: Sequence[Ids]) -> list[int]:
        """Tokens that each message takes in a window, its marks included."""
        marks = MARKS_PER_MESSAGE + (self.context == "message")
        return [len(ids) + marks for ids in message_ids]

    def encode_window(self, message_ids: Sequence[Ids], speakers: Sequence[int]) -> EncodedWindow:
        """One window of messages; speakers beyond the last token share it."""
        alone = self.context == "message"
        parts, owners = [], []
        for number, (ids, speaker) in enumerate(zip(message_ids, speakers, strict=True)):
            before = self._cls if alone or number == 0 else self._cls[:0]
            parts += [before, self._heads[min(speaker, len(self._heads) - 1)], ids, self._sep]
            owners += [-1] * len(before) + [number] * (len(ids) + 2) + [-1]
        sequences = self.lengths(message_ids) if alone else [len(owners)]
        return EncodedWindow(np.concatenate(parts), sequences, np.array(owners))

    def _tokenised(self, texts: Sequence[str], return_offsets_mapping: bool = False) -> Mapping[str, Any]:
        if not texts:
            return {"input_ids": [], "offset_mapping": []}
        return self.tokenizer(
            [for_model(text) for text in texts],
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=return_offsets_mapping,
            verbose=False,
        )

    def _kept(self, ids: Ids) -> Ids:
        """Which tokens of a text stay: none of control, and of a long text the head and the tail."""
        # a Unigram vocabulary holds "<s>" as an ordinary piece too, so split_special_tokens alone is not enough
        text = np.flatnonzero(~self._is_control[ids])
        if len(text) <= self.max_message_tokens:
            return text
        head = (self.max_message_tokens + 1) // 2
        return np.concatenate([text[:head], text[len(text) - (self.max_message_tokens - head) :]])


def starts_of_words(tokenizer: PreTrainedTokenizerFast) -> NDArray[np.bool_]:
    """For every id of the vocabulary, whether it begins a word (`##` continues one, `▁` and `Ġ` begin one)."""
    vocabulary = tokenizer.get_vocab()
    is_wordpiece = any(token.startswith("##") for token in vocabulary)
    starts = np.zeros(_num_ids(tokenizer), dtype=bool)
    for token, number in vocabulary.items():
        starts[number] = not token.startswith("##") if is_wordpiece else token.startswith(("▁", "Ġ"))
    return starts


def pack(
    windows: Sequence[EncodedWindow],
    message_labels: Sequence[Sequence[int]],
    message_ids: Sequence[Sequence[int]],
    conversations: Sequence[int],
    position: tuple[int, int] = (0, 0),
    texts: Sequence[str] = (),
) -> ConversationBatch:
    """Windows one after another, without padding.

    Args:
        windows: (W,) the encoded windows.
        message_labels: for each window its messages' labels: 1 anomalous, 0 not, -1 unknown.
        message_ids: for each window its messages' numbers in the split.
        conversations: (W,) the conversation of each window.
        position: (epoch, micro-batch) that chance starts from.
        texts: (M,) of all messages, for their character n-grams; none without.
    """
    grams = ngrams(texts)
    sequences = [length for window in windows for length in window.sequences]
    counts = [len(labels) for labels in message_labels]
    owners = [
        np.where(window.message_of_token < 0, -1, window.message_of_token + first)
        for window, first in zip(windows, np.cumsum([0, *counts[:-1]]), strict=True)
    ]
    return ConversationBatch(
        input_ids=torch.from_numpy(np.concatenate([window.input_ids for window in windows])),
        position_ids=torch.from_numpy(np.concatenate([np.arange(length) for length in sequences])),
        cu_seq_lens=torch.tensor([0, *np.cumsum(sequences).tolist()], dtype=torch.int32),
        max_length=max(sequences),
        window_of_token=torch.from_numpy(
            np.repeat(np.arange(len(windows)), [len(window.input_ids) for window in windows])
        ),
        message_of_token=torch.from_numpy(np.concatenate(owners)),
        window_of_message=torch.from_numpy(np.repeat(np.arange(len(counts)), counts)),
        message_labels=torch.tensor([label for labels in message_labels for label in labels]),
        window_labels=torch.tensor([_window_label(labels) for labels in message_labels]),
        message_ids=torch.tensor([number for numbers in message_ids for number in numbers]),
        conversation_of_window=torch.tensor(list(conversations)),
        ngram_ids=torch.from_numpy(grams.ids),
        ngram_weights=torch.from_numpy(grams.weights),
        message_of_ngram=torch.from_numpy(grams.message),
        position=position,
    )


def pack_unlabelled(
    encoder: ConversationEncoder,
    texts: Sequence[str],
    message_ids: Sequence[Ids],
    speakers: Sequence[int],
    bounds: Sequence[Bounds],
) -> ConversationBatch:
    """Windows of one conversation, of which nothing is known but what was said, by whom."""
    return pack(
        [encoder.encode_window(message_ids[start:end], speakers[start:end]) for start, end in bounds],
        message_labels=[[-1] * (end - start) for start, end in bounds],
        message_ids=[range(start, end) for start, end in bounds],
        conversations=[0] * len(bounds),
        texts=[text for start, end in bounds for text in texts[start:end]] if encoder.ngrams else (),
    )


def _window_label(labels: Sequence[int]) -> int:
    if 1 in labels:
        return 1
    return -1 if -1 in labels else 0


def _control_table(tokenizer: PreTrainedTokenizerFast) -> NDArray[np.bool_]:
    """For every id of the vocabulary, whether it is a control token; [UNK] is text."""
    control = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    return np.isin(np.arange(_num_ids(tokenizer)), list(control))


def _num_ids(tokenizer: PreTrainedTokenizerFast) -> int:
    return max(tokenizer.get_vocab().values()) + 1  # some vocabularies have holes
