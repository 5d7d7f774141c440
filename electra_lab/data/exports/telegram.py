"""Telegram Desktop's result.json: one chat, or all chats of an account."""

import re
from dataclasses import replace
from typing import Any

from electra_lab.data.exports.chat import MESSAGE, SYSTEM, Chat, Entry, Options
from electra_lab.data.exports.json_elements import Element, listings
from electra_lab.data.exports.json_head import keys
from electra_lab.data.exports.moments import NO_TIME, moment, utc
from electra_lab.data.exports.records import chat_of_records, entry_at
from electra_lab.data.exports.source import Source

NAMES = CHAT, ACCOUNT = ("telegram-chat", "telegram-account")


def recognise(head: str) -> str | None:
    """By the type of the chat or the list of chats."""
    found = keys(head)
    if {"/chats/list", "/left_chats/list"} & found.keys() or {"/about", "/personal_information"} <= found.keys():
        return ACCOUNT
    is_chat = found.get("/type") in _CHAT_TYPES or {"/messages/*/from_id", "/messages/*/date"} <= found.keys()
    return CHAT if is_chat and {"/type", "/id"} <= found.keys() else None


def read(source: Source, options: Options, format: str) -> list[Chat]:
    """The chats of the file; the texts' parts are put together without separators, times are UTC where it says so.

    Source: https://github.com/telegramdesktop/tdesktop, export_output_json.cpp.

    Raises:
        IngestError: not JSON, or no list of messages in it.
    """
    source, has_marks = _as_json(source)
    entry = (lambda element: _without_marks(_entry(element))) if has_marks else _entry
    return [
        chat_of_records(source, options, format, _string(listing.members.get("name")), listing.entries)
        for listing in listings(source, _PATHS, entry)
    ]


def _entry(element: Element) -> Entry:
    value = element.value
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "unsupported":  # newer than the program that exported it: nothing but an id
        return entry_at(element, MESSAGE, "", None, None, ("media", "no_speaker", *NO_TIME))
    if kind not in ("message", "service"):
        return entry_at(element)
    flags = [name for name, names in _FLAG_KEYS.items() if not names.isdisjoint(value)]
    time = _time(value)
    if time is None:
        flags += NO_TIME
    if kind == "service":
        speaker = _string(value.get("actor")) or _string(value.get("actor_id"))
        return entry_at(element, SYSTEM, None, speaker, time, tuple(flags))
    text = _text(value.get("text"))
    if text is None:
        return entry_at(element)
    poll = value.get("poll")
    if not text and isinstance(poll, dict):
        answers = poll.get("answers")
        lines = [poll, *(answers if isinstance(answers, list) else [])]
        parts = (line.get("question", line.get("text")) for line in lines if isinstance(line, dict))
        text = "\n".join(part for part in parts if isinstance(part, str))
    speaker = _string(value.get("from")) or _string(value.get("from_id"))  # the account behind a name may be deleted
    if speaker is None:
        flags.append("no_speaker")
    return entry_at(element, MESSAGE, text, speaker, time, tuple(flags))


def _text(value: Any) -> str | None:
    """A string, or a list of strings and objects with a text each."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    parts = [part.get("text") if isinstance(part, dict) else part for part in value]
    strings = [part for part in parts if isinstance(part, str)]
    return "".join(strings) if len(strings) == len(parts) else None


def _time(value: dict[str, Any]) -> str | None:
    seconds = value.get("date_unixtime")
    if isinstance(seconds, str) and re.fullmatch(r"-?\d{1,12}", seconds, re.ASCII):
        seconds = int(seconds)
    if isinstance(seconds, int) and (time := utc(seconds)) is not None:
        return time
    date = value.get("date")
    return moment(date).time if isinstance(date, str) else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _as_json(source: Source) -> tuple[Source, bool]:
    r"""The file with what the program writes wrongly put right, byte by byte, so that places stay.

    Control characters are written "\x0C" (issue 27571): four bytes, here a character of private use, which has as many.
    Some versions forget the quotes around the file of a custom emoji (issue 24961).
    """
    raw = source.raw
    has_marks = rb"\x" in raw and source.encoding == "utf-8"
    if has_marks:
        raw = _ESCAPE.sub(lambda match: chr(_PRIVATE + int(match[1], 16)).encode() if match[1] else match[0], raw)
    raw = _UNQUOTED.sub(lambda match: match[1] + b"0".ljust(len(match[2])), raw)
    return source._replace(raw=raw), has_marks


def _without_marks(entry: Entry) -> Entry:
    text, speaker = (
        part and _CONTROL.sub(lambda match: chr(ord(match[0]) - _PRIVATE), part) for part in (entry.text, entry.speaker)
    )
    return replace(entry, text=text or "", speaker=speaker)


_PATHS = ("/messages", "/chats/list/*/messages", "/left_chats/list/*/messages")
_PRIVATE = 0x10_0000
_ESCAPE = re.compile(rb"\\(?:x([01][0-9A-F])|.)", re.DOTALL)
_CONTROL = re.compile(f"[{chr(_PRIVATE)}-{chr(_PRIVATE + 0x1F)}]")
_UNQUOTED = re.compile(rb'("document_id": )([^"\s\d][^\r\n]*?)(?=,?[\r\n])')
_CHAT_TYPES = {
    *("personal_chat", "bot_chat", "saved_messages", "replies", "verification_codes"),
    *("private_group", "private_supergroup", "public_supergroup", "private_channel", "public_channel"),
}
_FLAG_KEYS = {
    "media": {
        *("media_type", "photo", "file", "sticker_emoji", "poll", "contact_information", "location_information"),
        *("game_title", "invoice_information", "giveaway_information", "place_name", "todo_list", "paid_media"),
    },
    "edited": {"edited", "edited_unixtime"},
    "forwarded": {"forwarded_from", "forwarded_from_id", "saved_from"},
}
