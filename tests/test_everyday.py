"""The everyday-sense challenge: its conversations are what they claim, and its rates are counted right."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from electra_lab.bundle import save_detector
from electra_lab.data.formats import read_conversations
from electra_lab.data.text import for_model
from electra_lab.decisions import LEVELS
from electra_lab.inference import load_model_for_inference, predict_conversation
from electra_lab.models.backbone import load_backbone
from electra_lab.models.detector import Detector
from electra_lab.tokenizer import load_tokenizer
from experiments import everyday
from experiments.keywords import read_keywords
from tests.detector_settings import SETTINGS

KEYWORDS = Path(everyday.__file__).with_name("keywords.yaml")
LINES = [json.loads(line) for line in everyday.DATA.read_text(encoding="utf-8").splitlines()]
TERMS = (  # noqa: SIM905
    "아이스,얼음,크리스탈,작대기,뽕,샤부,떨,풀,고기,허브,위드,액상,엠페러,킹콩,"
    "레드불,캔디,도리도리,츄파춥스,스컬,몰리,엑시,케이,엘,우표,나비,밀가루,가루,커피,"
    "초크,탕,똥,영양제,피로회복제,코끼리,야바,던지기,드랍,좌표,산타,가스배달,드로퍼,상선,"
    "눈탱이,인증,샘플,텔레,위커,마약,시원한 술,차가운 술"
).split(",")


def kind(line: dict) -> str:
    (only,) = {message["kind"] for message in line["messages"]}
    return only


def test_conversations_are_read_as_harmless_and_unlike() -> None:
    conversations = list(read_conversations([everyday.DATA]))
    assert len(conversations) == len(LINES) >= 60
    assert len({conversation.id for conversation in conversations}) == len(conversations)
    assert len({tuple(m.text for m in conversation.messages) for conversation in conversations}) == len(conversations)
    texts = [message.text for conversation in conversations for message in conversation.messages]
    assert len(set(texts)) > 0.99 * len(texts)
    for conversation in conversations:
        assert 4 <= len(conversation.messages) <= 8
        assert {message.label for message in conversation.messages} == {0}
        assert {message.source for message in conversation.messages} == {None}
        assert len({message.speaker for message in conversation.messages}) == 2
        assert all(for_model(m.text) == m.text == m.text.strip() for m in conversation.messages)


def test_every_term_is_used_twice_or_more_and_stands_in_its_conversation() -> None:
    plain = [line for line in LINES if not kind(line).startswith(everyday.OBFUSCATED)]
    found = [kind(line) for line in plain]
    assert set(found) == set(TERMS) and all(found.count(term) >= 2 for term in TERMS)
    for line in plain:
        assert any(kind(line) in message["text"] for message in line["messages"]), line["id"]


def test_obfuscated_forms_stand_in_their_conversations() -> None:
    obfuscated = [line for line in LINES if kind(line).startswith(everyday.OBFUSCATED)]
    assert len(obfuscated) >= 20
    for line in obfuscated:
        term = kind(line).removeprefix(everyday.OBFUSCATED)
        assert term in TERMS and line["form"] != term, line["id"]
        assert any(line["form"] in message["text"] for message in line["messages"]), line["id"]


@pytest.fixture(scope="module")
def folder(koelectra_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = load_tokenizer(str(koelectra_folder), 2)
    torch.manual_seed(3)
    detector = Detector(load_backbone(str(koelectra_folder), len(tokenizer)))
    for parameter in detector.parameters():
        parameter.data.mul_(2.0)
    settings = replace(
        SETTINGS,
        window=5,  # so that a conversation has windows of its own
        stride=2,
        thresholds={"window": 0.5, "message": 0.45, "conversation": 0.5},
        review_thresholds=dict.fromkeys(LEVELS, 0.4),
    )
    folder = tmp_path_factory.mktemp("run") / "detector"
    save_detector(detector, tokenizer, settings, folder)
    return folder


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Two plain conversations of one term, one of another, one obfuscated."""
    some = [*LINES[:3], next(line for line in LINES if "form" in line)]
    path = tmp_path / "few.jsonl"
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in some), encoding="utf-8")
    return path


def test_rates_are_those_of_the_predictions(
    folder: Path, few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rates.json"
    arguments = ["--model", str(folder), "--keywords", str(KEYWORDS), "--data", str(few), "--json", str(out)]
    everyday.main(arguments)
    shown = capsys.readouterr().out
    rates = json.loads(out.read_text(encoding="utf-8"))
    assert list(rates) == ["everyday", "obfuscated", "아이스", "얼음", "obfuscated:아이스"]
    model, tokenizer = load_model_for_inference(folder)
    conversations = list(read_conversations([few]))
    found = [predict_conversation(model, tokenizer, conversation.messages) for conversation in conversations[:3]]
    expected = {
        "message": [message.is_anomalous for prediction in found for message in prediction.messages],
        "window": [window.is_anomalous for prediction in found for window in prediction.windows],
        "conversation": [prediction.is_anomalous for prediction in found],
    }
    for level, flags in expected.items():
        rate = rates["everyday"]["detector"][level]
        assert (rate["alarms"], rate["num"]) == (sum(flags), len(flags))
        assert rate["rate"] == pytest.approx(sum(flags) / len(flags))
    keywords = read_keywords(KEYWORDS)
    hits = [keywords.hits(m.text) > 0 for conversation in conversations[:2] for m in conversation.messages]
    assert rates["아이스"]["keywords"]["message"]["alarms"] == sum(hits) > 0
    assert rates["아이스"]["keywords"]["conversation"]["rate"] == 1.0
    assert rates["obfuscated"]["keywords"]["conversation"]["rate"] == 0.0  # a list finds no changed spelling
    header, _, *rows = shown.strip().splitlines()
    assert header.count("detector: ") == header.count("keywords: ") == 3 and len(rows) == 5
    assert "1.000 (2/2)" in rows[2] and rows[2].startswith("| 아이스 |")
    assert not any(message.text in shown for conversation in conversations for message in conversation.messages)


def test_a_kind_called_as_a_total_is_not_counted_twice(folder: Path, few: Path) -> None:
    conversations = [
        replace(talk, messages=tuple(replace(message, kind="everyday") for message in talk.messages))
        for talk in read_conversations([few])
    ]
    counts = everyday.count(conversations, load_model_for_inference(folder)[0])
    assert counts["everyday"]["detector"]["conversation"][1] == len(conversations) == 4
    assert counts["everyday (kind)"] == counts["everyday"]


def test_without_keywords_there_is_the_detector_alone(
    folder: Path, few: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everyday.main(["--model", str(folder), "--data", str(few)])
    assert "keywords" not in capsys.readouterr().out


def test_mistakes_get_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"experiments.everyday: .*no such folder"):
        everyday.main(["--model", str(tmp_path / "nothing")])
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "x", "messages": [{"text": "비밀", "label": 1}]}')
    with pytest.raises(SystemExit, match="conversation x has a message labelled 1, not 0") as error:
        everyday.main(["--model", str(folder), "--data", str(path)])
    assert "비밀" not in str(error.value)
    path.write_text('{"id": "x", "messages": []}')
    with pytest.raises(SystemExit, match=r"bad\.jsonl: conversation x has no messages"):
        everyday.main(["--model", str(folder), "--data", str(path)])
