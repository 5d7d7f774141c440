import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from electra_lab.data.detection import ConversationDataModule
from electra_lab.data.encoding import ConversationEncoder, Ids
from electra_lab.data.labelled_windows import LabelledWindows
from electra_lab.data.lexicon import occurrences, of_tokens, read_lexicon, with_masked_tokens, without_words
from electra_lab.data.ngrams import ngrams
from electra_lab.data.order import MicroBatch, in_order
from electra_lab.tokenizer import load_tokenizer

WORDS = ["아이스", "아이스크림", "Ice"]


@pytest.fixture(scope="module")
def encoder(koelectra_folder: Path) -> ConversationEncoder:
    return ConversationEncoder(load_tokenizer(str(koelectra_folder), 2), max_length=128)


def numbers(encoder: ConversationEncoder, texts: list[str], words: list[str] = WORDS) -> list[Ids]:
    return of_tokens(encoder, texts, occurrences(texts, words))


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
    assert [found.tolist() for found in numbers(encoder, texts)] == expected
    assert [spans.tolist() for spans in occurrences(texts, WORDS)[:3]] == [[[0, 3], [7, 12]], [[2, 5]], []]
    assert [len(ids) for ids in encoder.encode_texts(texts)] == [len(found) for found in expected]


def test_a_pattern_is_only_text(encoder: ConversationEncoder) -> None:
    assert numbers(encoder, ["a.b axb"], [".", "a.b"])[0].tolist() == [0, 0, 0, -1, -1, -1]


def test_occurrences_are_of_the_tokens_that_are_left(encoder: ConversationEncoder) -> None:
    # 124 tokens fit: of 130 the head and the tail stay
    before = encoder.num_capped
    text = "가 " * 61 + "아이스 " + "나 " * 61 + "아이스 다다"
    ids, found = encoder.encode_texts([text])[0], numbers(encoder, [text])[0]
    assert len(ids) == len(found) == 124 and encoder.num_capped == before + 1
    tokens = encoder.tokenizer.convert_ids_to_tokens(ids.tolist())
    hidden = [token for token, number in zip(tokens, found, strict=True) if number >= 0]
    assert hidden == ["아", "아", "##이", "##스"]
    # what looks like a control token is text, on either path
    control = "[SEP] 아이스 [MSG] <s>"
    assert len(encoder.encode_texts([control])[0]) == len(numbers(encoder, [control])[0])


def test_an_occurrence_is_hidden_whole() -> None:
    ids, found = np.arange(10, 16), np.array([-1, 0, 0, -1, 1, -1])
    for hidden, expected in (([1, 1], [10, 4, 4, 13, 4, 15]), ([0, 1], [10, 11, 12, 13, 4, 15]), ([0, 0], ids)):
        assert with_masked_tokens(ids, found, np.array(hidden, bool), 4).tolist() == list(expected)
    assert with_masked_tokens(ids[:0], found[:0], np.array([], bool), 4).tolist() == []


def test_a_text_without_its_hidden_words() -> None:
    text = "아이스를 산 아이스크림"
    (spans,) = occurrences([text], WORDS)
    for hidden, expected in (([1, 1], " 를 산  "), ([0, 1], "아이스를 산  "), ([0, 0], text)):
        assert without_words(text, spans, np.array(hidden, bool)) == expected
    assert without_words("나", np.zeros((0, 2), int), np.array([], bool)) == "나"


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


def test_what_is_hidden_is_hidden_from_the_ngrams_too(module: Callable[..., ConversationDataModule]) -> None:
    """Else the linear model would learn the words that the encoder is kept from."""
    batches = []
    for masking in (1.0, 0.0):
        windows = module(masking, ngrams=True).windows("train")
        batches.append(windows[MicroBatch(0, 0, np.arange(2), np.arange(2))])
    hidden, plain = ({*batch.ngram_ids.tolist()} for batch in batches)
    word = {*ngrams(["아이스"]).ids.tolist()}
    assert word <= plain and not word & hidden and len(plain - hidden) >= len(word)
    assert {*ngrams(["잔"]).ids.tolist()} <= hidden  # the rest is there


def test_words_are_hidden_as_often_as_asked_each_on_its_own(module: Callable[..., ConversationDataModule]) -> None:
    train = module(0.3).windows("train")
    mask = train.encoder.tokenizer.mask_token_id
    both = []
    for epoch in range(8):
        batch = train[MicroBatch(epoch, 0, np.arange(len(train)), np.arange(len(train)))]
        both += [
            (batch.input_ids[batch.message_of_token == message] == mask).sum().item() // 3
            for message in range(len(batch.message_labels))
        ]
    counts = np.bincount(both, minlength=3) / len(both)  # of the two occurrences in a message none, one, both
    assert np.abs(counts - [0.49, 0.42, 0.09]).max() < 4 * np.sqrt(0.25 / len(both))


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
