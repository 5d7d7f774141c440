"""The windows of labelled conversations, each message tokenised once, as a dataset whose key is a micro-batch."""

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from electra_lab.batches import ConversationBatch
from electra_lab.data.augmentation import augmented
from electra_lab.data.chance import generator
from electra_lab.data.conversation import Conversation, speaker_indices
from electra_lab.data.encoding import ConversationEncoder, EncodedWindow, pack, starts_of_words
from electra_lab.data.lexicon import occurrences, of_tokens, with_masked_tokens, without_words
from electra_lab.data.order import MicroBatch

_LEXICON = 1  # a stream of chance of its own


class LabelledWindows(Dataset[ConversationBatch]):
    """Windows in the order of the conversations; what a key gives depends on nothing but the key.

    Args:
        conversations: the conversations of one split.
        encoder: how messages become tokens.
        augmentation: share of the windows that are changed, anew in every epoch.
        seed: of the changes.
        lexicon: words that are hidden.
        lexicon_masking: share of their occurrences, anew in every epoch.
    """

    def __init__(
        self,
        conversations: Sequence[Conversation],
        encoder: ConversationEncoder,
        augmentation: float = 0.0,
        seed: int = 0,
        lexicon: Sequence[str] = (),
        lexicon_masking: float = 0.0,
    ) -> None:
        self.conversations = list(conversations)
        self.encoder = encoder
        self.augmentation = augmentation
        self.seed = seed
        self.lexicon_masking = lexicon_masking
        texts = [[message.text for message in conversation.messages] for conversation in conversations]
        self.message_ids = [encoder.encode_texts(messages) for messages in texts]
        self._texts = texts
        if lexicon_masking:
            self._occurrences = [occurrences(messages, lexicon) for messages in texts]
            self._of_tokens = [
                of_tokens(encoder, messages, found) for messages, found in zip(texts, self._occurrences, strict=True)
            ]
        self.speakers = [speaker_indices(conversation) for conversation in conversations]
        self.labels = [
            [-1 if message.label is None else message.label for message in conversation.messages]
            for conversation in conversations
        ]
        self.first_message = np.cumsum([0, *(len(conversation.messages) for conversation in conversations)]).tolist()
        self.windows = [
            (index, start, end) for index, ids in enumerate(self.message_ids) for start, end in encoder.windows(ids)
        ]
        self._starts_word = starts_of_words(encoder.tokenizer)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, key: MicroBatch) -> ConversationBatch:
        windows, labels, numbers, conversations, texts = [], [], [], [], []
        for example in key.examples.tolist():
            conversation = self.windows[example][0]
            messages, window, said = self._window(example, key.epoch)
            windows.append(window)
            labels.append([self.labels[conversation][message] for message in messages])
            numbers.append([self.first_message[conversation] + message for message in messages])
            conversations.append(conversation)
            texts += said
        return pack(windows, labels, numbers, conversations, (key.epoch, key.index), texts)

    def summary(self) -> dict[str, float]:
        """How many conversations, messages and windows there are, which share of each is anomalous, and the tokens.

        `tokens_a_message` is the mean without marks, `unknown_tokens` the share of [UNK] among them.
        """
        messages = [label for labels in self.labels for label in labels]
        windows = [1 in self.labels[conversation][start:end] for conversation, start, end in self.windows]
        texts = [ids for conversation in self.message_ids for ids in conversation]
        num_tokens = sum(map(len, texts))
        unknown = sum(int((ids == self.encoder.tokenizer.unk_token_id).sum()) for ids in texts)
        return {
            "conversations": len(self.conversations),
            "messages": len(messages),
            "windows": len(windows),
            "anomalous_conversations": float(np.mean([c.is_anomalous for c in self.conversations])),
            "anomalous_messages": messages.count(1) / len(messages),
            "anomalous_windows": float(np.mean(windows)),
            "tokens_a_message": num_tokens / len(texts),
            "unknown_tokens": unknown / max(1, num_tokens),
        }

    def num_mostly_unknown(self) -> int:
        """Windows of whose text more than half is [UNK], so that the network can hardly read it."""
        unknown = self.encoder.tokenizer.unk_token_id
        texts = (np.concatenate(self.message_ids[index][start:end]) for index, start, end in self.windows)
        return sum(bool(2 * (text == unknown).sum() > len(text)) for text in texts)

    def _window(self, example: int, epoch: int) -> tuple[list[int], EncodedWindow, list[str]]:
        """The messages of a window, as numbers within its conversation, their tokens, and their texts for n-grams."""
        conversation, start, end = self.windows[example]
        messages = list(range(start, end))
        ids = self.message_ids[conversation][start:end]
        texts = self._texts[conversation][start:end]
        mask = self.encoder.tokenizer.mask_token_id
        if self.lexicon_masking:
            rng = generator(self.seed, epoch, example, _LEXICON)
            found = self._occurrences[conversation][start:end]
            hidden = [rng.random(len(spans)) < self.lexicon_masking for spans in found]
            tokens = self._of_tokens[conversation][start:end]
            ids = [with_masked_tokens(*message, mask) for message in zip(ids, tokens, hidden, strict=True)]
            texts = [without_words(*message) for message in zip(texts, found, hidden, strict=True)]
        if self.augmentation:
            rng = generator(self.seed, epoch, example)
            if rng.random() < self.augmentation:
                kept, ids = augmented(ids, rng, mask, self._starts_word, self.encoder.window_budget)
                messages = [start + message for message in kept]
        speakers = [self.speakers[conversation][message] for message in messages]
        said = [texts[message - start] for message in messages] if self.encoder.ngrams else []
        return messages, self.encoder.encode_window(ids, speakers), said
