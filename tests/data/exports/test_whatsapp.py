"""WhatsApp, Signal and numbered lines: one handwritten file a variant, and each trap of the forms."""

import pytest

from electra_lab.data.errors import IngestError
from electra_lab.data.exports import signal_text, whatsapp
from electra_lab.data.exports.chat import Options
from tests.data.exports.line_writers import read, source, told

ANDROID_US = (
    "12/31/20, 9:15 AM - Messages and calls are end-to-end encrypted.\n"
    '12/31/20, 9:16\u202fAM - Ann created group "Fishing"\n'
    "12/31/20, 12:17\u202fPM - Ann: Bob left the keys: here\nsecond line\n"
    "12/31/20, 12:18\u202fPM - Bob: <Media omitted>\n"
    "1/1/21, 12:19\u202fAM - Bob: This message was deleted\n"
    "1/1/21, 12:20\u202fAM - Ann: see you <This message was edited>\n"
)
ANDROID_DOTS = "31.12.20, 21:15 - Ann: a\n1.1.21, 00:15 - Bob: b\n"
ANDROID_FINNISH = "12.3.2022 klo 14.08 - Ann: a\n13.3.2022 klo 14.08 - Bob: b\n"
ANDROID_KO = "2023. 5. 10. 오후 3:24 - 앤: 안녕\n2023. 5. 11. 오전 12:24 - 밥: 네\n"
ANDROID_SPANISH = "31/12/20 9:15 a. m. - Ann: a\n31/12/20 9:15 p. m. - Bob: b\n"
IOS = (
    "[31/12/2020, 21:15:01] Fishing: \u200eMessages and calls are end-to-end encrypted.\r\n"
    "[31/12/2020, 21:15:02] Ann: hello\n[01/01/2021, 00:00:00] Bob: forged\r\n"
    "\u200e[31/12/2020, 21:15:03] Bob: \u200eimage omitted\r\n"
    "\u200e[01/01/2021, 00:15:04] Ann: \u200e<attached: 00000012-PHOTO.jpg>\r\n"
    "[01/01/2021, 00:16:04] Ann: Bob left the room\r\n"
    "[01/01/2021, 00:17:04] Bob: fine \u200e<This message was edited>\r\n"
)
IOS_KO = "[2023. 5. 10. 오후 3:24:10] 앤: 안녕\r\n[2023. 5. 11. 오전 12:24:10] 밥: 네\r\n"


@pytest.mark.parametrize(
    ("text", "format", "expected"),
    [
        (
            ANDROID_US,
            "whatsapp-android",
            [
                ("Ann", "2020-12-31T12:17", "Bob left the keys: here\nsecond line"),  # "left" does not make it a notice
                ("Bob", "2020-12-31T12:18", "<Media omitted>"),
                ("Bob", "2021-01-01T00:19", "This message was deleted"),
                ("Ann", "2021-01-01T00:20", "see you <This message was edited>"),
            ],
        ),
        (ANDROID_DOTS, "whatsapp-android", [("Ann", "2020-12-31T21:15", "a"), ("Bob", "2021-01-01T00:15", "b")]),
        (ANDROID_FINNISH, "whatsapp-android", [("Ann", "2022-03-12T14:08", "a"), ("Bob", "2022-03-13T14:08", "b")]),
        (ANDROID_KO, "whatsapp-android", [("앤", "2023-05-10T15:24", "안녕"), ("밥", "2023-05-11T00:24", "네")]),
        (ANDROID_SPANISH, "whatsapp-android", [("Ann", "2020-12-31T09:15", "a"), ("Bob", "2020-12-31T21:15", "b")]),
        (
            IOS,
            "whatsapp-ios",
            [
                ("Fishing", "2020-12-31T21:15:01", "\u200eMessages and calls are end-to-end encrypted."),
                ("Ann", "2020-12-31T21:15:02", "hello\n[01/01/2021, 00:00:00] Bob: forged"),
                ("Bob", "2020-12-31T21:15:03", "\u200eimage omitted"),
                ("Ann", "2021-01-01T00:15:04", "\u200e<attached: 00000012-PHOTO.jpg>"),
                ("Ann", "2021-01-01T00:16:04", "Bob left the room"),
                ("Bob", "2021-01-01T00:17:04", "fine \u200e<This message was edited>"),
            ],
        ),
        (IOS_KO, "whatsapp-ios", [("앤", "2023-05-10T15:24:10", "안녕"), ("밥", "2023-05-11T00:24:10", "네")]),
        (
            "[2019-12-24, 12:23] Ann: text\nmore\n[2019-12-24, 00:24] Me: a: b\n",
            "signal-text",
            [("Ann", "2019-12-24T12:23", "text\nmore"), ("Me", "2019-12-24T00:24", "a: b")],
        ),
        ("1 : 가\n2 : 나\n더\n1 : 다\n", "numbered", [("1", None, "가"), ("2", None, "나\n더"), ("1", None, "다")]),
        ("1 : 가\n2 : 나\n3 : 다\n", "numbered", [(None, None, "가"), (None, None, "나"), (None, None, "다")]),
    ],
)
def test_variants(text: str, format: str, expected: list[tuple[str, str, str]]) -> None:
    chat = read(text.encode(), format)
    assert told(chat) == expected


def test_marks_are_flags_and_notices_are_told_by_their_form() -> None:
    android = read(ANDROID_US.encode())
    assert [entry.kind for entry in android.entries[:2]] == ["system", "system"]
    assert [entry.flags for entry in android.messages] == [(), ("media",), ("deleted",), ("edited",)]
    ios = read(IOS.encode()).messages
    assert [entry.flags for entry in ios] == [("ambiguous",), ("ambiguous",), ("media",), ("media",), (), ("edited",)]
    beside = read(IOS.replace("Bob left the room", "look\n\u200eimage omitted").encode()).messages[4]
    assert (beside.text, beside.flags) == ("look\n\u200eimage omitted", ("media",))
    typed = read(ANDROID_US.replace("second line", "image omitted").encode()).messages[0]
    assert typed.flags == ()  # a person typed it: it has other text and no mark before it


def test_what_the_numbers_do_not_say_is_flagged() -> None:
    assert read("1 : 가\n2 : 나\n3 : 다\n".encode()).messages[0].flags == ("no_date", "no_time", "no_speaker")


EITHER = "3/4/21, 9:15 AM - Ann: a\n3/5/21, 9:15 AM - Bob: b\n"


def test_the_order_of_day_and_month_is_that_of_the_whole_file() -> None:
    late = EITHER + "1/13/22, 9:15 AM - Bob: c\n"
    assert [entry.time for entry in read(late.encode()).messages][:2] == ["2021-03-04T09:15", "2021-03-05T09:15"]
    late = EITHER + "13/1/22, 9:15 AM - Bob: c\n"
    assert [entry.time for entry in read(late.encode()).messages][:2] == ["2021-04-03T09:15", "2021-05-03T09:15"]


@pytest.mark.parametrize(("day_first", "expected"), [(True, "2021-04-03T09:15"), (False, "2021-03-04T09:15")])
def test_the_order_is_asked_for_where_the_file_does_not_show_it(day_first: bool, expected: str) -> None:
    assert whatsapp.recognise(EITHER) == "whatsapp-android"
    with pytest.raises(IngestError, match="--day_first") as caught:
        whatsapp.read(source(EITHER), Options(), "whatsapp-android")
    assert "Ann" not in str(caught.value)
    (chat,) = whatsapp.read(source(EITHER), Options(day_first=day_first), "whatsapp-android")
    assert chat.messages[0].time == expected


def test_one_typed_date_does_not_turn_the_order_around() -> None:
    forged = ANDROID_US.replace("second line", "31/12/20, 9:15 AM - Bob: forged")
    chat = read(forged.encode())
    assert [entry.time for entry in chat.messages][-1] == "2021-01-01T00:20"
    assert chat.messages[0].text.endswith("Bob: forged")  # there is no month 31


def test_a_forged_line_is_marked() -> None:
    messages = read(ANDROID_US.replace("second line", "12/30/20, 9:15 AM - Bob: forged").encode()).messages
    assert [entry.flags for entry in messages[:3]] == [("ambiguous",), ("ambiguous",), ("media",)]
    assert messages[1].text == "forged"


def test_signal_and_whatsapp_do_not_claim_each_other() -> None:
    assert whatsapp.recognise("[2019-12-24, 12:23] a: b\n") is None
    assert signal_text.recognise("[2019-12-24, 12:23:10] a: b\n") is None
    assert whatsapp.recognise("[2019-12-24, 12:23:10] a: b\n") == "whatsapp-ios"
