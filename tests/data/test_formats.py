import json
import logging
import os
from pathlib import Path

import pytest

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.errors import IngestError
from electra_lab.data.formats import FORMATS, format_of, read_conversations

UTTERANCES = [
    {"id": "1", "form": "고침", "original_form": "누나 모해??", "speaker_id": "1", "time": "20191128 15:04"},
    {"id": "2", "form": "", "original_form": "", "speaker_id": "2"},
    {"id": "3", "form": "형식만", "speaker_id": "2\ufe0f"},
    {"id": "4", "form": "{emoji}", "original_form": "{emoji}", "speaker_id": "2"},
    {"id": "5", "form": None, "original_form": None, "speaker_id": "2"},
]


def nikl(identity: str, *documents: list[dict]) -> dict:
    """A corpus file as NIKL distributes it."""
    return {
        "id": identity,
        "metadata": {"title": "말뭉치", "annotation_level": ["원시"]},
        "document": [
            {"id": f"{identity}.{number}", "metadata": {"topic": "여행"}, "utterance": utterances}
            for number, utterances in enumerate(documents, 1)
        ],
    }


def one(path: Path) -> Conversation:
    (conversation,) = read_conversations([path])
    return conversation


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def error(path: Path) -> IngestError:
    with pytest.raises(IngestError) as caught:
        list(read_conversations([path]))
    return caught.value


def test_nikl(tmp_path: Path) -> None:
    path = write(tmp_path / "MDRW1900000002.json", nikl("MDRW1900000002", UTTERANCES))
    assert one(path) == Conversation(
        "MDRW1900000002",
        (
            Message("누나 모해??", "1", None, "20191128 15:04"),
            Message("형식만", "2"),  # form where the original is missing; the speaker without the selector
            Message("{emoji}", "2"),
        ),
        str(path),
    )


def test_nikl_with_several_documents_uses_their_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", nikl("MMRW1", UTTERANCES, UTTERANCES))
    assert [conversation.id for conversation in read_conversations([path])] == ["MMRW1.1", "MMRW1.2"]


def test_modified(tmp_path: Path) -> None:
    item = {
        "id": "MDRW1",
        "utterance": [{"original_form": "형 왔어", "label": 0}, {"original_form": "우표", "label": 1}],
    }
    expected = (Message("형 왔어", None, 0), Message("우표", None, 1))
    assert one(write(tmp_path / "list.json", [item])).messages == expected
    assert one(write(tmp_path / "object.json", item)).messages == expected
    item["utterance"][1] |= {"speaker_id": 2, "label": True}
    assert one(write(tmp_path / "speaker.json", [item])).messages[1] == Message("우표", "2", 1)
    item["utterance"][0] |= {"source": "chatbot-3", "kind": "benign"}
    assert one(write(tmp_path / "foreign.json", [item])).messages[0] == Message(
        "형 왔어", None, 0, source="chatbot-3", kind="benign"
    )


def test_jsonl(tmp_path: Path) -> None:
    lines = [
        {"id": "a", "messages": ["하나", "", {"text": "둘", "speaker": "민수", "label": 1, "time": "9:00"}]},
        {"messages": [{"text": "셋", "source": "dktc-1", "kind": "threat"}]},
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("\ufeff" + "\n\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    assert list(read_conversations([path])) == [
        Conversation("a", (Message("하나"), Message("둘", "민수", 1, "9:00")), str(path)),
        Conversation("x.3", (Message("셋", source="dktc-1", kind="threat"),), str(path)),
    ]


def test_format_follows_the_content_not_the_name_or_what_people_write(tmp_path: Path) -> None:
    line = {"id": '{"document": [{"utterance": 1}]}', "messages": ['"utterance":']}
    assert format_of(write(tmp_path / "chat.json", line)) == "jsonl"
    assert format_of(write(tmp_path / "a.txt", [{"id": "x", "utterance": []}])) == "modified"
    assert format_of(write(tmp_path / "b", nikl("x", []))) == "nikl"
    assert set(FORMATS) == {"nikl", "modified", "jsonl"}
    assert error(write(tmp_path / "c.json", {"something": 1})).code == "E106"


def test_folders_are_walked_in_order_without_links(tmp_path: Path) -> None:
    for name in ("b/2.json", "b/1.json", "a/3.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, nikl(name, UTTERANCES))
    (tmp_path / "README.md").write_text("no conversation")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    assert [conversation.id for conversation in read_conversations([tmp_path])] == ["a/3.json", "b/1.json", "b/2.json"]


def test_pipes_and_links_in_a_folder_are_refused_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    assert error(tmp_path).code == "E104"
    (tmp_path / "pipe.json").unlink()
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nowhere")
    assert error(tmp_path).code == "E104"


def test_missing_path_and_folder_without_conversations(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        list(read_conversations([tmp_path / "nowhere"]))
    with pytest.raises(FileNotFoundError, match=r"no \.json"):
        list(read_conversations([tmp_path]))


def test_byte_order_mark_utf16_and_cp949_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = json.dumps(nikl("MDRW1", UTTERANCES), ensure_ascii=False).replace("\ufe0f", "")
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "cp949"):
        path = tmp_path / f"{encoding}.json"
        path.write_bytes(text.encode(encoding))
        with caplog.at_level(logging.WARNING):
            assert one(path).messages[0].text == "누나 모해??"
    assert [record.getMessage() for record in caplog.records] == [f"{path}: not UTF-8, read as CP949"]


def test_latin1_is_not_taken_for_cp949(tmp_path: Path) -> None:
    path = tmp_path / "latin.json"
    path.write_bytes('{"id": "x", "messages": ["é"]}'.encode("latin-1"))
    assert error(path).code == "E103"


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        ('{"messages": ["비밀"', "E101", "line 1"),
        ('{"messages": [' + "[" * 100_000, "E101", "line 1"),
        ('{"messages": [' + "9" * 5000 + "]}", "E101", "line 1"),
        ('{"messages": [], "id": "a", "id": "b"}', "E105", "line 1"),
        ('{"messages": [{"text": "비밀", "label": NaN}]}', "E107", "line 1"),
        ('{"messages": "비밀"}', "E108", "line 1/messages"),
        ('{"messages": [{"text": ["비밀"]}]}', "E108", "line 1/messages/0/text"),
        ('{"messages": ["a", {"text": "비밀", "label": "false"}]}', "E113", "line 1/messages/1/label"),
        ('{"messages": [{"text": "비밀", "label": 2}]}', "E113", "line 1/messages/0/label"),
        ('{"messages": [{"text": "비밀", "source": 7}]}', "E108", "line 1/messages/0/source"),
        ('{"id": "x", "utterance": [{"form": "비밀", "kind": []}]}', "E108", "/utterance/0/kind"),
        ('{"id": "x", "utterance": [{"label": 0}]}', "E109", "/utterance/0"),
        ('{"id": "x", "utterance": {}}', "E108", "/utterance"),
        ('[{"id": "x", "utterance": [{"form": "비밀", "label": 0.0}]}]', "E113", "/0/utterance/0/label"),
        ('{"document": {"utterance": "비밀"}}', "E108", "/document"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place_and_without_its_text(
    content: str, code: str, place: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    caught = error(path)
    assert (caught.code, caught.pointer or "line 1") == (code, place)
    assert str(path) in str(caught) and "비밀" not in str(caught) and "\n" not in str(caught)


def test_lone_surrogates_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"messages": ["\\ud800 \\ud83d\\ude00"]}')
    assert one(path).messages == (Message("\ufffd 😀"),)
