"""KakaoTalk's exports: one handwritten file a variant, and each trap of the forms."""

import pytest

from electra_lab.data.errors import IngestError
from electra_lab.data.exports import kakaotalk, kakaotalk_mac
from electra_lab.data.exports.chat import Chat, Options
from electra_lab.data.exports.kakaotalk_marks import noticed_name
from tests.data.exports.conservation import assert_tiled
from tests.data.exports.line_writers import read, source, told

BOM = "\ufeff"
ANDROID_KO = (
    f"{BOM}낚시 모임 4 님과 카카오톡 대화\r\n저장한 날짜 : 2015년 8월 3일 오전 12:51\n\n"
    "\r\n2015년 7월 9일 오후 8:34\r\n"
    "2015년 7월 9일 오후 8:34, 박철수님이 이영희님과 회원님을 초대했습니다.\r\n"
    "2015년 7월 9일 오후 8:35, 박철수 : 다들 안녕\n내일 몇 시?\r\n"
    "2015년 7월 9일 오후 8:36, 회원님 : <사진>\r\n"
    "\r\n2015년 7월 10일 오전 12:01\r\n"
    "2015년 7월 10일 오전 12:01, 이영희 : 이영희님이 나갔습니다.\r\n"
)
ANDROID_EN_2015 = (
    f"{BOM}KakaoTalk Chats with 낚시 모임 (4)\r\nDate Saved : 1:01am, August 3, 2015\n\n"
    "\r\n8:34pm, July 9, 2015\r\n"
    "8:34pm, July 9, 2015, Bob invited Ann and you.\r\n"
    "8:35pm, July 9, 2015, Bob : hello\r\n"
    "12:01am, July 10, 2015, you : 네\r\n"
)
ANDROID_EN_2020 = (
    f"{BOM}KakaoTalk Chats with Bob\r\nDate Saved : November 3, 2020, 1:08 PM\n\n"
    "\r\nFebruary 10, 2016, 2:33 AM\r\n"
    "February 10, 2016, 2:33 AM, you : 공부하기\r\n"
    "February 10, 2016, 12:33 PM, Bob : Photo\r\n"
)
IOS_KO = (
    f"{BOM}낚시 모임 (4명)과 카카오톡 대화-1.txt\r\n저장한 날짜 : 2015. 8. 3. 오전 12:15\r\n\r\n\r\n\r\n"
    "2015년 7월 9일 목요일\r\n"
    "2015. 7. 9. 오후 8:34: 박철수님이 이영희님을 초대했습니다.\r\n"
    "2015. 7. 9. 오후 8:35, 박철수 : 안녕\n둘째 줄\r\n"
    "2015. 7. 9. 20:36, 회원님 : 스물네 시간\r\n"
)
IOS_EN = (
    f"{BOM}KakaoTalk Chats with 낚시 모임 (4 people)-1.txt\r\nDate Saved : Aug 3, 2015, 12:20 AM\r\n\r\n\r\n\r\n"
    "Thursday, July 9, 2015\r\n"
    "Jul 9, 2015, 8:34 PM: Bob invited Ann.\r\n"
    "Jul 9, 2015, 8:35 PM, Bob : photo\r\n"
    "May 9, 2016, 8:35 AM, You : may\r\n"
)
IOS_EN_2023 = (
    f"{BOM}Talk_2023.7.9 08_15-1.txt\r\nDate Saved : Jul 9, 2023, 9:00\u202fPM\r\n\r\n"
    "Sunday, July 9, 2023\r\n"
    "July 9, 2023 at 8:34\u202fPM, Bob : narrow space\r\n"
    "July 9, 2023 at 8:35\u00a0a.m., Bob : morning\r\n"
)
WINDOWS_KO = (
    "낚시 모임 님과 카카오톡 대화\r\n저장한 날짜 : 2020-11-03 10:44:52\r\n\r\n"
    "--------------- 2020년 6월 28일 일요일 ---------------\r\n"
    "홍길동님이 들어왔습니다.\r\n"
    "타인, 기관 등의 사칭에 유의해 주세요. 금전 또는 개인정보를 요구 받을 경우 신고해 주시기 바랍니다.\r\n"
    "[김]철수] [오전 1:01] 안녕\r\n둘째 줄\r\n\r\n넷째 줄\r\n"
    "[홍길동] [오후 12:05] 이모티콘\r\n"
)
WINDOWS_EN = (
    "낚시 모임 with KakaoTalk Chats\r\nDate Saved : 2015-08-03 00:29:58\r\n\r\n"
    "--------------- Saturday, August 1, 2015 ---------------\r\n"
    "[Bob] [2:37 PM] hello\r\nAnn left.\r\n"
    "[Ann] [12:37 AM] This message was deleted.\r\n"
)
WINDOWS_EN_NEW = (
    "Room with KakaoTalk Chats\r\nDate Saved : 2026-09-06 17:00:00\r\n\r\n"
    "--------------- 2026년 9월 6일 일요일 ---------------\r\n"
    "[Bob] [AM 9:04] hello\r\n"
)
MAC = (
    "Date,User,Message\n"
    '2015-07-09 20:34:26,"박철수","안녕ㅋㅋ, ""따옴표""\n둘째 줄"\n'
    '2015-07-09 20:34:27,"이영희","이영희님이 나갔습니다."\n'
    '2015-07-09 20:34:28,"이영희","박철수님이 나갔습니다."\n'
    '2015-07-09 20:34:29,"박철수","(사진)"\n'
)


@pytest.mark.parametrize(
    ("text", "format", "title", "expected"),
    [
        (
            ANDROID_KO,
            "kakaotalk-android-ko",
            "낚시 모임",
            [
                ("박철수", "2015-07-09T20:35", "다들 안녕\n내일 몇 시?"),
                ("회원님", "2015-07-09T20:36", "<사진>"),
                ("이영희", "2015-07-10T00:01", "이영희님이 나갔습니다."),  # speech, though it sounds like a notice
            ],
        ),
        (
            ANDROID_EN_2015,
            "kakaotalk-android-en",
            "낚시 모임",
            [("Bob", "2015-07-09T20:35", "hello"), ("you", "2015-07-10T00:01", "네")],
        ),
        (
            ANDROID_EN_2020,
            "kakaotalk-android-en",
            "Bob",
            [("you", "2016-02-10T02:33", "공부하기"), ("Bob", "2016-02-10T12:33", "Photo")],
        ),
        (
            IOS_KO,
            "kakaotalk-ios-ko",
            "낚시 모임",
            [("박철수", "2015-07-09T20:35", "안녕\n둘째 줄"), ("회원님", "2015-07-09T20:36", "스물네 시간")],
        ),
        (
            IOS_EN,
            "kakaotalk-ios-en",
            "낚시 모임",
            [("Bob", "2015-07-09T20:35", "photo"), ("You", "2016-05-09T08:35", "may")],
        ),
        (
            IOS_EN_2023,
            "kakaotalk-ios-en",
            "Talk_2023.7.9 08_15",
            [("Bob", "2023-07-09T20:34", "narrow space"), ("Bob", "2023-07-09T08:35", "morning")],
        ),
        (
            WINDOWS_KO,
            "kakaotalk-windows-ko",
            "낚시 모임",
            [("김]철수", "2020-06-28T01:01", "안녕\n둘째 줄\n\n넷째 줄"), ("홍길동", "2020-06-28T12:05", "이모티콘")],
        ),
        (
            WINDOWS_EN,
            "kakaotalk-windows-en",
            "낚시 모임",
            [("Bob", "2015-08-01T14:37", "hello"), ("Ann", "2015-08-01T00:37", "This message was deleted.")],
        ),
        (WINDOWS_EN_NEW, "kakaotalk-windows-en", "Room", [("Bob", "2026-09-06T09:04", "hello")]),
        (
            MAC,
            "kakaotalk-mac",
            None,
            [
                ("박철수", "2015-07-09T20:34:26", '안녕ㅋㅋ, "따옴표"\n둘째 줄'),
                ("이영희", "2015-07-09T20:34:28", "박철수님이 나갔습니다."),  # about somebody else: speech
                ("박철수", "2015-07-09T20:34:29", "(사진)"),
            ],
        ),
    ],
)
def test_variants(text: str, format: str, title: str | None, expected: list[tuple[str, str, str]]) -> None:
    chat = read(text.encode(), format)
    assert told(chat) == expected
    assert (chat.format, chat.title) == (format, title)
    assert not [entry for entry in chat.entries if entry.kind == "unparsed"]


def test_kinds_and_places() -> None:
    chat = read(ANDROID_KO.encode())
    assert chat.counts() == {"message": 3, "system": 1, "header": 4, "blank": 3, "unparsed": 0, "continuation": 1}
    assert [entry.line for entry in chat.messages] == [7, 9, 12]
    message = chat.messages[0]
    raw = ANDROID_KO.encode()[message.offset : message.offset + message.size]
    assert raw.decode() == "2015년 7월 9일 오후 8:35, 박철수 : 다들 안녕\n내일 몇 시?\r\n"


def test_placeholders_owner_and_deleted_are_flags() -> None:
    flags = [entry.flags for entry in read(ANDROID_KO.encode()).messages]
    assert flags == [(), ("media", "owner"), ("ambiguous",)]  # "이영희 : 이영희" could have left, in nobody's words
    assert [entry.flags for entry in read(IOS_EN.encode()).messages] == [("media",), ("owner",)]
    assert read(WINDOWS_KO.encode()).messages[1].flags == ("media",)
    assert "deleted" in read(WINDOWS_EN.encode()).messages[1].flags


def test_the_owner_gets_the_name_that_is_known() -> None:
    (chat,) = kakaotalk.read(source(ANDROID_KO), Options(own_name="이영희"), "kakaotalk-android-ko")
    assert [(entry.speaker, "owner" in entry.flags) for entry in chat.messages] == [
        ("박철수", False),
        ("이영희", True),
        ("이영희", True),
    ]


def system(chat: Chat) -> list[tuple[str, tuple[str, ...]]]:
    return [(entry.text, entry.flags) for entry in chat.entries if entry.kind == "system"]


def test_notices_on_windows_have_no_time_and_are_doubtful_below_a_message() -> None:
    notices = [entry for entry in read(WINDOWS_KO.encode()).entries if entry.kind == "system"]
    assert [(entry.time, entry.flags) for entry in notices] == [("2020-06-28", ()), ("2020-06-28", ())]
    assert system(read(WINDOWS_EN.encode())) == [("Ann left.", ("ambiguous",))]
    assert system(read(WINDOWS_EN.replace("Ann left.", "We left.").encode())) == []  # nobody of that name speaks


def test_text_behind_what_looks_like_a_notice_is_of_the_message() -> None:
    """Else a person could hide a line from the detector behind a notice of their own."""
    text = WINDOWS_KO.replace("둘째 줄", "박철수님이 나갔습니다.\r\n내일 세 시")
    message = read(text.encode()).messages[0]
    assert message.text == "안녕\n박철수님이 나갔습니다.\n내일 세 시\n\n넷째 줄"
    assert message.flags == ("ambiguous",)


@pytest.mark.parametrize(
    "line",
    [
        "타인, 기관 등의 사칭에 유의해 주세요. 내일 세 시",
        "운영정책 보기 내일 세 시",
        "박철수님이 내일 세 시에 나갔습니다.",
    ],
)
def test_notices_have_no_room_for_speech(line: str) -> None:
    assert line in read(WINDOWS_KO.replace("둘째 줄\r\n\r\n넷째 줄", line).encode()).messages[0].text


def test_a_bare_newline_does_not_end_a_record() -> None:
    """Universal newlines would make two messages of it, the second in another person's name."""
    text = ANDROID_KO.replace("내일 몇 시?", "2015년 7월 9일 오후 8:35, 이영희 : 위조\n내일 몇 시?")
    messages = read(text.encode()).messages
    assert len(messages) == 3
    assert messages[0].text == "다들 안녕\n2015년 7월 9일 오후 8:35, 이영희 : 위조\n내일 몇 시?"
    assert messages[0].flags == ("ambiguous",)


def test_a_record_that_is_not_in_the_form_is_listed() -> None:
    """Behind CRLF it cannot be the rest of the message above, and must not be put into its writer's mouth."""
    text = ANDROID_KO.replace("2015년 7월 9일 오후 8:36", "2015년 17월 9일 오후 8:36")
    (entry,) = (entry for entry in read(text.encode()).entries if entry.kind == "unparsed")
    assert entry.text == "2015년 17월 9일 오후 8:36, 회원님 : <사진>"


def test_files_edited_by_hand_end_lines_with_lf() -> None:
    edited = read(ANDROID_KO.replace("\r\n", "\n").encode())
    assert told(edited) == told(read(ANDROID_KO.encode()))
    one = ANDROID_KO.replace("내일 몇 시?\r\n", "내일 몇 시?\n")  # one line only: it may have been typed
    assert read(one.encode()).messages[0].flags == ("ambiguous",)
    assert "<사진>" in read(one.encode()).messages[0].text
    most = read(ANDROID_KO.replace("\r\n2015", "\n2015").replace("<사진>", "사진\r").encode())
    assert [entry.text for entry in most.messages] == ["다들 안녕\n내일 몇 시?", "사진\r", "이영희님이 나갔습니다."]
    assert most.messages[0].flags == ("ambiguous",)


def test_a_forged_banner_neither_hides_text_nor_dates_what_is_below() -> None:
    banner = "--------------- 2019년 1월 1일 화요일 ---------------"
    chat = read(WINDOWS_KO.replace("둘째 줄\r\n\r\n넷째 줄", f"둘째 줄\r\n{banner}").encode())
    assert [entry.time for entry in chat.messages] == ["2020-06-28T01:01", "2020-06-28T12:05"]
    assert chat.messages[0].text == f"안녕\n둘째 줄\n{banner}"
    assert chat.messages[0].flags == ("ambiguous",)
    tuesday = "--------------- 2020년 6월 30일 수요일 ---------------"  # it was a Tuesday
    wrong_day = read(WINDOWS_KO.replace("넷째 줄", tuesday).encode())
    assert wrong_day.messages[1].time == "2020-06-28T12:05"


def test_a_forged_message_is_marked_and_so_is_the_one_above() -> None:
    chat = read(WINDOWS_KO.replace("둘째 줄", "[홍길동] [오전 12:30] 위조").encode())
    assert [entry.flags for entry in chat.messages] == [("ambiguous",), ("ambiguous",), ("media",)]
    quoted = read(WINDOWS_KO.replace("안녕", "[홍길동] [오전 12:30] 인용").encode()).messages[0]
    assert (quoted.speaker, quoted.flags) == ("김]철수", ("ambiguous",))


def test_messages_above_any_banner_have_no_date() -> None:
    chat = read(WINDOWS_KO.replace("--------------- 2020년 6월 28일 일요일 ---------------\r\n", "").encode())
    assert [(entry.time, entry.flags[0]) for entry in chat.messages] == [("T01:01", "no_date"), ("T12:05", "no_date")]


ROSTER = "2015년 7월 9일 오후 8:36, {} : {}\r\n"


def speakers(*lines: tuple[str, str], head: str = "") -> list[tuple[str | None, bool]]:
    text = head + "2015년 7월 9일 오후 8:34\r\n" + "".join(ROSTER.format(*line) for line in lines)
    return [(entry.speaker, "ambiguous" in entry.flags) for entry in read(text.encode()).messages]


def test_the_first_colon_ends_a_name_that_speaks_elsewhere() -> None:
    assert speakers(("A", "안녕"), ("A", "장소 : 강남")) == [("A", False), ("A", False)]


def test_a_name_with_a_colon_is_known_from_the_room_or_what_all_lines_share() -> None:
    title = "A : 반장 님과 카카오톡 대화\r\n"
    assert speakers(("A : 반장", "안녕"), ("회원님", "네"), head=title) == [("A : 반장", False), ("회원님", False)]
    assert speakers(("A", "ㅋ"), ("A : 반장", "안녕"), head=title)[1] == (
        "A : 반장",
        True,
    )  # A speaks too
    assert speakers(("A : 반장", "안녕"), ("A : 반장", "네")) == [("A : 반장", True), ("A : 반장", True)]
    assert speakers(("A", "ㅋ"), ("A : 반장", "안녕"), ("A : 반장", "네"))[1][1]  # A, or A : 반장


def test_an_empty_message_may_have_lost_its_last_space() -> None:
    assert speakers(("A", "안녕"), ("A", "")) == [("A", False), ("A", False)]
    text = "2015년 7월 9일 오후 8:34\r\n" + ROSTER.format("A", "가") + ROSTER.format("A", "")
    trimmed = read(text.replace(" : \r", " :\r").encode())
    assert told(trimmed)[1] == ("A", "2015-07-09T20:36", "")


def test_may_is_short_and_long() -> None:
    line = "May 9, 2016, 8:35 AM, Bob : hello\r\n"
    assert kakaotalk.recognise("KakaoTalk Chats with Bob (2 people)-1.txt\r\n" + line) == "kakaotalk-ios-en"
    assert kakaotalk.recognise("KakaoTalk Chats with Bob\r\n" + line) == "kakaotalk-android-en"


@pytest.mark.parametrize("head", ["낚시 모임 4 님과 카카오톡 대화\r\n저장한 날짜 : 2015년 8월 3일 오전 12:51\n\n"])
def test_an_empty_conversation_is_one(head: str) -> None:
    assert read(head.encode(), "kakaotalk-android-ko").messages == ()


@pytest.mark.parametrize("text", ["", "안녕하세요\n", "그는 2015년 7월 9일 오후 8:34, 집에 있었다.\n"])
def test_other_texts_are_not_claimed(text: str) -> None:
    assert kakaotalk.recognise(text) is None and kakaotalk_mac.recognise(text) is None
    with pytest.raises(IngestError, match="E106"):
        kakaotalk.read(source(text), Options(), "kakaotalk-ios-ko")


def test_a_damaged_row_of_the_csv_is_listed() -> None:
    raw = MAC.replace('"(사진)"', '"(사진)').encode()
    (chat,) = kakaotalk_mac.read(source(raw), Options(), "kakaotalk-mac")
    assert_tiled(raw, [chat])
    assert [entry.kind for entry in chat.entries] == ["header", "message", "system", "message", "unparsed"]
    assert [entry.flags for entry in chat.entries][2:4] == [("ambiguous",), ("ambiguous",)]


@pytest.mark.parametrize("text", ["A님이 {}님을 초대했습니다.", "A invited {}."])
def test_a_notice_has_room_for_names_alone(text: str) -> None:
    many = ", ".join(["가나다라마바사"] * 12)
    assert noticed_name(text.format(many), {"A"}) == "A"
    assert (
        noticed_name(text.format("내일 저녁 여덟 시에 그 자리로 나와 줘 늦지 말고 혼자 와야 해 알겠지 꼭"), {"A"})
        is None
    )
