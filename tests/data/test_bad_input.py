"""The catalogue of bad input, a row a case: an error with its code and place, or a repair that is counted."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from electra_lab.data import documents
from electra_lab.data.errors import IngestError
from electra_lab.data.formats import attempts, strict_json
from electra_lab.data.ingest import REPORT, read_corpus

SECRET = "비밀"  # what somebody wrote; in no error


def line(*messages: object, **more: object) -> bytes:
    """A conversation of JSON Lines."""
    return json.dumps({"id": "a", "messages": messages} | more, ensure_ascii=False).encode("utf-8", "surrogatepass")


def nikl(*utterances: dict, **more: object) -> bytes:
    """A NIKL file of one document."""
    corpus = {"id": "MDRW1", "document": [{"id": "MDRW1.1", "utterance": utterances}]} | more
    return json.dumps(corpus, ensure_ascii=False).encode()


def modified(*utterances: dict) -> bytes:
    """A file of the modified form."""
    return json.dumps([{"id": "MDRW1", "utterance": utterances}], ensure_ascii=False).encode()


HELLO = {"text": "안녕", "speaker": "1"}
ERRORS = {  # file, content, code, place
    "not JSON": ("a.jsonl", b'{"messages": ["' + SECRET.encode() + b'" x]}', "E101", "line 1"),
    "truncated JSON": ("a.json", nikl({"form": SECRET})[:-20], "E101", ""),
    "nothing but nesting": ("a.json", b'{"document": ' + b"[" * 100_000, "E101", ""),
    "nesting below an object": ("a.jsonl", b'{"messages": [' + b'{"a":' * 100_000, "E101", "line 1"),
    "an endless number": ("a.jsonl", b'{"messages": [], "id": ' + b"9" * 5000 + b"}", "E101", "line 1"),
    "a raw control character": ("a.jsonl", b'{"messages": ["\x01"]}', "E101", "line 1"),
    "neither UTF-8 nor CP949": ("a.jsonl", line("é").decode().encode("latin-1"), "E103", "line 1"),
    "CP949 without Hangul": ("a.jsonl", line("亞").decode().encode("cp949"), "E103", "line 1"),
    "half a UTF-16 character": ("a.jsonl", line("안").decode().encode("utf-16") + b"\x00", "E103", ""),
    "surrogates in UTF-8 bytes": ("a.jsonl", line("\ud800"), "E103", "line 1"),
    "a key twice": ("a.jsonl", b'{"messages": [], "messages": []}', "E105", "line 1"),
    "a name twice as key": ("a.jsonl", f'{{"messages": [], "{SECRET}": 1, "{SECRET}": 2}}'.encode(), "E105", "line 1"),
    "no known form": ("a.json", b'{"chats": []}', "E106", ""),
    "an empty file": ("a.json", b"", "E106", ""),
    "NaN": ("a.jsonl", b'{"messages": [{"text": "a", "label": NaN}]}', "E107", "line 1"),
    "infinity": ("a.json", b'{"document": [], "x": -Infinity}', "E107", ""),
    "a wrong type": ("a.jsonl", line([SECRET]), "E108", "line 1/messages/0"),
    "messages that are null": ("a.jsonl", b'{"messages": null}', "E108", "line 1/messages"),
    "another form in a line": ("a.jsonl", line("a") + b'\n{"document": []}', "E108", "line 2/messages"),
    "an id that is a list": ("a.jsonl", line("a", id=[SECRET]), "E108", "line 1/id"),
    "a time that is an object": ("a.jsonl", line(HELLO | {"time": {SECRET: 1}}), "E108", "line 1/messages/0/time"),
    "a speaker that is true": (
        "a.json",
        nikl({"form": "a", "speaker_id": True}),
        "E108",
        "/document/0/utterance/0/speaker_id",
    ),
    "no text": ("a.json", nikl({"speaker_id": "1"}), "E109", "/document/0/utterance/0"),
    "an empty conversation": ("a.jsonl", line(), "E110", "a"),
    "a conversation of blanks": ("a.json", nikl({"form": " "}, {"form": None}), "E110", "MDRW1"),
    "a missing speaker": ("a.jsonl", line(HELLO, SECRET), "E111", "a"),
    "an utterance's id twice": (
        "a.json",
        nikl({"id": "1", "form": "a"}, {"id": "1", "form": "b"}),
        "E112",
        "/document/0/utterance/1/id",
    ),
    "a conversation's id twice": ("a.jsonl", line("a") + b"\n" + line("b"), "E112", "a"),
    "a label that is a string": ("a.json", modified({"form": "a", "label": "false"}), "E113", "/0/utterance/0/label"),
    "a label of 2": ("a.jsonl", line(HELLO | {"label": 2}), "E113", "line 1/messages/0/label"),
    "a label that is a fraction": ("a.jsonl", line(HELLO | {"label": 1.0}), "E113", "line 1/messages/0/label"),
    "a label without a message": ("a.json", modified({"form": "", "label": 1}), "E114", "/0/utterance/0/label"),
    "a text beyond measure": ("a.jsonl", line("가" * 1_000_001), "E115", "line 1/messages/0"),
}
READ = {  # file, content, messages, what was repaired how often
    "a byte order mark": ("a.json", b"\xef\xbb\xbf" + nikl({"form": "안녕"}), ("안녕",), {"byte_order_mark": 1}),
    "CP949": ("a.json", nikl({"form": "똠방각하"}).decode().encode("cp949"), ("똠방각하",), {"cp949": 1}),
    "UTF-16": ("a.json", nikl({"form": "안녕"}).decode().encode("utf-16"), ("안녕",), {"utf_16": 1}),
    "UTF-16 without a mark": ("a.json", nikl({"form": "안녕"}).decode().encode("utf-16-be"), ("안녕",), {"utf_16": 1}),
    "UTF-16 in lines": (
        "a.jsonl",
        (line("안녕") + b"\n" + line("또", id=2)).decode().encode("utf-16"),
        ("안녕", "또"),
        {"utf_16": 1},
    ),
    "lone surrogates": (
        "a.jsonl",
        rb'{"messages": ["\ud800\udfffA \uDC00", "\ud83d\ude00"]}',
        ("\U000103ffA \ufffd", "😀"),
        {"surrogates": 1},
    ),
    "decomposed Hangul": ("a.jsonl", line("\u1112\u1161\u11ab"), ("\u1112\u1161\u11ab",), {"decomposed": 1}),
    "jamo in place of letters": ("a.jsonl", line("ᄋais"), ("ᄋais",), {"decomposed": 1}),
    "zero width, bidi and NUL": (
        "a.jsonl",
        line("아\u200b이스", "\u202e스이아", "\0", "아"),
        ("아\u200b이스", "\u202e스이아", "\0", "아"),
        {"invisible": 3},
    ),
    "empty messages": (
        "a.json",
        nikl({"form": "a"}, {"form": ""}, {"form": "", "label": 0}),
        ("a",),
        {"empty_messages": 2},
    ),
    "one message": ("a.jsonl", line("안녕"), ("안녕",), {}),
    "no speakers at all": ("a.json", modified({"original_form": "a"}, {"original_form": "b"}), ("a", "b"), {}),
    "three speakers": ("a.jsonl", line(*({"text": s, "speaker": s} for s in "abc")), ("a", "b", "c"), {}),
    "a long message": ("a.jsonl", line("가" * 100_000), ("가" * 100_000,), {}),
    "emoji": ("a.jsonl", line("👨‍👩‍👧‍👦"), ("👨‍👩‍👧‍👦",), {"invisible": 1}),
    "compatibility jamo": ("a.jsonl", line("ㅋㅋ"), ("ㅋㅋ",), {}),
    "other line separators": ("a.jsonl", line("a\u2028b\x85c\u000bd"), ("a\u2028b\x85c\u000bd",), {"invisible": 1}),
    "CRLF": ("a.jsonl", line("a") + b"\r\n\r\n" + line("b", id="b") + b"\r\n", ("a", "b"), {}),
    "control tokens": ("a.jsonl", line("[SEP] [MSG] [SPEAKER_1]"), ("[SEP] [MSG] [SPEAKER_1]",), {}),
}


@pytest.mark.parametrize(("name", "content", "code", "place"), ERRORS.values(), ids=ERRORS)
def test_errors(name: str, content: bytes, code: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(IngestError) as caught:
        read_corpus([path], report_folder=tmp_path)
    assert (caught.value.code, caught.value.pointer) == (code, place)
    said = str(caught.value) + (tmp_path / REPORT).read_text(encoding="utf-8")
    assert str(path) in said and SECRET not in said and "가가" not in said


@pytest.mark.parametrize(("name", "content", "texts", "repairs"), READ.values(), ids=READ)
def test_repairs(name: str, content: bytes, texts: tuple[str, ...], repairs: dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    conversations = read_corpus([path], report_folder=tmp_path).conversations
    assert tuple(message.text for conversation in conversations for message in conversation.messages) == texts
    report = json.loads((tmp_path / REPORT).read_text(encoding="utf-8"))["repairs"]
    made = {name: repair for name, repair in report.items() if repair["count"]}
    assert {name: repair["count"] for name, repair in made.items()} == repairs
    assert all(repair["files"] == [str(path)] for repair in made.values())


def test_the_raw_text_of_what_the_report_mentions_is_not_changed(tmp_path: Path) -> None:
    text = "ᄋais \u200b\u202e\x07"
    (tmp_path / "a.jsonl").write_bytes(line(text))
    assert read_corpus([tmp_path]).conversations[0].messages[0].text == text


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _out(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [_fifo, _dangling, _out, _device])
def test_what_is_no_file_is_not_opened(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "a.json")
    (error,) = attempts([tmp_path], Counter())
    assert isinstance(error, IngestError) and error.code == "E104"


def test_a_named_device_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to("/dev/zero")
    (error,) = attempts([tmp_path / "a.json"], Counter())
    assert isinstance(error, IngestError) and error.code == "E104"


def test_a_loop_of_links_is_walked_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.jsonl").write_bytes(line("안녕"))
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert len(read_corpus([tmp_path]).conversations) == 1


def test_what_cannot_be_opened_is_said_and_the_rest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_bytes(line("안녕", id=name))
    opened = Path.open

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path.name == "a.jsonl":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    error, conversation = attempts([tmp_path], Counter())
    assert isinstance(error, IngestError) and (error.code, error.got) == ("E102", "Permission denied")
    assert not isinstance(conversation, IngestError) and conversation.id == "b.jsonl"


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_file_or_line_too_large_to_be_read_at_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict_json, "LONGEST_FILE", 1 << 20)
    content = nikl({"form": "가" * 400_000}) if name == "a.json" else line(*["가" * 1000] * 400)
    (tmp_path / name).write_bytes(content)
    (error,) = attempts([tmp_path], Counter())
    assert isinstance(error, IngestError) and error.code == "E115"


def test_names_that_are_no_text_stay_on_one_line(tmp_path: Path) -> None:
    # what unpacking an archive of Korean Windows leaves; and what a terminal would take for a command
    names = [os.fsdecode("대화.jsonl".encode("cp949")), "a\n\x1b[2J.jsonl"]
    (tmp_path / names[0]).write_bytes(b'{"messages": ["a"]}')
    (tmp_path / names[1]).write_bytes(b'{"messages": [')
    error, conversation = sorted(
        attempts([tmp_path], Counter()), key=lambda result: not isinstance(result, IngestError)
    )
    assert isinstance(error, IngestError) and str(error).isprintable()
    assert not isinstance(conversation, IngestError)
    conversation.id.encode("utf-8")  # it is written to splits.json
    with pytest.raises(IngestError):
        read_corpus([tmp_path], report_folder=tmp_path)


TEXT = {
    "CP949": ("a.txt", "안녕\n\n또".encode("cp949"), [["안녕"], ["또"]]),
    "CP949, more than the encoding is told from": ("a.txt", ("안녕 " * 30_000).encode("cp949"), [["안녕 " * 30_000]]),
    "CP949 with an odd first letter": ("a.txt", ("a" + "안녕" * 30_000).encode("cp949"), [["a" + "안녕" * 30_000]]),
    "UTF-16": ("a.txt", "안녕\n\n또".encode("utf-16"), [["안녕"], ["또"]]),
    "a byte order mark": ("a.txt", "\ufeff안녕".encode(), [["안녕"]]),
    "a character across 64 KB": ("a.txt", ("a" + "안" * 30_000).encode(), [["a" + "안" * 30_000]]),
    "UTF-16 in lines": ("a.jsonl", '{"text": "안녕"}'.encode("utf-16"), [["안녕"]]),
    "no text": ("a.jsonl", b'{"text": null}\n{"messages": [{"text": null}, "a"]}', [["a"]]),
    "a key twice": ("a.jsonl", b'{"text": "a", "text": "b"}', "E105"),
    "a wrong type": ("a.jsonl", b'{"text": 5}', "E108"),
    "an object without text": ("a.jsonl", b'{"messages": [{"a": 1}]}', "E108"),
    "not JSON": ("a.jsonl", b"[", "E101"),
    "neither text nor messages": ("a.jsonl", b"{}", "E109"),
    "neither UTF-8 nor CP949": ("a.txt", "é".encode("latin-1"), "E103"),
    "CP949 after 64 KB of ASCII": ("a.txt", b"a" * 70_000 + "안".encode("cp949"), "E103"),
    "a line beyond measure": ("a.txt", b"a" * 2000, "E115"),
    "half a compressed file": ("a.txt.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "E102"),
    "a compressed file with a flipped bit": ("a.txt.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xff\xff\xff", "E102"),
}


@pytest.mark.parametrize(("name", "content", "expected"), TEXT.values(), ids=TEXT)
def test_golden_text_for_pretraining(
    name: str, content: bytes, expected: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(content)
    if expected == "E115":
        monkeypatch.setattr(documents, "LONGEST_LINE", 1999)
    if isinstance(expected, str):
        with pytest.raises(IngestError) as caught:
            list(documents.raw_documents([str(tmp_path / name)]))
        assert caught.value.code == expected
    else:
        read = filter(None, documents.raw_documents([str(tmp_path / name)]))
        assert [[text.removesuffix("\n") for text in document] for document in read] == expected
