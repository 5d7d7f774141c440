"""All problems of a corpus at once, in the report and, the first fifty, in the log; a share of them may be left out."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from electra_lab.data.detection import ConversationDataModule
from electra_lab.data.errors import IngestError
from electra_lab.data.ingest import REPORT, read_corpus
from electra_lab.data.splits import Splits, assert_no_leakage
from electra_lab.data.windows import window_bounds
from tests.made_up_files import write_lines


def talk(name: str, text: str = "안녕", **more: object) -> dict:
    return {"id": name, "messages": [{"text": text, "speaker": "민수"} | more]}


def report(folder: Path) -> dict:
    return json.loads((folder / REPORT).read_text(encoding="utf-8"))


def test_every_problem_of_every_file_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "data").mkdir()
    write_lines(tmp_path / "data/a.jsonl", talk("a"), "{", talk("b", label="no"), talk("a"), talk("c"))
    write_lines(tmp_path / "data/b.json", {"document": [{"utterance": [{}]}, {"utterance": [{"form": "비밀"}]}, 3]})
    (tmp_path / "data/c.json").write_bytes(b"\xff" * 99)
    with caplog.at_level(logging.INFO), pytest.raises(ValueError, match="6 of 9 conversations") as caught:
        read_corpus([tmp_path / "data"], report_folder=tmp_path)
    assert "the first:" in str(caught.value) and "data.max_bad (now 0)" in str(caught.value)
    expected = [
        ("E101", "a.jsonl", "line 2"),
        ("E113", "a.jsonl", "line 3/messages/0/label"),
        ("E112", "a.jsonl", "a"),
        ("E109", "b.json", "/document/0/utterance/0"),
        ("E108", "b.json", "/document/2"),
        ("E106", "c.json", ""),
    ]
    found = report(tmp_path)
    assert [(p["code"], Path(p["path"]).name, p["pointer"]) for p in found["problems"]] == expected
    assert (found["num_problems"], found["conversations"], found["files"]) == (6, 3, 2)
    assert [code for code, _, _ in expected] == [line[-5:-1] for line in caplog.messages]
    assert "비밀" not in caplog.text + json.dumps(found, ensure_ascii=False)


def test_fifty_are_shown_and_all_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_lines(tmp_path / "a.jsonl", talk("a"), *["{"] * 70)
    with caplog.at_level(logging.INFO), pytest.raises(ValueError, match="70 of 71"):
        read_corpus([path], report_folder=tmp_path)
    assert len(caplog.messages) == 50
    assert len(report(tmp_path)["problems"]) == report(tmp_path)["problems_by_code"]["E101"] == 70


def test_a_share_may_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_lines(tmp_path / "a.jsonl", "{", *(talk(str(number)) for number in range(9)))
    corpus = read_corpus([path], max_bad=0.1, report_folder=tmp_path)
    assert [conversation.id for conversation in corpus.conversations] == [str(number) for number in range(9)]
    assert corpus.num_left_out == report(tmp_path)["num_problems"] == 1
    assert "1 of 10 conversations are left out" in caplog.text
    with pytest.raises(IngestError, match="line 1"):
        read_corpus([path], max_bad=0.099)


def test_labels_that_slipped_are_never_left_out(tmp_path: Path) -> None:
    lines = [talk(str(number)) for number in range(98)]
    path = write_lines(tmp_path / "a.jsonl", "{", *lines, talk("x", text="", label=1))
    with pytest.raises(ValueError, match=r"2 of 100 .* \(E114\); it is not left out"):
        read_corpus([path], max_bad=0.5)


def test_speakers_are_counted_and_not_named(tmp_path: Path) -> None:
    group = {"id": "b", "messages": [{"text": "a", "speaker": name} for name in ("민수", "영희", "철수")]}
    read_corpus([write_lines(tmp_path / "a.jsonl", talk("a"), group, {"messages": ["a"]})], report_folder=tmp_path)
    assert report(tmp_path)["conversations_by_number_of_speakers"] == {"0": 1, "1": 1, "3": 1}
    assert "민수" not in (tmp_path / REPORT).read_text(encoding="utf-8")


def lines_to_learn_from(number: int) -> list[dict]:
    return [
        {"id": str(k), "messages": [{"text": f"{k} {m} 나무", "label": int(m == k % 3)} for m in range(5)]}
        for k in range(number)
    ]


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_process_of_a_run_writes_the_report(rank: int, tmp_path: Path, koelectra_folder: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", *lines_to_learn_from(19), "{")
    datamodule = ConversationDataModule(str(koelectra_folder), str(path), max_bad=0.05, max_length=64)
    datamodule.trainer = SimpleNamespace(  # type: ignore[assignment]
        default_root_dir=tmp_path, is_global_zero=rank == 0, global_rank=rank, world_size=2
    )
    assert datamodule.summary()["left_out_conversations"] == 1
    assert (tmp_path / REPORT).exists() == (rank == 0)


@pytest.mark.parametrize("share", [-0.1, 1.0, 50.0])
def test_a_share_is_below_one(share: float) -> None:
    with pytest.raises(ValueError, match="max_bad is a share"):
        ConversationDataModule("x", max_bad=share)


def test_text_that_the_tokenizer_cannot_read_is_said(
    tmp_path: Path, koelectra_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = lines_to_learn_from(20)
    for message in lines[7]["messages"]:
        message["text"] = "привет всем"
    datamodule = ConversationDataModule(
        str(koelectra_folder), str(write_lines(tmp_path / "a.jsonl", *lines)), max_length=64
    )
    assert datamodule.summary()["mostly_unknown_windows"] == 1
    assert "1 of 20 windows are mostly [UNK]" in caplog.text


def test_ten_thousand_messages_have_1999_windows() -> None:
    assert len(window_bounds(10_000, 10, 5)) == 1999


def test_the_same_conversation_in_training_and_test_is_refused(tmp_path: Path) -> None:
    text = "아무 뜻도 없이 길기만 한 문장을 여기에 하나 적어 둔다"
    conversations = read_corpus(
        [write_lines(tmp_path / "a.jsonl", talk("a", text), talk("b"), talk("c", text))]
    ).conversations
    with pytest.raises(ValueError, match="E120"):
        assert_no_leakage(Splits([0], [1], [2]), conversations)
