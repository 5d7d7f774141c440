"""DiscordChatExporter's JSON: one channel a file."""

from typing import Any

from electra_lab.data.exports.chat import MESSAGE, SYSTEM, Chat, Entry, Options, with_owner
from electra_lab.data.exports.json_elements import Element, listings
from electra_lab.data.exports.json_head import keys
from electra_lab.data.exports.moments import moment
from electra_lab.data.exports.records import entry_at
from electra_lab.data.exports.source import Source

NAMES = ("discord-json",)


def recognise(head: str) -> str | None:
    """By the server and channel before the messages."""
    return NAMES[0] if {"/guild/id", "/channel/id"} <= keys(head).keys() else None


def read(source: Source, options: Options, format: str) -> list[Chat]:
    """The channel.

    Source: https://github.com/Tyrrrz/DiscordChatExporter, JsonMessageWriter.cs and MessageKind.cs.

    Raises:
        IngestError: not JSON, or no list of messages in it.
    """
    chats = []
    for listing in listings(source, ("/messages",), _entry):
        names = (listing.members.get("guild"), listing.members.get("channel"))
        title = " / ".join(name for owner in names if (name := _string(owner, "name")))
        chat = Chat(source.name, format, title or None, (source.name,), tuple(listing.entries))
        chats.append(with_owner(chat, frozenset(), options.own_name))
    return chats


def _entry(element: Element) -> Entry:
    value = element.value
    if not isinstance(value, dict) or not isinstance(text := value.get("content"), str):
        return entry_at(element)
    flags = []
    forwarded = value.get("forwardedMessage")
    if isinstance(forwarded, dict):
        flags.append("forwarded")
        text = text or _string(forwarded, "content") or ""
    if any(part.get(key) for part in (value, forwarded) if isinstance(part, dict) for key in _MEDIA):
        flags.append("media")
    if value.get("timestampEdited") is not None:
        flags.append("edited")
    time, time_flags = moment(_string(value, "timestamp") or "")
    flags += time_flags
    speaker = _name(value.get("author"))
    if speaker is None:
        flags.append("no_speaker")
    kind = SYSTEM if value.get("type") in _SYSTEM_TYPES else MESSAGE
    return entry_at(element, kind, text, speaker, time, tuple(flags))


def _name(author: Any) -> str | None:
    """The account, which is one of a kind ("name#1234" for old ones), not the nickname, which anybody may choose."""
    name, number = _string(author, "name"), _string(author, "discriminator")
    return name if name is None or number is None or not number.strip("0") else f"{name}#{number}"


def _string(value: Any, key: str) -> str | None:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) and found else None


_MEDIA = ("attachments", "stickers", "embeds")
_SYSTEM_TYPES = {  # kinds 1 to 18; the program knows the rest by number
    *("RecipientAdd", "RecipientRemove", "Call", "ChannelNameChange", "ChannelIconChange", "ChannelPinnedMessage"),
    *("GuildMemberJoin", "ThreadCreated", *(str(number) for number in range(1, 19))),
}
