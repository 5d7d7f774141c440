import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra_lab.data.errors import IngestError
from electra_lab.data.exports.chat import Options
from electra_lab.data.exports.discord import COLUMNS
from tests.data.exports.conservation import assert_records, assert_tiled
from tests.data.exports.reading import FEW, MANY, NAMES, PLAIN, TEXTS, brief, one, raw_of, read, records

TIME = "2024-05-06T07:08:09.123+09:00"
AUTHOR = {"id": "900719925474099312", "name": "가", "discriminator": "0000", "nickname": "별명", "isBot": False}


def message(**members: Any) -> dict[str, Any]:
    """As DiscordChatExporter writes one."""
    plain = {"id": "1", "type": "Default", "timestamp": TIME, "timestampEdited": None, "isPinned": False, "content": ""}
    return {**plain, "author": AUTHOR, "attachments": [], "embeds": [], "stickers": [], "reactions": [], **members}


def channel(*messages: Any) -> dict[str, Any]:
    around = {
        "guild": {"id": "0", "name": "서버", "iconUrl": ""},
        "channel": {"id": "2", "type": "GuildTextChat", "name": "방"},
    }
    around |= {"dateRange": {"after": None, "before": None}, "exportedAt": TIME}
    return {**around, "messages": list(messages), "messageCount": len(messages)}


def entry(**members: Any) -> tuple[str, str | None, str | None, str, tuple[str, ...]]:
    (found,) = brief(one(raw_of(channel(message(**members)))))
    return found


def test_a_channel() -> None:
    chat = one(raw_of(channel(message(content="안녕\n: 2"))))
    assert (chat.format, chat.title) == ("discord-json", "서버 / 방")
    assert brief(chat) == [("message", "가", TIME, "안녕\n: 2", ())]
    assert [found.kind for found in chat.entries] == ["header", "message", "header"]


def test_identifiers_are_strings_that_no_number_can_hold() -> None:
    texts = [message(id="900719925474099312", content="a"), message(id="900719925474099313", content="b")]
    assert [found[4] for found in brief(one(raw_of(channel(*texts))))] == [(), ()]


def test_old_accounts_have_a_number() -> None:
    assert entry(author=AUTHOR | {"discriminator": "0042"})[1] == "가#0042"
    assert entry(author=AUTHOR | {"discriminator": "0"})[1] == "가"
    assert entry(author=None)[1::3] == (None, ("no_speaker",))


@pytest.mark.parametrize(
    "members",
    [{"attachments": [{"id": "3", "fileName": "a.png"}]}, {"stickers": [{"id": "4"}]}, {"embeds": [{"title": ""}]}],
)
def test_media_alone_is_a_message(members: dict[str, Any]) -> None:
    assert entry(**members) == ("message", "가", TIME, "", ("media",))


def test_a_forwarded_message_has_the_other_text() -> None:
    forwarded = {"content": "옮긴 말", "attachments": [{"id": "3"}], "stickers": []}
    assert entry(forwardedMessage=forwarded)[3:] == ("옮긴 말", ("forwarded", "media"))
    assert entry(forwardedMessage={"content": "옮긴 말"}, content="내 말")[3:] == ("내 말", ("forwarded",))


def test_edited() -> None:
    assert entry(content="a", timestampEdited=TIME)[4] == ("edited",)


def test_events_are_told_by_their_type_not_by_their_words() -> None:
    assert entry(type="GuildMemberJoin", content="Joined the server.")[0] == "system"
    assert entry(type="7", content="Joined the server.")[0] == "system"
    assert entry(type="Reply", content="Joined the server.")[0] == "message"
    assert entry(type="20", content="answer of a bot")[0] == "message"


@pytest.mark.parametrize("element", [None, 1, "a", [], {}, message(content=None), message(content=5)])
def test_what_has_another_form_is_listed(element: Any) -> None:
    raw = raw_of(channel(element))
    chat = one(raw)
    assert [found.kind for found in records(chat)] == ["unparsed"]
    assert_records(raw, [chat], 1)


def test_times_that_are_none() -> None:
    assert entry(timestamp=None)[2::2] == (None, ("no_date", "no_time"))
    assert entry(timestamp="5 o'clock")[2::2] == (None, ("unknown_time",))


TALKS = st.lists(st.tuples(NAMES, TEXTS), max_size=5)


def check_json(talk: list[tuple[str, str]]) -> None:
    texts = [message(id=str(i), content=text, author=AUTHOR | {"name": name}) for i, (name, text) in enumerate(talk)]
    raw = raw_of(channel(*texts))
    chat = one(raw)
    assert [(found.speaker, found.text) for found in chat.messages] == talk
    assert_records(raw, [chat], len(talk))


test_round_trip = FEW(given(TALKS)(check_json))
test_many_round_trips = pytest.mark.slow(MANY(given(TALKS)(check_json)))


def table(*rows: tuple[str, ...], line_end: str = "\r\n", encoding: str = "utf-8") -> bytes:
    """All cells of the rows quoted, the names of the columns not."""
    file = io.StringIO()
    file.write(",".join(COLUMNS) + line_end)
    csv.writer(file, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(rows)
    return file.getvalue().encode(encoding)


def test_csv() -> None:
    raw = table(
        ("900719925474099312", "가#0042", TIME, '말 "하나"\n, 둘', "https://a.b/c.png", "👍 (2)"), encoding="utf-8-sig"
    )
    chat = one(raw)
    assert (chat.format, chat.title, chat.entries[0].kind) == ("discord-csv", None, "header")
    assert brief(chat) == [("message", "가#0042", TIME, '말 "하나"\n, 둘', ("media",))]
    assert_tiled(raw, [chat])


def test_dates_in_csv_are_those_of_the_exporting_computer() -> None:
    def times(*dates: str, options: Options = PLAIN) -> list[tuple[str | None, tuple[str, ...]]]:
        return [
            found[2::2] for found in brief(one(table(*(("1", "가", date, "a", "", "") for date in dates)), options))
        ]

    assert times("06-May-24 07:08 PM") == [("2024-05-06T19:08", ())]
    assert times("5/6/2024 7:08 PM", "5/13/2024 12:08 AM") == [("2024-05-06T19:08", ()), ("2024-05-13T00:08", ())]
    assert times("6/5/2024 07:08") == [("2024-05-06T07:08", ("ambiguous",))]
    assert times("6/5/2024 07:08", options=Options(day_first=False)) == [("2024-06-05T07:08", ())]


def test_rows_of_another_form_are_listed() -> None:
    raw = table(("1", "가", TIME, "a", "", "")) + b'\n"1","b"\n"1","","","a","",""\n"2","x","","y"z,"",""\n"3","cut off'
    chat = one(raw)
    assert [found.kind for found in chat.entries] == [
        *("header", "message", "blank", "unparsed", "message", "unparsed", "unparsed"),
    ]
    assert chat.messages[1].flags == ("no_date", "no_time", "no_speaker")
    assert_tiled(raw, [chat])
    with pytest.raises(IngestError, match="E106"):
        read(b"AuthorID,Author\n1,2\n", Options(format="discord-csv"))


def check_csv(talk: list[tuple[str, str]]) -> None:
    raw = table(*(("1", name, TIME, text, "", "") for name, text in talk))
    chat = one(raw)
    assert [(found.speaker, found.text) for found in chat.messages] == talk
    assert_records(raw, [chat], len(talk))


test_csv_round_trip = FEW(given(TALKS)(check_csv))
test_many_csv_round_trips = pytest.mark.slow(MANY(given(TALKS)(check_csv)))
