"""One split of labelled conversations as flat arrays: for baselines, and for what is said about any scores."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.labelled_windows import LabelledWindows

UNKNOWN = -1  # the label of what nobody labelled


class Part(NamedTuple):
    """M messages in order; W windows and C conversations as (first message, one past the last) of the part."""

    conversations: list[Conversation]
    messages: list[Message]
    labels: NDArray[np.int64]  # (M,) 1 anomalous, 0 not, -1 unknown
    is_foreign: NDArray[np.bool_]  # (M,) put in from another text
    windows: NDArray[np.int64]  # (W, 2)
    bounds: NDArray[np.int64]  # (C, 2)

    @property
    def conversation_of_message(self) -> NDArray[np.int64]:
        """Number of each message's conversation, (M,)."""
        return np.repeat(np.arange(len(self.bounds)), self.bounds[:, 1] - self.bounds[:, 0])

    @property
    def conversation_of_window(self) -> NDArray[np.int64]:
        """Number of each window's conversation, (W,)."""
        return np.searchsorted(self.bounds[:, 1], self.windows[:, 0], side="right")


def part_of(windows: LabelledWindows) -> Part:
    """The windows of one split and what is in them."""
    first = windows.first_message
    messages = [message for conversation in windows.conversations for message in conversation.messages]
    spans = [(first[index] + start, first[index] + end) for index, start, end in windows.windows]
    return Part(
        windows.conversations,
        messages,
        np.array([label for labels in windows.labels for label in labels], dtype=np.int64),
        np.array([message.source is not None for message in messages], dtype=np.bool_),
        np.array(spans, dtype=np.int64).reshape(-1, 2),
        np.array(list(pairwise(first)), dtype=np.int64).reshape(-1, 2),
    )


def group_labels(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Label of each group of messages, (n,): 1 if any is anomalous, else -1 if any is unknown, else 0.

    Args:
        labels: (M,) 1, 0 or -1.
        groups: (n, 2) first message and one past the last.
    """
    anomalous, unknown = (_count(labels == label, groups) for label in (1, UNKNOWN))
    return np.where(anomalous > 0, 1, np.where(unknown > 0, UNKNOWN, 0))


def _count(chosen: NDArray[np.bool_], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    before = np.concatenate([[0], chosen.cumsum()])
    return before[groups[:, 1]] - before[groups[:, 0]]
