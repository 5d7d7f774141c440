"""KakaoTalk's text exports from Android, iOS and Windows, Korean and English, as written from 2015 to today.

On Android and iOS a record ends with CRLF and a newline inside a message is a bare LF; on Windows both are CRLF. The
forms were read on public samples; times are those of the device, whose zone no export names.
"""

from collections.abc import Callable

from electra_lab.data.exports.chat import Chat, Options, with_owner
from electra_lab.data.exports.kakaotalk_head import aside, names_part, room_line, room_title, saved_on
from electra_lab.data.exports.kakaotalk_marks import flags_of, noticed_name
from electra_lab.data.exports.kakaotalk_times import android_start, ios_start, windows_start
from electra_lab.data.exports.kakaotalk_windows import windows_entries
from electra_lab.data.exports.line_records import chat_of, records, records_end_in_crlf
from electra_lab.data.exports.source import Source
from electra_lab.data.exports.spoken import Start, spoken_entries
from electra_lab.data.exports.time_order import with_doubt

OWNER = frozenset({"회원님", "you", "You"})  # what the owner of the device is called, on Android and iOS
_HEAD_LINES = 40  # above the first record: the room, the time of saving, blank ones, on Windows notices


def recognise(head: str) -> str | None:
    """The variant, such as "kakaotalk-android-ko", if what is below the title begins a record of one."""
    variant: str | None = None
    is_ios = False
    for text in _top(head):
        if (saved := saved_on(text)) is not None:
            variant = f"kakaotalk-{saved.system}-{saved.language}"
        elif room_line(text) is not None:
            is_ios = names_part(text)
        elif found := [name for name in NAMES if _start(text, name) is not None]:
            if "windows" in found[0]:
                return _windows_variant(head)
            return found[-1] if is_ios else found[0]  # "May 9, 2015, 8:34 PM, " is of both systems
        elif text.strip() and "windows" not in (variant or ""):  # there, notices may come first
            return None
    return variant


def read(source: Source, options: Options, format: str) -> list[Chat]:
    """The chat of one file.

    Args:
        source: the file.
        options: `own_name` is used.
        format: the variant, one of `NAMES`.

    Raises:
        IngestError: E106, nothing in the file has the variant's form.
    """
    lines = list(source.lines())
    starts = [_start(line.text, format) for line in lines]
    owner = frozenset[str]() if "windows" in format else OWNER
    title = next(filter(None, map(room_title, _top(source.text))), None)
    if "windows" in format:
        entries = with_doubt(windows_entries(lines, starts))
    else:
        found = records(lines, starts)
        entries = spoken_entries(found, " : ", flags_of, aside, filter(None, [title]), noticed_name)
        if not records_end_in_crlf(lines, starts):
            entries = with_doubt(entries)
    return [with_owner(chat_of(source, format, title, entries), options.own_name, owner)]


def _top(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text[: 1 << 16].split("\n", _HEAD_LINES)[:_HEAD_LINES]]


def _start(line: str, name: str) -> Start | None:
    _, system, language = name.split("-")
    return _STARTS[system](line, language)


def _windows_variant(head: str) -> str:
    """By the first message: banners are in the language of the system, which may be another."""
    for line in head.split("\n"):
        for name in NAMES[-2:]:
            if (start := _start(line.removesuffix("\r"), name)) is not None and start.name is not None:
                return name
    return NAMES[-2] if "요일 -" in head else NAMES[-1]


_STARTS: dict[str, Callable[[str, str], Start | None]] = {
    "android": android_start,
    "ios": ios_start,
    "windows": windows_start,
}
NAMES = tuple(f"kakaotalk-{system}-{language}" for system in _STARTS for language in ("ko", "en"))
