"""A split as flat arrays: bounds by hand, labels of groups by a naive loop."""

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.encoding import ConversationEncoder
from electra_lab.data.labelled_windows import LabelledWindows
from electra_lab.data.parts import group_labels, part_of
from electra_lab.tokenizer import load_tokenizer


def test_windows_and_conversations_of_a_part_by_hand(koelectra_folder: Path) -> None:
    encoder = ConversationEncoder(load_tokenizer(str(koelectra_folder), 2), window=4, stride=2)
    conversations = [
        Conversation("a", tuple(Message(f"말 {index}", label=0) for index in range(3))),
        Conversation(
            "b",
            (
                *(Message("응", label=0) for _ in range(4)),
                Message("약", label=1, source="x1"),
                Message("어", source="x2"),
            ),
        ),
    ]
    part = part_of(LabelledWindows(conversations, encoder))
    assert part.bounds.tolist() == [[0, 3], [3, 9]]
    assert part.windows.tolist() == [[0, 3], [3, 7], [5, 9]]
    assert part.labels.tolist() == [0] * 7 + [1, -1]
    assert part.is_foreign.tolist() == [False] * 7 + [True, True]
    assert [message.text for message in part.messages[6:]] == ["응", "약", "어"]
    assert part.conversation_of_message.tolist() == [0] * 3 + [1] * 6
    assert part.conversation_of_window.tolist() == [0, 1, 1]
    assert group_labels(part.labels, part.windows).tolist() == [0, 0, 1]
    assert group_labels(part.labels, np.array([[8, 9], [6, 9]])).tolist() == [-1, 1]


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=12), st.data())
def test_label_of_a_group(labels: list[int], data: st.DataObject) -> None:
    span = st.integers(0, len(labels) - 1).flatmap(
        lambda start: st.tuples(st.just(start), st.integers(start + 1, len(labels)))
    )
    groups = data.draw(st.lists(span, min_size=1, max_size=6))
    parts = [labels[start:end] for start, end in groups]
    expected = [1 if 1 in part else -1 if -1 in part else 0 for part in parts]
    assert group_labels(np.array(labels), np.array(groups)).tolist() == expected
