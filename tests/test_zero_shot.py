"""Replaced-token probabilities as message scores: computed by hand, whatever the batch, for any conversation."""

import math
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForTokenClassification, ElectraConfig, ElectraForMaskedLM

from electra_lab.tokenizer import load_tokenizer
from electra_lab.zero_shot import ZeroShotDetector, load_zero_shot, token_windows

WORDS = ["안녕", "오늘", "뭐해", "집에", "있어", "커피", "마실래", "그래", "좋아", "내일", "봐"]


class Stub(torch.nn.Module):
    """A discriminator whose logit is a function of the token alone; remembers what it was asked."""

    def __init__(self, logits: dict[int, float]) -> None:
        super().__init__()
        self.logits = logits
        self.seen: list[list[int]] = []

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        self.seen += [row[mask.bool()].tolist() for row, mask in zip(input_ids, attention_mask, strict=True)]
        logits = input_ids.float().apply_(lambda token: self.logits.get(int(token), 99.0))  # 99: never to be used
        return SimpleNamespace(logits=logits)


@pytest.fixture(scope="module")
def loaded(koelectra_folder: Path) -> ZeroShotDetector:
    return load_zero_shot(koelectra_folder, max_length=32)


def stub(folder: Path, characters: dict[str, float], max_length: int = 32) -> tuple[ZeroShotDetector, Stub]:
    tokenizer = load_tokenizer(str(folder), 1)
    model = Stub({tokenizer.convert_tokens_to_ids(character): logit for character, logit in characters.items()})
    return ZeroShotDetector(model, tokenizer, max_length), model


def texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 6))) for _ in range(count)]


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def test_a_message_is_scored_by_its_own_three_highest_tokens(koelectra_folder: Path) -> None:
    detector, model = stub(koelectra_folder, {"가": -2.0, "나": -1.0, "다": 0.5, "라": 3.0})
    scores = detector.message_scores(["나 라 가 다", "가", "가 나"])
    assert scores.tolist() == pytest.approx([sigmoid((3.0 + 0.5 - 1.0) / 3), sigmoid(-2.0), sigmoid(-1.5)])
    tokenizer = detector.encoder.tokenizer
    assert tokenizer.convert_ids_to_tokens(model.seen[0]) == ["[CLS]", *"나라가다가가나", "[SEP]"]
    assert len(model.seen) == 1


def test_several_windows_give_the_mean_logit(koelectra_folder: Path) -> None:
    """16 tokens leave room for 14; this discriminator's logit is the length of the window."""
    tokenizer = load_tokenizer(str(koelectra_folder), 1)

    class Lengths(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=attention_mask.sum(1, keepdim=True).expand_as(input_ids).float() / 10)

    messages = ["가 " * 6, "가 " * 6, "가 " * 6, "가 " * 4]
    assert list(token_windows([6, 6, 6, 4], 14)) == [(0, 2), (1, 3), (2, 4)]
    scores = ZeroShotDetector(Lengths(), tokenizer, 16).message_scores(messages)
    expected = [1.4, (1.4 + 1.4) / 2, (1.4 + 1.2) / 2, 1.2]
    assert scores.tolist() == pytest.approx([sigmoid(logit) for logit in expected])


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80), st.integers(30, 100))
@settings(derandomize=True, deadline=None)
def test_windows_cover_every_message_within_the_budget(lengths: list[int], budget: int) -> None:
    windows = list(token_windows(lengths, budget))
    assert {index for start, end in windows for index in range(start, end)} == set(range(len(lengths)))
    assert all(sum(lengths[start:end]) <= budget for start, end in windows)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(windows))  # none inside another


def test_a_long_conversation_needs_few_windows() -> None:
    assert len(list(token_windows([10] * 1000, 126))) <= 2 * 1000 * 10 / 120


def test_batches_of_windows_change_nothing(loaded: ZeroShotDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = texts(60)
    expected = loaded.message_scores(messages)
    assert (loaded.message_scores(messages) == expected).all()  # deterministic: dropout is off
    assert len(set(expected.round(4).tolist())) > 20  # the test could see a mix-up
    for size in (1, 3):
        monkeypatch.setattr("electra_lab.zero_shot.WINDOWS_AT_ONCE", size)
        np.testing.assert_allclose(loaded.message_scores(messages), expected, atol=1e-5, rtol=0)


def test_scores_are_the_discriminators_own(loaded: ZeroShotDetector) -> None:
    """One short window by hand, through transformers' own call."""
    messages = ["안녕 뭐해", "집에 있어"]
    tokenizer = loaded.encoder.tokenizer
    encoded = tokenizer(" ".join(messages), return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        logits = loaded.discriminator(**encoded).logits[0, 1:-1]
    own = [logits[:4], logits[4:]]
    expected = [float(part.topk(3).values.mean().sigmoid()) for part in own]
    np.testing.assert_allclose(loaded.message_scores(messages), expected, atol=1e-6)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=33))
def test_any_conversation_is_scored_whole(loaded: ZeroShotDetector, messages: list[str]) -> None:
    scores = loaded.message_scores(messages)
    assert scores.shape == (len(messages),) and scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all()


def test_no_marks_of_messages_reach_the_discriminator(koelectra_folder: Path) -> None:
    """Typed ones stay text, and none is added: it has never seen them."""
    detector, model = stub(koelectra_folder, {})
    detector.message_scores(["가 [MSG] [SPEAKER_0] [SEP] 나", "다"])
    tokenizer = detector.encoder.tokenizer
    ids = model.seen[0]
    assert [index for index, token in enumerate(ids) if token in tokenizer.all_special_ids] == [0, len(ids) - 1]


def test_long_and_empty_messages(loaded: ZeroShotDetector) -> None:
    scores = loaded.message_scores(["안녕 " * 5000, "", "\u200b", "그래"])
    assert scores[0] > 0 and scores[1] == scores[2] == 0 and scores[3] > 0


def test_no_messages_get_a_sentence(loaded: ZeroShotDetector) -> None:
    for messages in ([], "안녕"):
        with pytest.raises(ValueError, match="a list of at least one message"):
            loaded.message_scores(messages)


def test_other_families_are_discriminators_with_one_label(koelectra_folder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(koelectra_folder))
    for num_labels in (1, 2):
        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        config = BertConfig(vocab_size=len(tokenizer), **sizes, max_position_embeddings=64, num_labels=num_labels)
        BertForTokenClassification(config).save_pretrained(tmp_path / str(num_labels))
        tokenizer.save_pretrained(tmp_path / str(num_labels))
    assert load_zero_shot(tmp_path / "1", 64).message_scores(["안녕"]).shape == (1,)
    with pytest.raises(ValueError, match=r"not a discriminator: it has 2 labels"):
        load_zero_shot(tmp_path / "2", 64)
    with pytest.raises(ValueError, match=r"max_length is 128, but .* has 64 positions"):
        load_zero_shot(tmp_path / "1")


def test_what_is_no_discriminator_is_refused(koelectra_folder: Path, tmp_path: Path) -> None:
    """A generator's head would be drawn at random without a word."""
    tokenizer = load_tokenizer(str(koelectra_folder))
    sizes = {"embedding_size": 16, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ElectraForMaskedLM(ElectraConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path / "generator")
    tokenizer.save_pretrained(tmp_path / "generator")
    with pytest.raises(ValueError, match=r"not a pretrained discriminator: .* weights are missing"):
        load_zero_shot(tmp_path / "generator")
    with pytest.raises(ValueError, match="no model configuration"):
        load_zero_shot(tmp_path / "nothing")
