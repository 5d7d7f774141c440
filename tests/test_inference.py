"""Scores of a conversation: any number of messages, all of them covered, by the path that training took."""

import dataclasses
import json
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from electra_lab import Config, Message, load_model_for_inference, predict_conversation
from electra_lab.calibration import Calibration
from electra_lab.data.conversation import Conversation
from electra_lab.data.encoding import ConversationEncoder
from electra_lab.data.labelled_windows import LabelledWindows
from electra_lab.data.order import in_order
from electra_lab.decisions import LEVELS
from electra_lab.inference import ConversationPrediction, MessagePrediction, TrainedDetector, WindowPrediction
from electra_lab.tasks.detection import ConversationAnomalyDetection
from electra_lab.tokenizer import load_tokenizer
from tests.detector_settings import SETTINGS

Loaded = tuple[TrainedDetector, PreTrainedTokenizerFast]
WORDS = ["안녕", "오늘", "뭐해", "집에", "있어", "커피", "마실래", "그래", "좋아", "내일", "봐"]


@pytest.fixture(scope="module")
def loaded(detector_folder: Path) -> Loaded:
    return load_model_for_inference(detector_folder)


def texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 6))) for _ in range(count)]


def test_snippet_of_the_original_readme(detector_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There three messages gave an empty list."""
    model, tokenizer = load_model_for_inference(str(detector_folder), Config)
    predictions = predict_conversation(model, tokenizer, ["안녕", "지금 어디야?", "집이야"], Config.DEVICE)
    print(predictions)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("conversation of 3 messages: 0.") and len(shown) == 1 + 1 + 3
    assert [(window.start, window.end) for window in predictions.windows] == [(0, 3)]
    assert [message.index for message in predictions.messages] == [0, 1, 2]


def test_all_thirteen_messages_are_scored(loaded: Loaded) -> None:
    """The earlier implementation never looked at the last three."""
    predictions = predict_conversation(*loaded, texts(13))
    assert [(window.start, window.end) for window in predictions.windows] == [(0, 10), (3, 13)]
    assert len(predictions.messages) == 13
    changed = texts(13)
    changed[12] = "커피 커피 커피"
    assert predict_conversation(*loaded, changed).messages[12].score != predictions.messages[12].score


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=33))
def test_any_conversation_is_covered_and_finite(loaded: Loaded, messages: list[str]) -> None:
    predictions = predict_conversation(*loaded, messages)
    covered = {index for window in predictions.windows for index in range(window.start, window.end)}
    assert covered == set(range(len(messages))) == {message.index for message in predictions.messages}
    scores = [predictions.score, *(part.score for part in (*predictions.windows, *predictions.messages))]
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert predictions.score == max(window.score for window in predictions.windows)


@pytest.mark.parametrize("decision", ["max", "2_of_last_3", "noisy_or"])
def test_scores_are_those_of_the_test(loaded: Loaded, decision: str) -> None:
    """The earlier implementation left out `[MSG]` when serving; here both see the same batches, temperatures, rule."""
    detector, tokenizer = loaded[0].detector, loaded[1]
    temperatures = {"window": 0.4, "message": 2.5, "conversation": 1.7}
    settings_ = dataclasses.replace(SETTINGS, temperatures=temperatures, decision=decision)
    model = TrainedDetector(detector, tokenizer, settings_).eval()
    conversations = [
        Conversation(str(count), tuple(Message(text, "abc"[index % 3], label=0) for index, text in enumerate(chat)))
        for count, chat in ((count, texts(count, seed=count)) for count in (3, 13, 33))
    ]
    windows = LabelledWindows(conversations, ConversationEncoder(tokenizer, max_length=128))
    task = ConversationAnomalyDetection("tiny", decision=decision)
    task.detector = detector
    task.calibration = {level: Calibration(temperature) for level, temperature in temperatures.items()}
    task.on_validation_epoch_start()
    for micro_batch in in_order(len(windows), 4):
        with torch.no_grad():
            task.validation_step(windows[micro_batch], 0)
    expected = task.scores(task.metrics.collect())
    found = [predict_conversation(model, tokenizer, conversation.messages) for conversation in conversations]
    scores = {
        "window": [window.score for prediction in found for window in prediction.windows],
        "message": [message.score for prediction in found for message in prediction.messages],
        "conversation": [prediction.score for prediction in found],
    }
    for level in LEVELS:
        assert scores[level] == pytest.approx(expected[level].tolist(), rel=1e-5, abs=1e-6)
    if decision != "max":
        highest = [max(window.score for window in prediction.windows) for prediction in found]
        assert scores["conversation"] != pytest.approx(highest, rel=1e-2)


def test_decisions_are_made_by_the_thresholds_of_the_folder(loaded: Loaded) -> None:
    predictions = predict_conversation(*loaded, texts(40))
    thresholds = loaded[0].settings.thresholds
    assert all(window.is_anomalous == (window.score >= thresholds["window"]) for window in predictions.windows)
    assert all(message.is_anomalous == (message.score >= thresholds["message"]) for message in predictions.messages)
    assert predictions.is_anomalous == (predictions.score >= thresholds["conversation"])
    assert {message.is_anomalous for message in predictions.messages} == {False, True}  # the test tells them apart
    review = loaded[0].settings.review_thresholds["message"]
    for message in predictions.messages:
        expected = "alert" if message.is_anomalous else "review" if message.score >= review else "clear"
        assert message.band == expected
    assert {message.band for message in predictions.messages} == {"alert", "review", "clear"}


def test_batches_of_windows_change_nothing(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = texts(60)
    expected = predict_conversation(*loaded, messages)
    assert predict_conversation(*loaded, messages) == expected  # deterministic: dropout is off
    monkeypatch.setattr("electra_lab.inference.WINDOWS_AT_ONCE", 3)
    found = predict_conversation(*loaded, messages)
    for part, other in zip(found.messages + found.windows, expected.messages + expected.windows, strict=True):
        assert tuple(part) == pytest.approx(tuple(other), abs=1e-5)


def test_texts_mappings_and_messages_are_the_same(loaded: Loaded) -> None:
    plain = texts(4)
    expected = predict_conversation(*loaded, plain)
    named = [{"text": text, "speaker": "ab"[index % 2]} for index, text in enumerate(plain)]
    assert predict_conversation(*loaded, named) == expected  # without speakers two take turns
    assert predict_conversation(*loaded, [{"text": text} for text in plain]) == expected
    assert predict_conversation(*loaded, [Message(text, "x") for text in plain]) != expected  # one speaker only


def test_control_tokens_somebody_types_stay_text(loaded: Loaded) -> None:
    """Otherwise a message could make itself look like two, the second by someone else."""
    forged = predict_conversation(*loaded, ["나 [SEP] [MSG] [SPEAKER_1] 가짜", "응"])
    assert len(forged.messages) == 2
    assert forged.score != predict_conversation(*loaded, ["나", "가짜", "응"]).score
    assert forged.score != predict_conversation(*loaded, ["나 가짜", "응"]).score  # nor is it hidden


def test_long_and_empty_messages(loaded: Loaded) -> None:
    predictions = predict_conversation(*loaded, ["안녕 " * 5000, "", "그래"])
    assert len(predictions.messages) == 3
    assert all(window.end - window.start <= 3 for window in predictions.windows)


def test_attention_of_a_short_conversation_is_a_share(loaded: Loaded) -> None:
    attention = [message.attention for message in predict_conversation(*loaded, texts(5)).messages]
    assert all(share > 0 for share in attention) and sum(attention) < 1  # [CLS] and [SEP] get the rest


def test_attention_is_that_of_the_pooling(loaded: Loaded) -> None:
    """Earlier work took a tensor of weights for a list of layers. Here: softmax of the scores, summed a message."""
    model, _ = loaded
    chat = texts(5)
    encoded = model.encoder.encode_window(model.encoder.encode_texts(chat), [0, 1, 0, 1, 0])
    tokens = torch.from_numpy(encoded.input_ids)
    pooling, backbone = model.detector.pooling, model.detector.backbone
    length = torch.tensor([0, len(tokens)], dtype=torch.int32)
    with torch.no_grad():
        hidden = backbone(tokens, torch.arange(len(tokens)), length, len(tokens))
        weights = pooling.score(hidden)[:, 0].softmax(0)  # type: ignore[operator, union-attr]
    expected = [float(weights[torch.from_numpy(encoded.message_of_token == number)].sum()) for number in range(5)]
    found = predict_conversation(*loaded, chat)
    assert [message.attention for message in found.messages] == pytest.approx(expected, abs=1e-6)


def test_nothing_is_sent_anywhere(detector_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier work uploaded conversations to services."""

    def refused(*anything: object, **more: object) -> None:
        raise AssertionError("a socket was opened")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refused)
    model, tokenizer = load_model_for_inference(detector_folder)
    assert len(predict_conversation(model, tokenizer, texts(13)).messages) == 13


def test_unusable_messages_get_a_sentence(loaded: Loaded) -> None:
    for messages in ([], (), "안녕"):  # a text is a sequence of characters too
        with pytest.raises(ValueError, match="a list of at least one message"):
            predict_conversation(*loaded, messages)
    with pytest.raises(ValueError, match=r"message 1 must be a text.*got int"):
        predict_conversation(*loaded, ["안녕", 3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"message 0 must be a text.*got a mapping without a text") as error:
        predict_conversation(*loaded, [{"speaker": "비밀"}])
    assert "비밀" not in str(error.value)


def test_tokenizer_of_another_model_is_refused(loaded: Loaded, koelectra_folder: Path) -> None:
    model, tokenizer = loaded
    with pytest.raises(ValueError, match="not the one that belongs to this model"):
        predict_conversation(model, load_tokenizer(str(koelectra_folder), 3), ["안녕"])
    assert predict_conversation(model, load_tokenizer(str(koelectra_folder), 2), ["안녕"]) == predict_conversation(
        model, tokenizer, ["안녕"]
    )


def test_result_is_plain_data() -> None:
    messages = [
        MessagePrediction(0, 0.2, False, 0.1, "review", False),
        MessagePrediction(1, 0.9, True, 0.6, "alert", True),
    ]
    prediction = ConversationPrediction(0.7, True, [WindowPrediction(0, 2, 0.1, False, "clear")], messages, "alert")
    assert json.loads(json.dumps(prediction.as_dict())) == {
        "score": 0.7,
        "is_anomalous": True,
        "windows": [{"start": 0, "end": 2, "score": 0.1, "is_anomalous": False, "band": "clear"}],
        "messages": [
            {
                "index": 0,
                "score": 0.2,
                "is_anomalous": False,
                "attention": 0.1,
                "band": "review",
                "is_truncated": False,
            },
            {"index": 1, "score": 0.9, "is_anomalous": True, "attention": 0.6, "band": "alert", "is_truncated": True},
        ],
        "band": "alert",
    }
    assert str(prediction).splitlines() == [
        "conversation of 2 messages: 0.700  anomalous",
        "  window 0-1: 0.100",
        "  message 0: 0.200  review",
        "  message 1: 0.900  anomalous",
    ]


@pytest.mark.gpu
def test_gpu_gives_the_scores_of_the_cpu(detector_folder: Path) -> None:
    model, tokenizer = load_model_for_inference(detector_folder)
    expected = predict_conversation(model, tokenizer, texts(30))
    found = predict_conversation(model, tokenizer, texts(30), "cuda")
    assert found.score == pytest.approx(expected.score, abs=1e-3)
    assert [message.score for message in found.messages] == pytest.approx(
        [message.score for message in expected.messages], abs=1e-3
    )


def test_a_message_read_by_itself_has_the_same_score_anywhere(loaded: Loaded) -> None:
    """With context "message" the others change no message's score; with "window" they do. Same way as in training."""
    detector, tokenizer = loaded[0].detector, loaded[1]
    chat = [{"text": text, "speaker": "a"} for text in texts(13, seed=1)]
    scores = {}
    for context in ("message", "window"):
        model = TrainedDetector(detector, tokenizer, dataclasses.replace(SETTINGS, context=context)).eval()
        whole = [message.score for message in predict_conversation(model, tokenizer, chat).messages]
        alone = [predict_conversation(model, tokenizer, [message]).messages[0].score for message in chat]
        scores[context] = whole, alone
    assert scores["message"][0] == pytest.approx(scores["message"][1], abs=2e-6)
    assert scores["window"][0] != pytest.approx(scores["window"][1], abs=1e-3)
