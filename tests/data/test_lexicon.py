import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from electra_lab.data.detection import ConversationDataModule
from electra_lab.data.encoding import ConversationEncoder
from electra_lab.data.labelled_windows import LabelledWindows
from electra_lab.data.lexicon import occurrences, read_lexicon, with_hidden_words
from electra_lab.data.order import MicroBatch, in_order
from electra_lab.tokenizer import load_tokenizer

WORDS = ["아이스", "아이스크림", "Ice"]


@pytest.fixture(scope="module")
def encoder(koelectra_folder: Path) -> ConversationEncoder:
    return ConversationEncoder(load_tokenizer(str(koelectra_folder), 2), max_length=128)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("words.txt", "\ufeff아이스\r\n\n  떨 \n아이스\n"),
        ("words.yaml", "# slang\n- 아이스\n- '떨'\n"),
        ("words.yml", "[아이스, 떨]"),
    ],
)
def test_read(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert read_lexicon(tmp_path / name) == ["아이스", "떨"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"\n \n", "no words"),
        ("a.txt", "떨".encode("cp949"), "not UTF-8"),
        ("a.yaml", b"words: {a: b}", "must be a list"),
        ("a.yaml", b"[a, 1]", "must be a list"),
        ("a.yaml", b"[a", "not YAML"),
    ],
)
def test_a_file_that_is_no_lexicon_is_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_lexicon(tmp_path / name)


def test_occurrences_by_hand(encoder: ConversationEncoder) -> None:
    # the vocabulary has single syllables: a token a syllable
    texts = ["아이스를 산 아이스크림", "나 ice 아이", "", "아 이스", "ㅋㅋ아이스"]
    expected = [[0, 0, 0, -1, -1, 1, 1, 1, 1, 1], [-1, 0, 0, 0, -1, -1], [], [-1, -1, -1], [-1, -1, 0, 0, 0]]
    assert [found.tolist() for found in occurrences(encoder, texts, WORDS)] == expected
    assert [len(ids) for ids in encoder.encode_texts(texts)] == [len(numbers) for numbers in expected]


def test_a_pattern_is_only_text(encoder: ConversationEncoder) -> None:
    assert occurrences(encoder, ["a.b axb"], [".", "a.b"])[0].tolist() == [0, 0, 0, -1, -1, -1]


def test_occurrences_are_of_the_tokens_that_are_left(encoder: ConversationEncoder) -> None:
    # 124 tokens fit: of 130 the head and the tail stay
    before = encoder.num_capped
    text = "가 " * 61 + "아이스 " + "나 " * 61 + "아이스 다다"
    ids, numbers = encoder.encode_texts([text])[0], occurrences(encoder, [text], WORDS)[0]
    assert len(ids) == len(numbers) == 124 and encoder.num_capped == before + 1
    tokens = encoder.tokenizer.convert_ids_to_tokens(ids.tolist())
    hidden = [token for token, number in zip(tokens, numbers, strict=True) if number >= 0]
    assert hidden == ["아", "아", "##이", "##스"]
    # what looks like a control token is text, on either path
    control = "[SEP] 아이스 [MSG] <s>"
    assert len(encoder.encode_texts([control])[0]) == len(occurrences(encoder, [control], WORDS)[0])


def test_an_occurrence_is_hidden_whole_and_as_often_as_asked() -> None:
    ids, numbers = np.arange(10, 16), np.array([-1, 0, 0, -1, 1, -1])
    rng = np.random.default_rng(0)
    draws = np.array([with_hidden_words([ids], [numbers], 0.3, rng, 4)[0] for _ in range(3000)]) == 4
    assert (draws[:, 1] == draws[:, 2]).all()
    assert not draws[:, [0, 3, 5]].any()
    assert np.abs(draws[:, [1, 4]].mean(0) - 0.3).max() < 0.035  # four standard deviations
    assert abs((draws[:, 1] & draws[:, 4]).mean() - 0.09) < 0.025  # each on its own
    assert with_hidden_words([ids, ids[:0]], [numbers, numbers[:0]], 1.0, rng, 4)[0].tolist() == [10, 4, 4, 13, 4, 15]
    assert ids.tolist() == list(range(10, 16))


@pytest.fixture(scope="module")
def module(koelectra_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ConversationDataModule]:
    """Conversations in which every message has the word twice, anomalous or not."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "words.txt").write_text("아이스", encoding="utf-8")
    lines = []
    for number in range(30):
        messages = [
            {"text": f"아이스 {number} 잔 {place} 아이스로", "label": int(place % 5 == 2)} for place in range(12)
        ]
        lines.append(json.dumps({"id": str(number), "messages": messages}, ensure_ascii=False))
    (folder / "chats.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def made(masking: float, **settings: object) -> ConversationDataModule:
        lexicon = str(folder / "words.txt") if masking else None
        options = {"batch_size": 8, "augmentation": 0.0, "lexicon": lexicon, "lexicon_masking": masking} | settings
        return ConversationDataModule(str(koelectra_folder), str(folder / "chats.jsonl"), **options)  # type: ignore[arg-type]

    return made


def ids(windows: LabelledWindows, epoch: int = 0) -> list[list[int]]:
    return [windows[key._replace(epoch=epoch)].input_ids.tolist() for key in in_order(len(windows), 1)]


def test_only_training_hides_words_and_does_so_anew_in_every_epoch(
    module: Callable[..., ConversationDataModule],
) -> None:
    hidden, plain = module(0.5), module(0.0)
    for name in ("validation", "test"):
        assert ids(hidden.windows(name)) == ids(plain.windows(name))
    train = hidden.windows("train")
    assert ids(train) == ids(train) != ids(train, epoch=1)
    for one, other in zip(ids(train), ids(plain.windows("train")), strict=True):
        assert {new for new, old in zip(one, other, strict=True) if new != old} <= {
            train.encoder.tokenizer.mask_token_id
        }


def test_hiding_does_not_depend_on_the_label(module: Callable[..., ConversationDataModule]) -> None:
    train = module(0.5).windows("train")
    mask = train.encoder.tokenizer.mask_token_id
    shares: dict[int, list[float]] = {0: [], 1: []}
    for epoch in range(4):
        batch = train[MicroBatch(epoch, 0, np.arange(len(train)), np.arange(len(train)))]
        for message, label in enumerate(batch.message_labels.tolist()):
            tokens = batch.input_ids[batch.message_of_token == message]
            shares[label].append((tokens == mask).sum().item() / 6)  # two occurrences of three tokens
    means = {label: np.mean(values) for label, values in shares.items()}
    assert abs(means[0] - 0.5) < 0.05 and abs(means[1] - 0.5) < 0.07


def test_augmentation_is_what_it_is_without_a_lexicon(module: Callable[..., ConversationDataModule]) -> None:
    hidden, plain = (module(masking, augmentation=1.0).windows("train") for masking in (0.5, 0.0))
    assert [*map(len, ids(hidden))] == [*map(len, ids(plain))] and ids(hidden) != ids(plain)


def test_one_without_the_other_is_refused(koelectra_folder: Path) -> None:
    with pytest.raises(ValueError, match="go together"):
        ConversationDataModule(str(koelectra_folder), lexicon_masking=0.5)
    with pytest.raises(ValueError, match="go together"):
        ConversationDataModule(str(koelectra_folder), lexicon="words.txt")
    with pytest.raises(FileNotFoundError):
        ConversationDataModule(str(koelectra_folder), lexicon="words.txt", lexicon_masking=0.5)
