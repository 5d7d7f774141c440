import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra_lab.data.errors import IngestError
from electra_lab.data.exports.chat import Chat, Entry
from electra_lab.data.exports.json_elements import Element, Listing, listings
from electra_lab.data.exports.json_head import keys
from electra_lab.data.exports.records import entry_at
from electra_lab.data.exports.source import as_source
from tests.data.exports.conservation import assert_records
from tests.data.exports.reading import CHARACTERS, FEW

PATHS = ("/a/*/list", "/list")


def found(raw: bytes | str) -> list[Listing]:
    raw = raw.encode() if isinstance(raw, str) else raw
    return listings(as_source(Path("x.json"), "x.json", raw), PATHS, entry)


def entry(element: Element) -> Entry:
    return entry_at(element, "message", json.dumps(element.value, ensure_ascii=False))


def test_elements_and_what_is_around_them_have_their_places() -> None:
    raw = '{"name": "방",\n "list": [1,\n  {"b": [2,\n 3]}, "가"],\n "end": 0}\n'
    (listing,) = found(raw)
    assert listing.members == {"name": "방", "list": None, "end": 0}
    assert [(e.kind, e.text, e.line, e.num_lines, e.offset, e.size) for e in listing.entries] == [
        ("header", '{"name": "방",\n "list": [', 1, 2, 0, 26),
        ("message", "1", 2, 1, 26, 1),
        ("message", '{"b": [2, 3]}', 3, 2, 31, 14),
        ("message", '"가"', 4, 1, 47, 5),
        ("header", '],\n "end": 0}', 4, 2, 52, 13),
    ]


def test_several_lists_below_each_other() -> None:
    first, second = found('{"me": 1, "a": [{"list": [1, 2], "id": "x"}, {"list": []}], "z": 2}')
    assert [e.text for e in first.entries] == ['{"me": 1, "a": [', '{"list": [', "1", "2", '], "id": "x"}']
    assert [e.text for e in second.entries] == ['{"list": []}', '], "z": 2}']
    assert first.members["id"] == "x"


def test_the_same_identifier_twice_is_flagged_at_both() -> None:
    (listing,) = found('{"list": [{"id": 1}, {"id": 2}, {"id": 1}, {"id": [1]}, {"id": "1"}]}')
    assert [e.flags for e in listing.entries[1:]] == [("repeated_id",), (), ("repeated_id",), (), ()]


@pytest.mark.parametrize(
    ("raw", "code", "line"),
    [
        ('{"list": [1,\n{"b": 2, "b": 3}]}', "E105", 2),
        ('{"list": [1],\n"list": [2]}', "E105", 2),
        ('{"list": [1],\n"b": {"c": 1, "c": 2}}', "E105", 2),
        ('{"list": [1,\n NaN]}', "E107", 2),
        ('{"b": -Infinity, "list": []}', "E107", 1),
        ('{"list": [' + "[" * 100_000 + "]" * 100_000 + "]}", "E101", 1),
        ('{"list": [' + "1" * 5_000 + "]}", "E101", 1),
        ('{"list": [1,\n2', "E101", 2),
        ('{"list": [1,\n]}', "E101", 2),
        ('{"list": [1\n2]}', "E101", 2),
        ('{"list": ["a\nb"]}', "E101", 1),
        ('{"list" [1]}', "E101", 1),
        ('{1: 2, "list": []}', "E101", 1),
        ('{"list": []} 1', "E101", 1),
        ("", "E101", 1),
        ('{"lists": [1]}', "E108", None),
        ('{"list": {}}', "E108", None),
        ("[1]", "E108", None),
    ],
)
def test_what_json_leaves_open_is_refused_with_its_line(raw: str, code: str, line: int | None) -> None:
    with pytest.raises(IngestError) as caught:
        found(raw)
    assert caught.value.code == code
    assert caught.value.pointer == (f"line {line}" if line else "/a/*/list or /list")


def test_a_key_that_may_be_a_name_is_not_said() -> None:
    with pytest.raises(IngestError, match="one of 3 characters twice") as caught:
        found('{"홍길동": 1, "홍길동": 2, "list": []}')
    assert "홍길동" not in str(caught.value)


def test_bytes_that_are_no_text_are_shown_and_marked_where_they_are() -> None:
    (listing,) = found(b'{"list": ["a\xff", "b\xef\xbf\xbd", "\\ud800"], "more": "' + b"." * 50 + b'"}')
    assert [(e.flags, e.offset, e.size) for e in listing.entries[1:4]] == [
        (("bad_bytes",), 10, 4),
        ((), 16, 6),  # a true U+FFFD
        ((), 24, 8),  # escaped by json.dumps in this test
    ]
    assert listing.entries[1].text == '"a\ufffd"'
    lone = entry_at(Element(None, "", 1, 1, 0, 2, False), "message", "\ud800", "\udc00")
    assert (lone.text, lone.speaker, lone.flags) == ("\ufffd", "\ufffd", ("bad_bytes",))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-32-be", "cp949"])
def test_places_are_bytes_in_every_encoding(encoding: str) -> None:
    text = '{"방": "가\\u00e9",\r\n"list": ["가나",\r\n"다"]}'
    mark = {"utf-16-le": "\ufeff", "utf-32-be": "\ufeff"}.get(encoding, "")
    raw = (mark + text).encode(encoding)
    (listing,) = found(raw)
    assert [(e.text, e.line) for e in listing.entries[1:3]] == [('"가나"', 2), ('"다"', 3)]
    for entry in listing.entries:
        part = raw[entry.offset : entry.offset + entry.size].decode(encoding.removesuffix("-sig"))
        assert part.startswith(entry.text[:3])
    assert listing.members["방"] == "가é"


VALUES = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from(CHARACTERS), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=5,
)


@FEW
@given(st.lists(VALUES, max_size=5), st.dictionaries(st.text(max_size=3), VALUES, max_size=3), st.booleans())
def test_elements_are_those_of_the_json_module(elements: list[Any], around: dict[str, Any], is_wide: bool) -> None:
    value = around | {"list": elements}
    raw = json.dumps(value, ensure_ascii=False, indent=1 if is_wide else None).encode()
    (listing,) = found(raw)
    texts = [e.text for e in listing.entries if e.kind == "message"]
    assert [json.loads(text) for text in texts] == elements
    assert {key: member for key, member in listing.members.items() if key != "list"} == {
        key: member for key, member in around.items() if key not in ("list", "a")
    } | ({"a": listing.members["a"]} if "a" in around else {})
    assert_records(raw, [Chat("x", "x", None, ("x",), tuple(listing.entries))], len(elements))


def test_keys_of_a_file_that_ends_anywhere() -> None:
    head = '{"a": [{"b": "c", "d": [1, {"x": "\\"y"}]}], "t": "q", "u": {"v'
    assert keys(head) == {"/a": None, "/a/*/b": "c", "/a/*/d": None, "/a/*/d/*/x": '\\"y', "/t": "q", "/u": None}
    assert keys('{"a": 1} {"b": 2}') == {"/a": None}
    assert keys('{"a": [{"b": "text", "b2": 1}, {"b": "\\"key\\": 1"}]}').keys() == {"/a", "/a/*/b", "/a/*/b2"}
    assert not keys("") and not keys("hello: x") and not keys("]}") and not keys('"a": 1')


@FEW
@given(st.text(st.sampled_from('ab"\\{}[]:, 1')))
def test_keys_never_fail(head: str) -> None:
    keys(head)


@pytest.mark.parametrize(
    "head", ['{"a":' * 13_000, '"' * 65_536, '{"' + "\\" * 65_534, "[" * 65_536, '{"a":"b",' * 7_000]
)
def test_keys_take_linear_time(head: str) -> None:
    start = time.process_time()
    keys(head)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("start", "element", "end"),
    [
        ('{"list": [', '{"id": 1,\n"a": "가\\n"},', "1]}"),
        ('{"a": [', '{"n": "x", "list": [1, 2]},', '{"list": []}]}'),
        ('{"m": 1', ',"%d": [1, {}]', ', "list": []}'),
        ('{"list": ["', "가", '"]}'),
        ('{"list": [', " ", "1]}"),
    ],
)
def test_the_time_is_linear(start: str, element: str, end: str) -> None:
    def seconds(size: int) -> float:
        middle = "".join(element.replace("%d", str(number)) for number in range(size // len(element)))
        raw = (start + middle + end).encode()
        begin = time.process_time()
        assert found(raw)
        return time.process_time() - begin

    small = min(seconds(4_000) for _ in range(3))
    assert seconds(40_000) < 40 * small + 0.05  # quadratic: 100
