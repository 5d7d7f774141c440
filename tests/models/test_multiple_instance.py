"""The three unit tests of Raff & Holt 2023 (https://arxiv.org/abs/2310.17867) on our heads, after their description.

A bag is a window, an instance a message of one token, whose state is given: the heads are tested, not an encoder.
A model that keeps to the assumption (a bag is positive because of what is in it, never for want of something) passes
each test; one that holds bags for positive until it sees a counter-example ranks the test bags upside down.

* single concept: one instance of the concept makes a bag positive. In training every negative bag also has a marker;
  in the test the positive bags have it.
* threshold: the same, but one instance of the concept is not enough, two are.
* false frequency: positive bags have four instances of the concept in training, one in the test.

What holds (area under the ROC curve of windows in the test; .5 is chance, 0 is upside down):

* `noisy_or` passes all three with our supervision of messages. From the labels of windows alone it passes the first
  and the third; "one is not enough" is nothing that it can say, so that there it does not learn the second.
* `attention` and `gated` fail the first two from the labels of windows alone, as the paper found of five models: a
  marker counts as evidence against whatever else is said. Our supervision moves the attention to the right messages
  and mends that only in part (.80 and .36 on the first; the second stays at 0). They pass the third.
* The scores of messages, which are learned from the labels of messages, pass with every pooling. They are what to
  trust where somebody may put harmless words into a window, or `noisy_or`, which is made of them.
"""

from functools import cache
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from electra_lab.batches import ConversationBatch
from electra_lab.losses import attention_supervision, cross_entropy, message_loss
from electra_lab.models.detector import Detector
from tests.detector_settings import NO_NGRAMS

SIZE = 8  # of a state
NUM_MESSAGES = 10  # of a window
CONCEPT, MARKER = 4.0 * torch.eye(SIZE)[0], 6.0 * torch.eye(SIZE)[1]
TESTS = ["single", "threshold", "frequency"]


class Figures(NamedTuple):
    """Area under the ROC curve in the test."""

    window: float
    message: float


class GivenStates(nn.Module):
    """Instead of a backbone: the states of the tokens are the input."""

    hidden_size = SIZE

    def forward(self, states: Tensor, *unused: object) -> Tensor:
        """The states (T, size)."""
        return states


def bags(test: str, in_training: bool, num: int, seed: int) -> ConversationBatch:
    """Windows of one [CLS] and ten messages of a token each, the first half of the windows positive."""
    random = torch.Generator().manual_seed(seed)
    half = num // 2
    states = torch.randn(num, NUM_MESSAGES, SIZE, generator=random)
    noise = 0.3 * torch.randn(num, NUM_MESSAGES, SIZE, generator=random)
    labels = torch.zeros(num, NUM_MESSAGES, dtype=torch.int64)
    in_positive = {"single": 1, "threshold": 2, "frequency": 4 if in_training else 1}[test]
    states[:half, :in_positive] = CONCEPT + noise[:half, :in_positive]
    labels[:half, :in_positive] = 1
    if test == "threshold":
        states[half:, 0] = CONCEPT + noise[half:, 0]
    if test != "frequency":
        marked = slice(half, num) if in_training else slice(0, half)
        states[marked, -1] = MARKER + noise[marked, -1]
    owners = torch.arange(num * NUM_MESSAGES).view(num, NUM_MESSAGES)
    return ConversationBatch(
        input_ids=torch.cat([torch.zeros(num, 1, SIZE), states], dim=1).flatten(0, 1),  # the states themselves
        position_ids=torch.zeros(0),
        cu_seq_lens=torch.arange(num + 1, dtype=torch.int32) * (NUM_MESSAGES + 1),
        max_length=NUM_MESSAGES + 1,
        window_of_token=torch.arange(num).repeat_interleave(NUM_MESSAGES + 1),
        message_of_token=torch.cat([torch.full((num, 1), -1), owners], dim=1).flatten(),
        window_of_message=torch.arange(num).repeat_interleave(NUM_MESSAGES),
        message_labels=labels.flatten(),
        window_labels=(torch.arange(num) < half).long(),
        message_ids=owners.flatten(),
        conversation_of_window=torch.arange(num),
        position=(0, 0),
        **NO_NGRAMS,
    )


def area(scores: Tensor, labels: Tensor) -> float:
    """The share of pairs of a positive and a negative that are in order."""
    return (scores[labels == 1][:, None] > scores[labels == 0]).float().mean().item()


@cache
def figures(test: str, pooling: str, is_supervised: bool) -> Figures:
    """A head trained for 150 steps, from the labels of windows alone or with those of messages, and then tested."""
    torch.manual_seed(0)
    detector = Detector(GivenStates(), dropout=0.0, pooling=pooling)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(detector.parameters(), 3e-2)
    batch = bags(test, in_training=True, num=256, seed=1)
    for _ in range(150):
        detection = detector(batch)
        loss = cross_entropy(detection.window_logits, batch.window_labels)
        if is_supervised:
            attention = attention_supervision("kl")(detection.attention, detection.message_mass, batch)
            loss = loss + 0.5 * attention
            loss = loss + message_loss(detection.message_logits, batch.message_labels, batch.window_of_message, 256)
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    with torch.no_grad():
        assert area(detection.window_logits.diff(dim=1)[:, 0], batch.window_labels) > 0.75  # it has learned
        batch = bags(test, in_training=False, num=256, seed=2)
        detection = detector(batch)
    return Figures(
        area(detection.window_logits.diff(dim=1)[:, 0], batch.window_labels),
        area(detection.message_logits, batch.message_labels),
    )


SLOW_GATED = ["noisy_or", "attention", pytest.param("gated", marks=pytest.mark.slow)]


@pytest.mark.parametrize("pooling", SLOW_GATED)
@pytest.mark.parametrize(("test", "at_least"), [("single", 0.99), ("threshold", 0.95), ("frequency", 0.99)])
def test_scores_of_messages_pass_with_every_pooling(test: str, at_least: float, pooling: str) -> None:
    # in the threshold test a lone instance looks like one of two, so that 1 cannot be reached
    assert figures(test, pooling, is_supervised=True).message > at_least


@pytest.mark.parametrize("test", TESTS)
def test_noisy_or_passes(test: str) -> None:
    assert figures(test, "noisy_or", is_supervised=True).window > 0.9


@pytest.mark.parametrize("test", ["single", "frequency"])
def test_noisy_or_needs_no_labels_of_messages_for_a_single_concept(test: str) -> None:
    found = figures(test, "noisy_or", is_supervised=False)
    assert found.window > 0.9 and found.message > 0.99


@pytest.mark.parametrize("pooling", SLOW_GATED[1:])
def test_attention_learns_the_marker_from_windows_alone(pooling: str) -> None:
    """A failure, kept here so that nobody takes the pooling for more than it is."""
    for test in ("single", "threshold"):
        assert figures(test, pooling, is_supervised=False).window < 0.1


@pytest.mark.parametrize("pooling", SLOW_GATED[1:])
def test_supervision_mends_attention_in_part_only(pooling: str) -> None:
    """Where this fails because the figures are higher: good, say so above."""
    single = figures("single", pooling, is_supervised=True).window
    assert figures("single", pooling, is_supervised=False).window + 0.2 < single < 0.9
    assert figures("threshold", pooling, is_supervised=True).window < 0.1
    assert figures("frequency", pooling, is_supervised=True).window > 0.95
