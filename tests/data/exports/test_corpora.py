import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra_lab.data.errors import IngestError
from electra_lab.data.exports.chat import Options
from tests.data.exports.conservation import assert_records
from tests.data.exports.reading import FEW, MANY, NAMES, TEXTS, brief, one, raw_of, read, records

MISSING = ("no_date", "no_time")


def nikl(*documents: list[Any], identity: str = "MDRW1") -> bytes:
    """As the institute distributes it, with its misspelt key."""
    speakers = [{"id": "1", "pricipal_residence": "경기"}]
    return raw_of(
        {
            "id": identity,
            "metadata": {"title": "말뭉치"},
            "document": [
                {"id": f"{identity}.{number}", "metadata": {"speaker": speakers}, "utterance": utterances}
                for number, utterances in enumerate(documents, 1)
            ],
        }
    )


def test_nikl_as_distributed() -> None:
    utterances = [
        {"id": "1", "form": "고침", "original_form": "누나 모해??", "speaker_id": "1", "time": "20191128 15:04"},
        {"id": "2", "form": "고침", "original_form": "", "speaker_id": "2", "time": "20191128 00:05"},
        {"id": "3", "form": "형식만", "speaker_id": "2\ufe0f"},
        {"id": "4", "form": None, "original_form": "{share:photo}", "speaker_id": 2},
        {"id": "5", "original_form": "{system: delete}"},
    ]
    raw = nikl(utterances)
    chat = one(raw)
    assert (chat.format, chat.title) == ("nikl", "MDRW1.1")
    assert brief(chat) == [
        ("message", "1", "2019-11-28T15:04", "누나 모해??", ()),
        ("message", "2", "2019-11-28T00:05", "", ()),  # an empty message is one
        ("message", "2", None, "형식만", MISSING),
        ("message", "2", None, "{share:photo}", ("media", *MISSING)),
        ("message", None, None, "{system: delete}", ("deleted", *MISSING, "no_speaker")),
    ]
    assert_records(raw, [chat], 5)
    assert [len(chat.messages) for chat in read(nikl(utterances, [], utterances[:1]))] == [5, 0, 1]


@pytest.mark.parametrize(
    "element", [None, 5, "a", {}, {"form": 5}, {"form": "a", "speaker_id": []}, {"form": "a", "time": [1]}]
)
def test_utterances_of_another_form_are_listed(element: Any) -> None:
    chat = one(nikl([element]))
    assert [found.kind for found in records(chat)] == ["unparsed"]


def test_modified_list_and_object() -> None:
    item = {
        "id": "MDRW1",
        "utterance": [{"original_form": "형 왔어", "label": 0}, {"original_form": "우표", "label": 1}],
    }
    flags = (*MISSING, "no_speaker")
    expected = [("message", None, None, "형 왔어", flags), ("message", None, None, "우표", flags)]
    for value in ([item], item):
        chat = one(raw_of(value))
        assert (chat.format, chat.title, brief(chat)) == ("nikl-modified", "MDRW1", expected)
    assert [chat.title for chat in read(raw_of([item, item | {"id": "MDRW2"}]))] == ["MDRW1", "MDRW2"]


def lines(*values: Any) -> bytes:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()


def test_a_conversation_a_line() -> None:
    talk = {
        "id": "a",
        "messages": ["하나", {"text": "둘", "speaker": "나", "time": "2020-01-02 03:04"}, {"text": None}, ""],
    }
    raw = lines(talk, {"messages": []}) + b"\n" + lines({"messages": ["x"]}).removesuffix(b"\n")
    first, empty, last = read(raw)
    missing = (*MISSING, "no_speaker")
    assert (first.format, first.title, last.title) == ("jsonl", "a", None)
    assert brief(first) == [
        ("message", None, None, "하나", missing),
        ("message", "나", "2020-01-02T03:04", "둘", ()),
        ("message", None, None, "", missing),
        ("message", None, None, "", missing),
    ]
    assert [entry.kind for entry in empty.entries] == ["header"]
    assert [(entry.kind, entry.line) for entry in last.entries[:3]] == [("blank", 3), ("header", 4), ("message", 4)]
    assert_records(raw, [first, empty, last], 6)


def test_lines_that_are_no_conversation_are_listed() -> None:
    raw = (
        "\ufeff".encode()
        + lines({"id": 1, "messages": ["a", 5]})
        + b'{"messages": ["cut\n[1]\n'
        + lines({"messages": 3})
    )
    chats = read(raw)
    assert [[entry.kind for entry in records(chat)] for chat in chats] == [
        *(["message", "unparsed"], ["unparsed"], ["unparsed"], ["unparsed"]),
    ]
    assert_records(raw, chats, 5)
    with pytest.raises(IngestError, match="E106"):
        read(b"1\n2\n", Options(format="jsonl"))
    with pytest.raises(IngestError, match="E106"):
        read(b"", Options(format="jsonl"))


TALKS = st.lists(st.tuples(NAMES, TEXTS), min_size=1, max_size=5)


def check_round_trip(talk: list[tuple[str, str]]) -> None:
    utterances = [{"id": str(i), "original_form": text, "speaker_id": name} for i, (name, text) in enumerate(talk)]
    messages = [{"speaker": name, "text": text} for name, text in talk]
    for raw in (nikl(utterances), raw_of([{"id": "a", "utterance": utterances}]), lines({"messages": messages})):
        chat = one(raw)
        assert [(entry.speaker, entry.text) for entry in chat.messages] == talk
        assert_records(raw, [chat], len(talk))


test_round_trip = FEW(given(TALKS)(check_round_trip))
test_many_round_trips = pytest.mark.slow(MANY(given(TALKS)(check_round_trip)))
