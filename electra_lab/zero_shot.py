"""A detector that needs no labels: how replaced the words of a message look to a pretrained discriminator.

W windows, T tokens of the longest one, M messages.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerFast

from electra_lab.calibration import sigmoid
from electra_lab.data.encoding import ConversationEncoder, Ids
from electra_lab.data.windows import Bounds
from electra_lab.models.loading import load_config, load_weights
from electra_lab.models.pair import discriminator_class, max_positions
from electra_lab.tokenizer import load_tokenizer

WINDOWS_AT_ONCE = 32  # of one forward pass; bounds the memory, changes no score
NUM_OUTER_TOKENS = 2  # [CLS] and [SEP]
NUM_JUDGED = 3  # tokens of a message that its score is made of


class ZeroShotDetector:
    """Scores messages by the replaced-token probabilities of a pretrained discriminator (ELECTRA, section 2).

    It says which messages hold words that do not fit their surroundings in the eyes of the text that the discriminator
    was pretrained on: exchanged nouns, rare names, misspellings. It has no idea of what is talked about, so a fluent
    threat or deal looks normal to it. Its scores are to be ranked: what counts as an alarm has to be chosen on labelled
    conversations, and longer messages have more words that can look odd.

    Messages are joined as pretraining joined lines, `[CLS] text text ... [SEP]`: the discriminator has never seen the
    marks of messages and speakers, and they would be the oddest tokens of all. A message's logit in a window is the
    mean of its three highest token logits: an exchanged word is one to three tokens, which the mean over a long message
    would drown, and the single highest would be that of any slip.

    Args:
        discriminator: gives a logit for every token, higher where it looks replaced.
        tokenizer: that of the discriminator, from `load_tokenizer` with one speaker or more.
        max_length: tokens of a window.
    """

    def __init__(self, discriminator: nn.Module, tokenizer: PreTrainedTokenizerFast, max_length: int = 128) -> None:
        self.discriminator = discriminator.eval()
        # for reading texts as the trained detector does; the marks that it can set are never asked for
        self.encoder = ConversationEncoder(tokenizer, max_length=max_length, num_speakers=1)
        self.budget = max_length - NUM_OUTER_TOKENS
        self._cls, self._sep = int(tokenizer.cls_token_id), int(tokenizer.sep_token_id)

    def message_scores(self, messages: Sequence[str], device: str | torch.device = "cpu") -> NDArray[np.float64]:
        """Probability (M,) that a message holds replaced words: sigmoid of its mean logit over the windows it is in.

        Nothing is left out: of a long message its head and tail are read, and one without any token gets 0.

        Args:
            messages: the texts of one conversation, one or more.
            device: "cpu", "cuda", ...; the discriminator moves there.

        Raises:
            ValueError: no messages.
        """
        if isinstance(messages, str) or not len(messages):
            raise ValueError("messages must be a list of at least one message")
        message_ids = self.encoder.encode_texts(messages)
        windows = list(token_windows([len(ids) for ids in message_ids], self.budget))
        sums, counts = np.zeros(len(messages)), np.zeros(len(messages))
        for (start, end), logits in zip(windows, self._logits(message_ids, windows, device), strict=True):
            ends = np.cumsum([len(ids) for ids in message_ids[start:end]])
            sums[start:end] += [_highest_mean(part) for part in np.split(logits, ends[:-1])]
            counts[start:end] += 1
        return sigmoid(sums / counts)

    @torch.inference_mode()
    def _logits(
        self, message_ids: Sequence[Ids], windows: Sequence[Bounds], device: str | torch.device
    ) -> list[NDArray[np.float64]]:
        """Logits of the text tokens of every window."""
        discriminator = self.discriminator.to(device)
        rows = [np.concatenate([[self._cls], *message_ids[start:end], [self._sep]]) for start, end in windows]
        logits: list[NDArray[np.float64]] = [np.empty(0)] * len(rows)
        by_length = sorted(range(len(rows)), key=lambda index: len(rows[index]))  # so that little is padded
        for first in range(0, len(rows), WINDOWS_AT_ONCE):
            chosen = by_length[first : first + WINDOWS_AT_ONCE]
            input_ids, mask = _padded([rows[index] for index in chosen])  # (W, T)
            output = discriminator(input_ids=input_ids.to(device), attention_mask=mask.to(device)).logits
            found = output.reshape(input_ids.shape).double().cpu().numpy()  # token classifiers give (W, T, 1)
            for index, row in zip(chosen, found, strict=True):
                logits[index] = row[1 : len(rows[index]) - 1]
        return logits


def load_zero_shot(name_or_folder: str | Path, max_length: int = 128) -> ZeroShotDetector:
    """The label-free detector that a pretrained discriminator is.

    Args:
        name_or_folder: `runs/pretrain/<run_name>/discriminator`, or a released one by name or folder.
        max_length: tokens it reads at once; not more than it was pretrained with, where its later positions are blank.

    Raises:
        ValueError: nothing there, not a discriminator, or more tokens than it has positions.
    """
    source = str(name_or_folder)
    config = load_config(source)
    model_class = discriminator_class(config)
    if model_class is AutoModelForTokenClassification and config.num_labels != 1:
        raise ValueError(f"{source} is not a discriminator: it has {config.num_labels} labels a token, not one")
    if max_length > max_positions(config):
        raise ValueError(f"max_length is {max_length}, but {source} has {max_positions(config)} positions")
    discriminator, missing = load_weights(model_class, source, config, "discriminator")
    if missing:
        raise ValueError(
            f"{source} is not a pretrained discriminator: {len(missing)} weights are missing, the first is "
            f"{missing[0]}; give the folder `discriminator` of a run of `pretrain`"
        )
    return ZeroShotDetector(discriminator, load_tokenizer(source, num_speakers=1), max_length)


def token_windows(lengths: Sequence[int], budget: int) -> Iterator[Bounds]:
    """Windows as full as pretraining's examples, each from the middle of the one before; every message is in one.

    Args:
        lengths: tokens of each message, none above `budget`.
        budget: tokens of a window.
    """
    ends = np.concatenate([[0], np.cumsum(lengths)])
    start = covered = 0
    while covered < len(lengths):
        end = int(np.searchsorted(ends, ends[start] + budget, side="right")) - 1
        if end > covered:  # before a long message, windows would only lose their beginning
            yield start, end
        covered = end
        start = max(start + 1, (start + end + 1) // 2)


def _highest_mean(logits: NDArray[np.float64]) -> float:
    """Mean of the three highest, of all where there are fewer; nothing looks less replaced than no token at all."""
    return float(np.sort(logits)[-NUM_JUDGED:].mean()) if len(logits) else -np.inf


def _padded(rows: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, (W, T) each; what stands behind the mask is 0."""
    ids = nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)
    mask = nn.utils.rnn.pad_sequence([torch.ones(len(row), dtype=torch.int64) for row in rows], batch_first=True)
    return ids, mask
