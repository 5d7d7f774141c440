"""Scores a conversation with a trained detector: every message, every window, the whole. The path that training took.

W windows, M messages.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from electra_lab.batches import ConversationBatch
from electra_lab.bundle import DetectorSettings, load_detector
from electra_lab.data.conversation import Conversation, Message, speaker_indices
from electra_lab.data.encoding import ConversationEncoder, pack_unlabelled
from electra_lab.decisions import Logits, band, conversation_rule, level_scores
from electra_lab.models.detector import Detection, Detector

PRECISIONS = ("fp32", "bf16")
WINDOWS_AT_ONCE = 32  # of one forward pass; bounds the memory, changes no score


class WindowPrediction(NamedTuple):
    """Messages `start` to `end - 1` read together."""

    start: int
    end: int
    score: float  # probability that one of them is anomalous
    is_anomalous: bool
    band: str  # "alert" where it is anomalous, "review" where a look is advised, "clear"


class MessagePrediction(NamedTuple):
    """One message, judged in every window it is in."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    score: float  # sigmoid of the mean logit over its windows
    is_anomalous: bool
    attention: float  # share of the attention it gets, mean over its windows: where the model looked, not a reason
    band: str
    is_truncated: bool  # too long to be read whole: its head and its tail were


class ConversationPrediction(NamedTuple):
    """What the detector says about a conversation. Holds numbers only, no text; `print` shows a table."""

    score: float  # what the detector's decision makes of the windows, usually of the highest one
    is_anomalous: bool
    windows: list[WindowPrediction]
    messages: list[MessagePrediction]
    band: str

    def as_dict(self) -> dict[str, Any]:
        """The same as dicts and lists, for `json.dumps`."""
        return {
            **self._asdict(),
            "windows": [window._asdict() for window in self.windows],
            "messages": [message._asdict() for message in self.messages],
        }

    def __str__(self) -> str:
        lines = [f"conversation of {len(self.messages)} messages: {_said(self.score, self.band)}"]
        lines += [f"  window {w.start}-{w.end - 1}: {_said(w.score, w.band)}" for w in self.windows]
        lines += [f"  message {m.index}: {_said(m.score, m.band)}" for m in self.messages]
        return "\n".join(lines)


class _Device:
    """The accelerator if there is one, looked up when it is asked for."""

    def __get__(self, instance: object, owner: type) -> str:
        return "cuda" if torch.cuda.is_available() else "cpu"


class Config:
    """Stands in for the configuration class of the original snippet; `Config.DEVICE` is where to compute."""

    DEVICE = _Device()


class TrainedDetector(nn.Module):
    """A detector with the settings it was trained with and the tokenizer that belongs to it."""

    def __init__(self, detector: Detector, tokenizer: PreTrainedTokenizerFast, settings: DetectorSettings) -> None:
        super().__init__()
        self.detector = detector
        self.tokenizer = tokenizer
        self.settings = settings
        self.encoder = ConversationEncoder(
            tokenizer,
            settings.window,
            settings.stride,
            settings.max_length,
            settings.num_speakers,
            settings.context,
            settings.ngrams,
        )
        self.rule = conversation_rule(settings.decision)

    def forward(self, batch: ConversationBatch) -> Detection:
        """Scores of every window and message of the batch."""
        return self.detector(batch)


def load_model_for_inference(
    folder: str | Path, config: object = None
) -> tuple[TrainedDetector, PreTrainedTokenizerFast]:
    """The model and the tokenizer of a `detector` folder, in evaluation mode on the CPU.

    Args:
        folder: what `finetune` left in `runs/finetune/<run_name>/detector`.
        config: accepted for snippets written for the original; not used, all settings are in the folder.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: not a detector, or a damaged or untrained one.
    """
    detector, tokenizer, settings = load_detector(folder)
    return TrainedDetector(detector, tokenizer, settings).eval(), tokenizer


def predict_conversation(
    model: TrainedDetector,
    tokenizer: PreTrainedTokenizerFast,
    messages: Sequence[str | Message | Mapping[str, str | None]],
    device: str | torch.device = "cpu",
) -> ConversationPrediction:
    """Score one conversation of one message or more; every message is in at least one window.

    Args:
        model: from `load_model_for_inference`.
        tokenizer: the one that came with the model.
        messages: texts, `Message`s, or mappings with "text" and "speaker"; where no speaker is named, two take turns.
        device: "cpu", "cuda", ...; the model moves there.

    Raises:
        ValueError: no messages, something that is not a message, or another model's tokenizer.
    """
    if isinstance(messages, str) or not len(messages):
        raise ValueError("messages must be a list of at least one message")
    if tokenizer is not model.tokenizer and tokenizer.get_vocab() != model.tokenizer.get_vocab():
        raise ValueError("the tokenizer is not the one that belongs to this model; use both as they were loaded")
    conversation = Conversation("", tuple(_as_message(index, message) for index, message in enumerate(messages)))
    return score(model.to(device).eval(), conversation)


def score(model: TrainedDetector, conversation: Conversation, precision: str = "fp32") -> ConversationPrediction:
    """Score a conversation of one message or more, its windows packed and by themselves.

    So its scores are the same, to the bit on a CPU, whatever else is scored before and after it.

    Args:
        model: in evaluation mode, on the device where it is to compute.
        conversation: labels are not looked at.
        precision: "fp32", or "bf16" (autocast).

    Raises:
        ValueError: an unknown precision.
    """
    assert_precision(precision)
    encoder = model.encoder
    device = next(model.parameters()).device
    texts = [message.text for message in conversation.messages]
    message_ids, is_truncated = encoder.encode_and_cap(texts)
    speakers = speaker_indices(conversation)
    bounds = encoder.windows(message_ids)
    window_logits: list[Tensor] = []
    owners: list[int] = []  # the message of each of the following two
    message_logits: list[Tensor] = []
    message_mass: list[Tensor] = []
    for first in range(0, len(bounds), WINDOWS_AT_ONCE):
        part = bounds[first : first + WINDOWS_AT_ONCE]
        batch = pack_unlabelled(encoder, texts, message_ids, speakers, part)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            detection = model(_moved(batch, device))
        window_logits.append((detection.window_logits[:, 1] - detection.window_logits[:, 0]).cpu())
        message_logits.append(detection.message_logits.cpu())
        message_mass.append(detection.message_mass.cpu())
        owners += batch.message_ids.tolist()
    index = torch.tensor(owners)
    logits = Logits(
        torch.cat(window_logits).double().numpy(),
        np.zeros(len(bounds), np.int64),
        _mean_per_message(torch.cat(message_logits), index, len(texts)).numpy(),
    )
    scores = level_scores(logits, model.settings.temperatures, model.rule)
    attention = _mean_per_message(torch.cat(message_mass), index, len(texts))  # (M,)
    return _decided(bounds, scores, attention.tolist(), is_truncated, model.settings)


def assert_precision(precision: str) -> None:
    """Refuse a precision that is none of PRECISIONS, with a ValueError."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")


def _decided(
    bounds: Sequence[tuple[int, int]],
    scores: Mapping[str, NDArray[np.float64]],
    attention: Sequence[float],
    is_truncated: Sequence[bool],
    settings: DetectorSettings,
) -> ConversationPrediction:
    def decided(level: str) -> list[tuple[float, str]]:
        review, alert = settings.review_thresholds[level], settings.thresholds[level]
        return [(score, band(score, review, alert)) for score in scores[level].tolist()]

    ((score, found),) = decided("conversation")
    return ConversationPrediction(
        score=score,
        is_anomalous=found == "alert",
        windows=[
            WindowPrediction(start, end, score, found == "alert", found)
            for (start, end), (score, found) in zip(bounds, decided("window"), strict=True)
        ],
        messages=[
            MessagePrediction(index, score, found == "alert", share, found, cut)
            for index, ((score, found), share, cut) in enumerate(
                zip(decided("message"), attention, is_truncated, strict=True)
            )
        ],
        band=found,
    )


def _as_message(index: int, message: str | Message | Mapping[str, str | None]) -> Message:
    if isinstance(message, Message):
        return message
    if isinstance(message, str):
        return Message(message)
    if isinstance(message, Mapping) and isinstance(message.get("text"), str):
        return Message(str(message["text"]), message.get("speaker"))
    kind = "a mapping without a text" if isinstance(message, Mapping) else type(message).__name__
    raise ValueError(f'message {index} must be a text, a Message or a mapping with "text" and "speaker", got {kind}')


def _mean_per_message(values: Tensor, index: Tensor, num_messages: int) -> Tensor:
    """Mean of (n,) values over the windows of each message, in float64; none is in no window."""
    values = values.double()
    return values.new_zeros(num_messages).scatter_reduce(0, index, values, "mean", include_self=False)


def _moved(batch: ConversationBatch, device: str | torch.device) -> ConversationBatch:
    return ConversationBatch._make(part.to(device) if isinstance(part, Tensor) else part for part in batch)


def _said(score: float, band: str) -> str:
    return f"{score:.3f}" + {"alert": "  anomalous", "review": "  review", "clear": ""}[band]
