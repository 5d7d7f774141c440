"""What a reader of a test sees: the table says what was measured, examples are of the right messages."""

import numpy as np

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.parts import Part
from electra_lab.report.test_run import example_predictions, table


def test_the_table_says_what_was_not_measured():
    results = {
        "window": {
            "num": 1234,
            "average_precision": 0.5,
            "f1": None,
            "false_positive_rate_harmless": None,
            "interval": {"average_precision": [0.25, 0.75], "f1": None},
        },
        "message": {"num": 7, "average_precision": 0.25, "f1": 1.0, "interval": {}},
    }
    assert table(results) == [
        "                              window                message",
        "num                           1,234                 7",
        "average precision             0.500 [0.250, 0.750]  0.250",
        "f1                            n/a                   1.000",
        "false positive rate harmless  n/a",
    ]


def test_examples_are_the_clearest_of_each_kind():
    texts = ["가", "나", "다", "라", "마", "바"]
    labels = [1, 1, 0, 0, -1, 0]
    messages = [Message(text, "a", None if label < 0 else label) for text, label in zip(texts, labels, strict=True)]
    conversations = [Conversation("x", tuple(messages[:2])), Conversation("y", tuple(messages[2:]))]
    bounds = np.array([[0, 2], [2, 6]])
    part = Part(conversations, messages, np.array(labels), np.zeros(6, bool), bounds, bounds)
    found = example_predictions(part, np.array([0.9, 0.3, 0.8, 0.1, 0.99, np.nan]), threshold=0.5)
    assert {kind: [row["text"] for row in rows] for kind, rows in found.items()} == {
        "found": ["가"],
        "missed": ["나"],
        "false_alarms": ["다"],
        "left_alone": ["라"],  # nothing is said of what has no label or no score
    }
    place = {"conversation": "y", "message": 1, "speaker": "a", "text": "라"}
    assert found["left_alone"] == [{**place, "label": 0, "score": 0.1, "anomalous": False}]
