import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra_lab.data.errors import IngestError
from electra_lab.data.exports import recognised
from electra_lab.data.exports.chat import Options
from tests.data.exports.conservation import assert_records
from tests.data.exports.reading import FEW, MANY, NAMES, PLAIN, TEXTS, brief, one, read

KOREAN = Options(columns=(("text", "내용"), ("speaker", "보낸이"), ("time", "시각"), ("chat", "방")))


def test_columns_that_the_user_names() -> None:
    table = (
        '방,보낸이,시각,비고,내용\n1,가,2020-01-02 오후 3:04,,"하나\n둘"\n'
        "2,나,2020. 1. 2. 오전 12:30,,셋\n1,다,,x,\n\n2,라\n"
    )
    raw = table.encode("cp949")
    first, second = read(raw, KOREAN)
    assert (first.format, first.title, second.title) == ("columns-csv", "1", "2")
    assert [entry.kind for entry in first.entries] == ["header", "message", "message", "blank", "unparsed"]
    assert brief(first)[:2] == [
        ("message", "가", "2020-01-02T15:04", "하나\n둘", ()),
        ("message", "다", None, "", ("no_date", "no_time")),
    ]
    assert brief(second) == [("message", "나", "2020-01-02T00:30", "셋", ())]
    assert_records(raw, [first, second], 5, "cp949")
    assert recognised(table, PLAIN) is None


def test_our_own_names_need_not_be_named() -> None:
    raw = b'id;"text";speaker\r\n1;a;\r\n2;"b;\r\n";B\r\n'
    chat = one(raw)
    assert [entry[1::2] for entry in brief(chat)] == [(None, "a"), ("B", "b;\r\n")]
    assert brief(chat)[0][4] == ("no_date", "no_time", "no_speaker")
    assert_records(raw, [chat], 2)
    assert one(b"time\ttext\n1577869200\ta,b\n").format == "columns-tsv"
    assert brief(one(b"time\ttext\n1577869200\ta,b\n"))[0][2] == "2020-01-01T09:00:00Z"


def test_a_message_a_line() -> None:
    lines = ['{"내용": "하나\\n둘", "보낸이": 5, "시각": null}', "", "[1]", '{"내용": ["a"]}', '{"방": "b"}']
    lines.append('{"내용": null, "방": "x", "시각": "?"}')
    raw = "".join(line + "\n" for line in lines).encode()
    first, second = read(raw, KOREAN)
    assert (first.format, first.title, second.title) == ("columns-jsonl", None, "x")
    assert brief(first) == [
        ("message", "5", None, "하나\n둘", ("no_date", "no_time")),
        ("blank", None, None, "", ()),
        ("unparsed", None, None, "[1]", ()),
        ("unparsed", None, None, '{"내용": ["a"]}', ()),
        ("unparsed", None, None, '{"방": "b"}', ()),
    ]
    assert brief(second) == [("message", None, None, "", ("unknown_time", "no_speaker"))]
    assert_records(raw, [first, second], 6)


def test_a_column_that_is_not_there() -> None:
    for raw in (b"text,b\n1,2\n", b'{"text": "a"}\n'):
        with pytest.raises(IngestError, match="a column 'who'"):
            read(raw, Options(columns=(("speaker", "who"),)))
    with pytest.raises(IngestError, match="a column 'text'"):
        read(b"a,b\n1,2\n", Options(format="columns-csv"))
    with pytest.raises(IngestError, match="a column 'text'"):
        read(b"", Options(format="columns-jsonl"))
    with pytest.raises(ValueError, match="known are text, speaker, time, chat"):
        read(b"a,b\n", Options(columns=(("author", "a"),)))


def test_a_table_of_other_things_is_not_taken_for_a_chat() -> None:
    for head in (
        "id,document,label\n1,text,0\n",
        "a\n",
        "",
        "hello, text!\n",
        '{"a": {"text": "b"}}',
        '{"a": [{"text": 1}]}',
    ):
        assert recognised(head, PLAIN) is None


TALKS = st.lists(st.tuples(TEXTS, NAMES, st.sampled_from(["r1", "r 2", "#3"])), max_size=6)
CASES = st.tuples(TALKS, st.sampled_from(",;\t"))


def check_round_trip(case: tuple[list[tuple[str, str, str]], str]) -> None:
    talk, delimiter = case
    names = ("text", "speaker", "chat")
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([names, *talk])
    raw = file.getvalue().encode()
    chats = read(raw)
    assert_records(raw, chats, len(talk))
    assert [chat.title for chat in chats] == (list(dict.fromkeys(room for _, _, room in talk)) or [None])
    for chat in chats:
        written = [(text, speaker) for text, speaker, room in talk if room == chat.title]
        assert [(entry.text, entry.speaker) for entry in chat.messages] == written
    raw = "".join(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in talk).encode()
    if talk:
        chats = read(raw)
        assert sorted((e.line, e.text, e.speaker) for chat in chats for e in chat.messages) == [
            (line, text, speaker) for line, (text, speaker, _) in enumerate(talk, 1)
        ]


test_round_trip = FEW(given(CASES)(check_round_trip))
test_many_round_trips = pytest.mark.slow(MANY(given(CASES)(check_round_trip)))
