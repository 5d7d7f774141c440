import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra_lab.data.errors import IngestError
from electra_lab.data.exports.chat import Options
from tests.data.exports.conservation import assert_records
from tests.data.exports.reading import FEW, MANY, NAMES, SECONDS, TEXTS, brief, one, raw_of, read, records

MORNING = {"date": "2020-01-01T18:00:00", "date_unixtime": "1577869200"}


def message(**members: Any) -> dict[str, Any]:
    """As Telegram Desktop writes one."""
    return {"id": 1, "type": "message", **MORNING, "from": "가", "from_id": "user1", "text": "", **members}


def room(*messages: Any, name: str | None = "방: [이름]", kind: str = "private_group") -> dict[str, Any]:
    return ({} if name is None else {"name": name}) | {"type": kind, "id": 7, "messages": list(messages)}


def entry(**members: Any) -> tuple[str, str | None, str | None, str, tuple[str, ...]]:
    (found,) = brief(one(raw_of(room(message(**members)))))
    return found


def test_a_chat() -> None:
    chat = one(raw_of(room(message(text="안녕\n 2"), message(id=2, **{"from": "나"}, text="응"))))
    assert (chat.format, chat.title, chat.files) == ("telegram-chat", "방: [이름]", ("room.json",))
    assert brief(chat) == [
        ("message", "가", "2020-01-01T09:00:00Z", "안녕\n 2", ()),
        ("message", "나", "2020-01-01T09:00:00Z", "응", ()),
    ]
    first = records(chat)[0]
    assert (first.line, first.num_lines) == (6, 9)


def test_parts_of_a_text_are_put_together_without_separators() -> None:
    parts = ["여기 ", {"type": "link", "text": "https://a.b"}, {"type": "bold", "text": "!"}, "\n끝"]
    assert entry(text=parts)[3] == "여기 https://a.b!\n끝"


def test_times_are_utc_where_the_file_says_so_and_else_without_zone() -> None:
    assert entry(date_unixtime="1577869200")[2] == "2020-01-01T09:00:00Z"
    assert entry(date_unixtime=1577869200)[2] == "2020-01-01T09:00:00Z"
    old = message(text="a")
    del old["date_unixtime"]
    assert brief(one(raw_of(room(old))))[0][2] == "2020-01-01T18:00:00"
    assert entry(date_unixtime="9" * 12)[2] == "2020-01-01T18:00:00"
    assert entry(date_unixtime="x", date="y")[2:] == (None, "", ("no_date", "no_time"))


def test_without_a_sender_the_account_stands_for_the_name() -> None:
    assert entry(**{"from": None}, text="a")[1] == "user1"
    nobody = message(text="a")
    del nobody["from"], nobody["from_id"]
    assert brief(one(raw_of(room(nobody))))[0][1:] == (None, "2020-01-01T09:00:00Z", "a", ("no_speaker",))


@pytest.mark.parametrize(
    "members",
    [
        {"photo": "(File not included. Change data exporting settings to download.)", "width": 1, "height": 2},
        {"file": "files/x.pdf"},
        {"media_type": "sticker", "sticker_emoji": "😀", "file": "s.webp"},
        {"contact_information": {"first_name": "나", "phone_number": "0"}},
        {"location_information": {"latitude": 1.0, "longitude": 2.0}},
    ],
)
def test_media_alone_is_a_message(members: dict[str, Any]) -> None:
    assert entry(**members) == ("message", "가", "2020-01-01T09:00:00Z", "", ("media",))
    assert entry(**members, text="설명")[3:] == ("설명", ("media",))


def test_what_is_asked_in_a_poll_was_written() -> None:
    poll = {"question": "언제?", "closed": False, "answers": [{"text": "오늘", "voters": 0}, {"text": "내일"}]}
    assert entry(poll=poll)[3:] == ("언제?\n오늘\n내일", ("media",))
    assert entry(poll={"answers": [None, {"text": 5}]})[3] == ""


def test_marks() -> None:
    assert entry(text="a", edited="2020-01-01T19:00:00", edited_unixtime="1577872800")[4] == ("edited",)
    assert entry(text="a", forwarded_from="다")[4] == ("forwarded",)
    assert entry(text="a", forwarded_from=None)[4] == ("forwarded",)  # from a deleted account
    chat = one(raw_of(room(message(text="a"), message(text="b"))))
    assert [found[4] for found in brief(chat)] == [("repeated_id",)] * 2


def test_service_messages_are_events() -> None:
    event = {"id": 2, "type": "service", **MORNING, "actor": "가", "actor_id": "user1", "action": "invite_members"}
    event |= {"members": ["나", None], "text": ""}
    (found,) = records(one(raw_of(room(event))))
    assert (found.kind, found.speaker, found.time) == ("system", "가", "2020-01-01T09:00:00Z")
    assert json.loads(found.text) == event
    (left,) = records(one(raw_of(room(event | {"actor": None}))))
    assert left.speaker == "user1"


def test_speech_about_events_is_speech() -> None:
    assert entry(text="나 left the group")[0] == "message"


def test_what_is_newer_than_the_program_is_a_message_all_the_same() -> None:
    (found,) = brief(one(raw_of(room({"id": 3, "type": "unsupported"}))))
    assert found == ("message", None, None, "", ("media", "no_speaker", "no_date", "no_time"))


@pytest.mark.parametrize(
    "element",
    [5, None, "a", [], {}, message(type="other"), message(text=5), message(text=["a", 5]), message(text=None)],
)
def test_what_has_another_form_is_listed(element: Any) -> None:
    good = message(text="a")
    raw = raw_of(room(good, element))
    chat = one(raw)
    assert [entry.kind for entry in records(chat)] == ["message", "unparsed"]
    assert json.loads(records(chat)[1].text) == element
    assert_records(raw, [chat], 2)


def test_all_chats_of_an_account() -> None:
    lists = [
        room(message(text="1"), name="A"),
        room(name=None, kind="saved_messages"),
        room(message(text="2"), name="B"),
    ]
    raw = raw_of(
        {
            "about": "여기",
            "personal_information": {"user_id": 1, "first_name": "가"},
            "contacts": {"list": [{"first_name": "나"}]},
            "chats": {"about": "대화", "list": lists[:2]},
            "left_chats": {"about": "나간", "list": lists[2:]},
        }
    )
    chats = read(raw)
    assert [(chat.title, len(chat.messages), chat.format) for chat in chats] == [
        ("A", 1, "telegram-account"),
        (None, 0, "telegram-account"),
        ("B", 1, "telegram-account"),
    ]
    assert_records(raw, chats, 2)
    assert '"first_name": "나"' in chats[0].entries[0].text  # what belongs to no chat stands in a header


def test_control_characters_as_the_program_writes_them() -> None:
    r"""Its "\x0C" is no JSON: https://github.com/telegramdesktop/tdesktop/issues/27571."""
    raw = raw_of(room(message(text="a\\x0C\tb\x0c", **{"from": "가\x01"}), message(id=2, text="끝")))
    wrong = raw.replace(rb"\f", rb"\x0C").replace(rb"\u0001", rb"\x01")
    assert rb"a\\x0C\tb\x0C" in wrong
    chat = one(wrong)
    assert [(found[1], found[3]) for found in brief(chat)] == [("가\x01", "a\\x0C\tb\x0c"), ("가", "끝")]
    assert_records(wrong, [chat], 2)
    with pytest.raises(IngestError, match="line 13"):
        read(wrong.replace(rb"\x0C", rb"\xZZ"))


def test_custom_emoji_without_quotes() -> None:
    """https://github.com/telegramdesktop/tdesktop/issues/24961."""
    emoji = {"type": "custom_emoji", "text": "😀", "document_id": "stickers/a (2).webm"}
    raw = raw_of(room(message(text=["a", emoji]), message(id=2, text='"document_id": x')))
    wrong = raw.replace(b'"stickers/a (2).webm"', b"stickers/a (2).webm")
    assert wrong != raw
    chat = one(wrong)
    assert [found[3] for found in brief(chat)] == ["a😀", '"document_id": x']
    assert_records(wrong, [chat], 2)


def test_the_owner() -> None:
    raw = raw_of(room(message(text="a"), message(id=2, text="b", **{"from": "나"})))
    assert [found[4] for found in brief(one(raw, Options(own_name="나")))] == [(), ("owner",)]


def test_a_byte_order_mark() -> None:
    raw = b"\xef\xbb\xbf" + raw_of(room(message(text="가")))
    assert_records(raw, [one(raw)], 1)


MESSAGES = st.fixed_dictionaries(
    {
        "type": st.just("message"),
        "from": NAMES,
        "text": TEXTS | st.lists(TEXTS | st.fixed_dictionaries({"type": st.just("link"), "text": TEXTS}), max_size=3),
        "date_unixtime": SECONDS.map(str),
    }
)


ROOMS = st.tuples(st.lists(MESSAGES, max_size=5), NAMES, st.sampled_from([None, 1]))


def check_round_trip(case: tuple[list[dict[str, Any]], str, int | None]) -> None:
    messages, name, indent = case
    numbered = [{"id": number, **message} for number, message in enumerate(messages)]
    raw = raw_of(room(*numbered, name=name), indent)
    chat = one(raw)
    assert chat.title == name
    assert [(entry.speaker, entry.text) for entry in chat.messages] == [
        (
            written["from"],
            written["text"] if isinstance(written["text"], str) else "".join(map(part_text, written["text"])),
        )
        for written in messages
    ]
    assert_records(raw, [chat], len(messages))


def part_text(part: str | dict[str, str]) -> str:
    return part if isinstance(part, str) else part["text"]


test_round_trip = FEW(given(ROOMS)(check_round_trip))
test_many_round_trips = pytest.mark.slow(MANY(given(ROOMS)(check_round_trip)))
