"""The linear model of n-grams beside the encoder: in the detector, in training, in the saved folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from electra_lab import cli
from electra_lab.batches import NGRAM_BUCKETS, ConversationBatch
from electra_lab.bundle import load_detector
from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.encoding import ConversationEncoder
from electra_lab.data.labelled_windows import LabelledWindows
from electra_lab.data.ngrams import ngrams
from electra_lab.data.order import in_order
from electra_lab.inference import load_model_for_inference, predict_conversation
from electra_lab.models.detector import Detector
from electra_lab.models.ngrams import NgramScores
from electra_lab.tasks.detection import ConversationAnomalyDetection
from electra_lab.tokenizer import load_tokenizer
from tests.models.test_detector import batch_of, detector_of

RARE, USUAL = "\u16a0\u16a1", "\u16b1\u16b7"  # runes, which the vocabulary does not have
TEXTS = ["얼음 있어요", "네 얼마에요", "밥 먹자", "얼음", "응"]


@pytest.fixture(scope="module")
def windows(koelectra_folder: Path) -> LabelledWindows:
    encoder = ConversationEncoder(load_tokenizer(str(koelectra_folder), 2), 3, 2, max_length=64, ngrams=True)
    messages = tuple(Message(text, label=int("얼음" in text)) for text in TEXTS)
    return LabelledWindows([Conversation("a", messages), Conversation("b", messages[::-1])], encoder)


def whole(windows: LabelledWindows) -> ConversationBatch:
    (key,) = in_order(len(windows), len(windows))
    return windows[key]


def test_scores_by_hand() -> None:
    batch = batch_of([[([11], 0), ([12], 1)], [([13], 0)]])._replace(
        ngram_ids=torch.tensor([5, 7, 5, NGRAM_BUCKETS - 1]),
        ngram_weights=torch.tensor([0.6, 0.8, 1.0, 0.5]),
        message_of_ngram=torch.tensor([0, 0, 2, 2]),
    )
    scores = NgramScores()
    assert scores(batch).tolist() == [0, 0, 0]
    with torch.no_grad():
        scores.weight[5], scores.weight[7], scores.weight[-1] = 2.0, -1.0, 4.0
    assert scores(batch).tolist() == pytest.approx([0.4, 0.0, 4.0])
    with torch.no_grad():
        scores.bias -= 3.0
    assert scores(batch).tolist() == pytest.approx([-2.6, -3.0, 1.0])


def test_a_batch_carries_the_ngrams_of_its_messages_as_often_as_they_are_in_windows(windows: LabelledWindows) -> None:
    batch = whole(windows)
    for message, number in enumerate(batch.message_ids.tolist()):
        text = (TEXTS + TEXTS[::-1])[number]
        mine = batch.message_of_ngram == message
        expected = ngrams([text])
        assert batch.ngram_ids[mine].tolist() == expected.ids.tolist()
        assert batch.ngram_weights[mine].tolist() == expected.weights.tolist()
    encoder = ConversationEncoder(windows.encoder.tokenizer, 3, 2, max_length=64)
    without = whole(LabelledWindows(windows.conversations, encoder))
    assert len(without.ngram_ids) == len(without.ngram_weights) == len(without.message_of_ngram) == 0


def test_before_training_a_detector_says_what_it_says_without(windows: LabelledWindows, koelectra_folder: Path) -> None:
    def said(is_read: bool) -> tuple[torch.Tensor, torch.Tensor]:
        task = ConversationAnomalyDetection(str(koelectra_folder), pooling="noisy_or", ngrams=is_read)
        torch.manual_seed(0)
        task.configure_model()
        assert task.detector is not None
        with torch.no_grad():
            detection = task.detector.eval()(whole(windows))
        return detection.window_logits, detection.message_logits

    for with_ngrams, without in zip(said(True), said(False), strict=True):
        assert torch.equal(with_ngrams, without)


def test_the_parts_add_up_and_reach_the_windows_by_noisy_or(windows: LabelledWindows) -> None:
    batch = whole(windows)
    batch = batch._replace(input_ids=batch.input_ids % 40, position_ids=batch.position_ids % 32)
    detector = Detector(detector_of("noisy_or").backbone, 0.0, "noisy_or", ngrams=True).eval()
    assert detector.ngrams is not None
    before = detector(batch)
    with torch.no_grad():
        others = ngrams([text for text in TEXTS if "얼음" not in text]).ids
        detector.ngrams.weight[torch.from_numpy(np.setdiff1d(ngrams(["얼음"]).ids, others))] = 10.0
    after = detector(batch)
    is_ice = torch.tensor(["얼음" in (TEXTS + TEXTS[::-1])[number] for number in batch.message_ids.tolist()])
    assert torch.allclose(after.message_logits, after.message_parts.sum(0))
    assert ((after.message_logits - before.message_logits > 3) == is_ice).all()
    has_ice = torch.zeros(len(batch.window_labels), dtype=torch.bool)
    has_ice[batch.window_of_message[is_ice]] = True
    change = after.window_logits[:, 1] - before.window_logits[:, 1]
    assert ((change > 0.01) == has_ice).all() and (change[~has_ice] == 0).all()


def test_an_encoder_that_knows_all_answers_leaves_the_ngrams_something_to_learn(
    windows: LabelledWindows, koelectra_folder: Path
) -> None:
    """Trained on the sum alone they would learn nothing once the encoder knows the training part by heart."""
    task = ConversationAnomalyDetection(str(koelectra_folder), ngrams=True)
    task.configure_model()
    assert task.detector is not None and task.detector.ngrams is not None
    batch = whole(windows)
    known = 30.0 * (2.0 * batch.message_labels - 1)  # far beyond doubt

    def gradient(*parts: torch.Tensor) -> float:
        assert task.detector is not None and task.detector.ngrams is not None
        detection = task.detector(batch)._replace(message_logits=sum(parts), message_parts=torch.stack(parts))
        loss = task.terms(batch, detection)["message_loss"].mean()
        (found,) = torch.autograd.grad(loss, task.detector.ngrams.weight)
        return float(found.abs().max())

    learned = task.detector.ngrams(batch)
    assert gradient(known, learned) > 0.01
    assert gradient(known + task.detector.ngrams(batch)) < 1e-6  # the control: the sum alone


def test_the_weights_have_a_learning_rate_of_their_own(koelectra_folder: Path) -> None:
    task = ConversationAnomalyDetection(str(koelectra_folder), ngrams=True, learning_rate=1e-3, ngram_learning_rate=0.2)
    task.configure_model()
    assert task.detector is not None and task.detector.ngrams is not None
    groups = task.parameter_groups()
    rates = {parameter: group["lr"] for group in groups for parameter in group["params"]}
    assert set(rates) == set(task.parameters())
    own = set(task.detector.ngrams.parameters())
    assert {rates[parameter] for parameter in own} == {0.2}
    assert {rate for parameter, rate in rates.items() if parameter not in own} == {1e-3}


def test_learned_saved_loaded_and_used(koelectra_folder: Path, tmp_path: Path) -> None:
    """Words that the encoder cannot read (they are all [UNK] to it) are told apart, also from the saved folder."""
    rng = np.random.default_rng(0)
    lines = []
    for number in range(30):
        words = [RARE if word == 0 else USUAL for word in rng.integers(0, 5, size=12)]
        messages = [{"text": f"{word} {number} {rng.integers(10**6)}", "label": int(word == RARE)} for word in words]
        lines.append(json.dumps({"id": str(number), "messages": messages}))
    (tmp_path / "chats.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = f"""--run_name a --output {tmp_path}/runs --model.backbone {koelectra_folder}
        --data.paths {tmp_path}/chats.jsonl --data.max_length 128 --data.context message --data.augmentation 0
        --data.batch_size 4 --model.pooling noisy_or --model.ngrams true --trainer.max_epochs 6
        --trainer.accelerator cpu"""
    cli.run("finetune", options.split())
    folder = tmp_path / "runs/finetune/a/detector"
    model, tokenizer = load_model_for_inference(folder)
    assert model.settings.ngrams and model.detector.ngrams is not None
    found = predict_conversation(model, tokenizer, [RARE, USUAL, USUAL])
    scores = [message.score for message in found.messages]
    assert scores[0] > 0.5 and max(scores[1:]) < 0.1
    assert torch.equal(load_detector(folder)[0].ngrams.weight, model.detector.ngrams.weight)  # type: ignore[union-attr]
