"""Facebook's and Instagram's message_1.json, and Messenger's own export of encrypted chats; newest message first."""

from typing import Any

from electra_lab.data.exports.chat import HEADER, MESSAGE, SYSTEM, Chat, Entry, Options
from electra_lab.data.exports.json_elements import Element, listings
from electra_lab.data.exports.json_head import keys
from electra_lab.data.exports.moments import NO_TIME, utc
from electra_lab.data.exports.records import chat_of_records, entry_at
from electra_lab.data.exports.source import Source

NAMES = PLAIN, ENCRYPTED = ("facebook", "facebook-encrypted")


def recognise(head: str) -> str | None:
    """By the participants before the messages: objects with a name, in encrypted chats the names."""
    found = keys(head)
    if not {"/participants", "/messages"} <= found.keys():
        return None
    if "/threadName" in found or "/messages/*/senderName" in found:
        return ENCRYPTED
    return PLAIN if "/participants/*/name" in found or "/messages/*/sender_name" in found else None


def read(source: Source, options: Options, format: str) -> list[Chat]:
    """The chat in the order of time, each message with its own place in the file; broken letters put together.

    Raises:
        IngestError: not JSON, or no list of messages in it.
    """
    chats = []
    for listing in listings(source, ("/messages",), _entry):
        title = listing.members.get("title", listing.members.get("threadName"))
        name = mended(title)[0] if isinstance(title, str) else None
        chats.append(chat_of_records(source, options, format, name, _oldest_first(listing.entries)))
    return chats


def mended(text: str) -> tuple[str, bool]:
    """The text whose UTF-8 bytes were written as a character each, put together again; and whether it was so.

    Source: https://github.com/joweich/chat-miner, chatparsers.py.
    """
    try:
        whole = text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text, False
    return whole, whole != text


def _oldest_first(entries: list[Entry]) -> list[Entry]:
    """Turned round if the newest is first, as it is unless somebody has sorted the file; headers stay around."""
    records = [entry for entry in entries if entry.kind != HEADER]
    times = [entry.time for entry in records if entry.time is not None]
    if not times or times[0] < times[-1]:
        return entries
    before = [entry for entry in entries if entry.kind == HEADER and entry.offset < records[0].offset]
    after = [entry for entry in entries if entry.kind == HEADER and entry.offset > records[0].offset]
    return [*before, *reversed(records), *after]


def _entry(element: Element) -> Entry:
    value = element.value
    if not isinstance(value, dict) or not value.keys() & {"sender_name", "senderName"}:
        return entry_at(element)
    text = value.get("content", value.get("text", ""))
    name = value.get("sender_name", value.get("senderName"))
    if not isinstance(text, str) or not isinstance(name, str):
        return entry_at(element)
    (text, is_text_mended), (name, is_name_mended) = mended(text), mended(name)
    flags = [flag for flag, names in _FLAG_KEYS.items() if any(value.get(key) for key in names)]
    if is_text_mended or is_name_mended:
        flags.append("mojibake")
    time = _time(value.get("timestamp_ms", value.get("timestamp")))
    if time is None:
        flags += NO_TIME
    if not name:
        flags.append("no_speaker")
    is_system = value.get("type") in _SYSTEM_TYPES or "call_duration" in value
    return entry_at(element, SYSTEM if is_system else MESSAGE, text, name or None, time, tuple(flags))


def _time(milliseconds: Any) -> str | None:
    return utc(milliseconds / 1000) if isinstance(milliseconds, int) and abs(milliseconds) < 1 << 53 else None


_SYSTEM_TYPES = ("Subscribe", "Unsubscribe", "Call")
_FLAG_KEYS = {
    "media": ("photos", "videos", "audio_files", "gifs", "files", "sticker", "share", "media"),
    "deleted": ("is_unsent", "isUnsent", "is_unsent_image_by_messenger_kid_parent"),
}
