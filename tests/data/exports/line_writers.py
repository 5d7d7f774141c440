"""Small writers of the exports made of lines, one a variant, and the random conversations they write."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

from electra_lab.data.exports import kakaotalk, kakaotalk_mac, numbered, signal_text, whatsapp
from electra_lab.data.exports.chat import Chat, Options
from electra_lab.data.exports.source import Source
from tests.data.exports.conservation import assert_tiled

BOM = "\ufeff"
WEEKDAYS = "월화수목금토일"


class Said(NamedTuple):
    speaker: str
    time: datetime
    text: str


def source(raw: bytes | str, name: str = "chat.txt") -> Source:
    """As if it were read from a file."""
    raw = raw.encode() if isinstance(raw, str) else raw
    bom = 3 if raw.startswith(b"\xef\xbb\xbf") else 0
    return Source(Path(name), name, raw, "utf-8", bom)


def half(time: datetime, am: str, pm: str) -> tuple[str, int]:
    """Half of the day and hour on a clock of twelve: midnight is 12 AM."""
    return (am if time.hour < 12 else pm), (time.hour % 12) or 12


def android_ko(time: datetime) -> str:
    name, hour = half(time, "오전", "오후")
    return f"{time.year}년 {time.month}월 {time.day}일 {name} {hour}:{time:%M}"


def android_en_old(time: datetime) -> str:
    name, hour = half(time, "am", "pm")
    return f"{hour}:{time:%M}{name}, {time:%B} {time.day}, {time.year}"


def android_en(time: datetime) -> str:
    name, hour = half(time, "AM", "PM")
    return f"{time:%B} {time.day}, {time.year}, {hour}:{time:%M} {name}"


def ios_ko(time: datetime) -> str:
    name, hour = half(time, "오전", "오후")
    return f"{time.year}. {time.month}. {time.day}. {name} {hour}:{time:%M}"


def ios_ko_24(time: datetime) -> str:
    return f"{time.year}. {time.month}. {time.day}. {time.hour}:{time:%M}"


def ios_en(time: datetime) -> str:
    name, hour = half(time, "AM", "PM")
    return f"{time:%b} {time.day}, {time.year}, {hour}:{time:%M} {name}"


def ios_en_2023(time: datetime) -> str:
    name, hour = half(time, "AM", "PM")
    return f"{time:%B} {time.day}, {time.year} at {hour}:{time:%M}\u202f{name}"


def day_ko(time: datetime) -> str:
    return f"{time.year}년 {time.month}월 {time.day}일 {WEEKDAYS[time.weekday()]}요일"


def day_en(time: datetime) -> str:
    return f"{time:%A}, {time:%B} {time.day}, {time.year}"


def mobile(room: str, saved: str, stamp: Callable[[datetime], str], banner: Callable[[datetime], str]):
    """A writer: records end with CRLF, newlines inside are bare."""

    def write(said: Sequence[Said]) -> bytes:
        parts = [f"{BOM}{room}\r\n{saved}\n\n"]
        day = None
        for speaker, time, text in said:
            if time.date() != day:
                day = time.date()
                parts.append(f"\r\n{banner(time)}\r\n")
            parts.append(f"{stamp(time)}, {speaker} : {text}\r\n")
        return "".join(parts).encode()

    return write


def windows(mark: Callable[[datetime], str], banner: Callable[[datetime], str]):
    """A writer: CRLF everywhere."""

    def write(said: Sequence[Said]) -> bytes:
        parts = ["방 님과 카카오톡 대화\r\n저장한 날짜 : 2031-11-03 10:44:52\r\n\r\n"]
        day = None
        for speaker, time, text in said:
            if time.date() != day:
                day = time.date()
                parts.append(f"--------------- {banner(time)} ---------------\r\n")
            whole = text.replace("\n", "\r\n")
            parts.append(f"[{speaker}] [{mark(time)}] {whole}\r\n")
        return "".join(parts).encode()

    return write


def windows_ko(time: datetime) -> str:
    return "{} {}:{:%M}".format(*half(time, "오전", "오후"), time)


def windows_en(time: datetime) -> str:
    name, hour = half(time, "AM", "PM")
    return f"{hour}:{time:%M} {name}"


def windows_en_new(time: datetime) -> str:
    return "{} {}:{:%M}".format(*half(time, "AM", "PM"), time)


def mac(said: Sequence[Said]) -> bytes:
    quoted = [[speaker.replace('"', '""'), text.replace('"', '""')] for speaker, _, text in said]
    rows = [f'{one.time:%Y-%m-%d %H:%M:%S},"{name}","{text}"\n' for one, (name, text) in zip(said, quoted, strict=True)]
    return ("Date,User,Message\n" + "".join(rows)).encode()


def whatsapp_lines(form: str, end: str = "\n"):
    """A writer; the form has {month}, {day}, {year}, {hour}, {minute}, {half}, {hour24}, {second}."""

    def write(said: Sequence[Said]) -> bytes:
        lines = []
        for speaker, time, text in said:
            name, hour = half(time, "AM", "PM")
            stamp = form.format(
                month=time.month,
                day=time.day,
                year=time.year,
                short=time.year % 100,
                hour=hour,
                hour24=f"{time:%H}",
                minute=f"{time:%M}",
                second=f"{time:%S}",
                half=name,
            )
            lines.append(f"{stamp}{speaker}: {text}{end}")
        return "".join(lines).encode()

    return write


def signal(said: Sequence[Said]) -> bytes:
    return "".join(f"[{time:%Y-%m-%d, %H:%M}] {speaker}: {text}\n" for speaker, time, text in said).encode()


ANDROID_TITLE, ANDROID_SAVED = "방이름 4 님과 카카오톡 대화", "저장한 날짜 : 2031년 8월 3일 오전 12:51"
IOS_SAVED = "저장한 날짜 : 2031. 8. 3. 오전 12:15"
CLOSED = {  # a newline inside a message is not the end of a record: nothing is ambiguous
    "kakaotalk-android-ko": [mobile(ANDROID_TITLE, ANDROID_SAVED, android_ko, android_ko)],
    "kakaotalk-android-en": [
        mobile("KakaoTalk Chats with 방 (4)", "Date Saved : 1:01am, August 3, 2031", android_en_old, android_en_old),
        mobile("KakaoTalk Chats with 이름", "Date Saved : November 3, 2031, 1:08 PM", android_en, android_en),
    ],
    "kakaotalk-ios-ko": [
        mobile("방 (4명)과 카카오톡 대화-1.txt", IOS_SAVED, ios_ko, day_ko),
        mobile("Talk_2021.1.10 08_15-1.txt", IOS_SAVED, ios_ko_24, day_ko),
    ],
    "kakaotalk-ios-en": [
        mobile("KakaoTalk Chats with 방 (4 people)-1.txt", "Date Saved : Aug 3, 2031, 12:20 AM", ios_en, day_en),
        mobile("KakaoTalk Chats with 방 (4 people)-1.txt", "Date Saved : Aug 3, 2031, 12:20 AM", ios_en_2023, day_en),
    ],
    "kakaotalk-mac": [mac],
    "whatsapp-ios": [
        whatsapp_lines("[{day}/{month}/{year}, {hour24}:{minute}:{second}] ", "\r\n"),
        whatsapp_lines("\u200e[{month}/{day}/{short}, {hour}:{minute}:{second}\u202f{half}] ", "\r\n"),
        whatsapp_lines("[{year}. {month}. {day}. {hour24}:{minute}:{second}] ", "\r\n"),
    ],
}
OPEN = {  # a line inside a message can look like the next one
    "kakaotalk-windows-ko": [windows(windows_ko, day_ko)],
    "kakaotalk-windows-en": [windows(windows_en, day_en), windows(windows_en_new, day_ko)],
    "whatsapp-android": [
        whatsapp_lines("{month}/{day}/{short}, {hour}:{minute}\u202f{half} - "),
        whatsapp_lines("{day}.{month}.{year} klo {hour24}.{minute} - "),
        whatsapp_lines("{year}-{month}-{day}, {hour24}:{minute} - "),
        whatsapp_lines("{day}-{month}-{year} {hour24}:{minute} - "),
    ],
    "signal-text": [signal],
}
WRITERS = [(format, index) for format, found in (CLOSED | OPEN).items() for index in range(len(found))]


def writer(format: str, index: int) -> Callable[[Sequence[Said]], bytes]:
    return (CLOSED | OPEN)[format][index]


def precise(said: Said, format: str) -> tuple[str, str, str]:
    """What a reader should give back: seconds only where the format has them."""
    has_seconds = format in ("kakaotalk-mac", "whatsapp-ios")
    return said.speaker, f"{said.time:%Y-%m-%dT%H:%M:%S}" if has_seconds else f"{said.time:%Y-%m-%dT%H:%M}", said.text


def told(chat: Chat) -> list[tuple[str | None, str | None, str]]:
    return [(entry.speaker, entry.time, entry.text) for entry in chat.messages]


OPTIONS = Options()
NAMES = ["철수", "A", "이:름", "김]철수", "[관리자]", "🦊 여우", "7", "a, b", "x/y #1", "회원", "오후 3:00"]
WORDS = [
    "안녕",
    "12:30",
    "A님이 나갔습니다.",
    "ㅋㅋ 😀",
    "a: b",
    "https://x.y/z",
    "사진",
    "‏rtl",
    "[B]",
    "----",
    '"',
    "<b>",
]
START = datetime(2015, 7, 13, 0, 0, 5)  # a day above 12: WhatsApp's order of day and month shows


def conversations(
    texts: st.SearchStrategy[str], names: Sequence[str] = NAMES, most_minutes: int = 900
) -> st.SearchStrategy[list[Said]]:
    """Several people, times that do not go back (over midnight), texts as given."""
    steps = st.integers(0, most_minutes)
    one = st.tuples(st.sampled_from(names), steps, texts)

    def timed(said: list[tuple[str, int, str]]) -> list[Said]:
        time = START
        found = []
        for speaker, minutes, text in said:
            time += timedelta(minutes=minutes)
            found.append(Said(speaker, time, text))
        return found

    return st.lists(one, min_size=1, max_size=8).map(timed)


def lines_of_text() -> st.SearchStrategy[str]:
    """A message of one or more lines without white space at its ends."""
    characters = st.characters(exclude_characters="\r\n", exclude_categories=["Cs", "Zs", "Cc"])
    line = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join) | st.text(characters, max_size=6)
    return st.lists(line, min_size=1, max_size=3).map("\n".join).map(str.strip).filter(bool)


READERS = (kakaotalk, kakaotalk_mac, whatsapp, signal_text, numbered)


def read(raw: bytes, format: str | None = None) -> Chat:
    """By the one reader that claims the file, or as the format that is named; conserved."""
    text = source(raw).text
    claims = [(reader, name) for reader in READERS if (name := reader.recognise(text[: 1 << 16])) is not None]
    ((reader, name),) = claims
    assert format in (None, name)
    (chat,) = reader.read(source(raw), OPTIONS, name)
    assert_tiled(raw, [chat])
    return chat
