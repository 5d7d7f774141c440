import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra_lab.data.exports.facebook import mended
from tests.data.exports.conservation import assert_records
from tests.data.exports.reading import FEW, MANY, NAMES, TEXTS, brief, one, raw_of, records

NOON = 1_588_334_400_123  # milliseconds: 2020-05-01T12:00:00.123Z


def broken(value: Any) -> Any:
    """Each byte of UTF-8 as a character, as the exporting program writes it."""
    if isinstance(value, str):
        return value.encode("utf-8").decode("latin-1")
    if isinstance(value, list):
        return [broken(item) for item in value]
    return {key: broken(item) for key, item in value.items()} if isinstance(value, dict) else value


def thread(*newest_first: Any, title: str = "방") -> bytes:
    """As the download has it: characters beyond ASCII as escapes."""
    value = {"participants": [{"name": "가"}, {"name": "나"}], "messages": list(newest_first), "title": title}
    value |= {"is_still_participant": True, "thread_path": "inbox/room_1", "magic_words": []}
    return json.dumps(broken(value), indent=2).encode()


def message(seconds: float = 0, **members: Any) -> dict[str, Any]:
    return {
        "sender_name": "가",
        "timestamp_ms": NOON + int(1000 * seconds),
        "is_geoblocked_for_viewer": False,
        **members,
    }


def entry(**members: Any) -> tuple[str, str | None, str | None, str, tuple[str, ...]]:
    (found,) = brief(one(thread(message(**members))))
    return found


def test_the_newest_message_comes_last_with_its_own_place() -> None:
    raw = thread(message(60, content="둘", sender_name="나"), message(0, content="하나 😀"))
    assert rb"\u00ed\u0095\u0098\u00eb\u0082\u0098" in raw
    chat = one(raw)
    assert (chat.format, chat.title) == ("facebook", "방")
    assert brief(chat) == [
        ("message", "가", "2020-05-01T12:00:00.123Z", "하나 😀", ("mojibake",)),
        ("message", "나", "2020-05-01T12:01:00.123Z", "둘", ("mojibake",)),
    ]
    assert [found.kind for found in chat.entries] == ["header", "message", "message", "header"]
    first, second = records(chat)
    assert second.offset < first.offset and second.line < first.line
    assert_records(raw, [replace(chat, entries=tuple(sorted(chat.entries, key=lambda found: found.offset)))], 2)


def test_a_file_that_somebody_sorted_stays_as_it_is() -> None:
    chat = one(thread(message(0, content="1"), message(60, content="2")))
    assert [found[3] for found in brief(chat)] == ["1", "2"]


def test_messages_of_one_time_are_turned_round_too() -> None:
    assert [found[3] for found in brief(one(thread(message(content="2"), message(content="1"))))] == ["1", "2"]


def test_only_what_was_broken_is_mended() -> None:
    assert mended("ìë") == ("ìë", False)  # no UTF-8
    assert mended("café") == ("café", False)
    assert mended("가") == ("가", False)
    assert mended("plain") == ("plain", False)
    assert mended(broken("가나 é 😀")) == ("가나 é 😀", True)


def test_media_reactions_and_shares_without_a_text_are_messages() -> None:
    assert entry(sender_name="A", photos=[{"uri": "a.jpg"}])[3:] == ("", ("media",))
    assert entry(sender_name="A", share={"link": "https://a.b"})[3:] == ("", ("media",))
    assert entry(sender_name="A", reactions=[{"reaction": "❤", "actor": "나"}])[3:] == ("", ())
    assert entry(sender_name="A")[0] == "message"


def test_deleted() -> None:
    assert entry(sender_name="A", is_unsent=True)[4] == ("deleted",)
    assert entry(sender_name="A", is_unsent=False, content="a")[4] == ()


def test_events() -> None:
    assert entry(type="Subscribe", content="가 added 나.")[0] == "system"
    assert entry(type="Call", content="The call ended.", call_duration=0)[0] == "system"
    assert entry(content="The call ended.", call_duration=0)[0] == "system"  # without type, as written today
    assert entry(type="Generic", content="가 added 나.")[0] == "message"


def test_no_time_and_no_name() -> None:
    assert entry(sender_name="", timestamp_ms=None, content="a")[1:] == (
        *(None, None, "a"),
        ("no_date", "no_time", "no_speaker"),
    )
    assert entry(timestamp_ms=10**30, content="a")[2] is None


@pytest.mark.parametrize("element", [None, 3, [], {}, {"content": "a"}, message(content=5), message(sender_name=None)])
def test_what_has_another_form_is_listed(element: Any) -> None:
    chat = one(thread(element))
    assert [found.kind for found in records(chat)] == ["unparsed"]


def test_encrypted_chats_have_other_names_and_whole_letters() -> None:
    def text(seconds: int, text: str, **members: Any) -> dict[str, Any]:
        plain = {"isUnsent": False, "media": [], "reactions": [], "senderName": "가", "text": text}
        return {**plain, "timestamp": NOON + seconds * 1000, "type": "text", **members}

    raw = raw_of(
        {
            "participants": ["가", "나"],
            "threadName": "방_1",
            "messages": [text(9, "", media=[{"uri": "x"}], type="media"), text(5, "안녕"), text(0, "", isUnsent=True)],
        }
    )
    chat = one(raw)
    assert (chat.format, chat.title) == ("facebook-encrypted", "방_1")
    assert brief(chat) == [
        ("message", "가", "2020-05-01T12:00:00.123Z", "", ("deleted",)),
        ("message", "가", "2020-05-01T12:00:05.123Z", "안녕", ()),
        ("message", "가", "2020-05-01T12:00:09.123Z", "", ("media",)),
    ]


TALKS = st.lists(st.tuples(NAMES, TEXTS), max_size=5)


def check_round_trip(talk: list[tuple[str, str]]) -> None:
    texts = [message(number, sender_name=name, content=text) for number, (name, text) in enumerate(talk)]
    raw = thread(*reversed(texts), title="é 방")
    chat = one(raw)
    assert chat.title == "é 방"
    assert [(found.speaker, found.text) for found in chat.messages] == talk
    assert_records(raw, [replace(chat, entries=tuple(sorted(chat.entries, key=lambda found: found.offset)))], len(talk))


test_round_trip = FEW(given(TALKS)(check_round_trip))
test_many_round_trips = pytest.mark.slow(MANY(given(TALKS)(check_round_trip)))
