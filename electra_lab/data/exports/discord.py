"""DiscordChatExporter's JSON and CSV: one channel a file, in CSV without its name."""

from typing import Any

from electra_lab.data.errors import IngestError
from electra_lab.data.exports.chat import BLANK, HEADER, MESSAGE, SYSTEM, Chat, Entry, Options
from electra_lab.data.exports.csv_rows import Row, rows
from electra_lab.data.exports.json_elements import Element, listings
from electra_lab.data.exports.json_head import keys
from electra_lab.data.exports.moments import Moment, moment, moments
from electra_lab.data.exports.records import chat_of_records, entry_at
from electra_lab.data.exports.source import Source

NAMES = JSON, CSV = ("discord-json", "discord-csv")
COLUMNS = ("AuthorID", "Author", "Date", "Content", "Attachments", "Reactions")


def recognise(head: str) -> str | None:
    """By the server and channel before the messages, or by the names of the columns."""
    if tuple(head.split("\n", 1)[0].removesuffix("\r").split(",")) == COLUMNS:
        return CSV
    return JSON if {"/guild/id", "/channel/id"} <= keys(head).keys() else None


def read(source: Source, options: Options, format: str) -> list[Chat]:
    """The channel; in CSV, dates are as the exporting computer writes them and notices look like messages.

    Source: https://github.com/Tyrrrz/DiscordChatExporter, JsonMessageWriter.cs, CsvMessageWriter.cs, MessageKind.cs.

    Raises:
        IngestError: not JSON, or no list of messages in it; E106, other columns.
    """
    if format == CSV:
        return [chat_of_records(source, options, format, None, _table(source, options))]
    chats = []
    for listing in listings(source, ("/messages",), _entry):
        names = (listing.members.get("guild"), listing.members.get("channel"))
        title = " / ".join(name for owner in names if (name := _string(owner, "name")))
        chats.append(chat_of_records(source, options, format, title, listing.entries))
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


def _table(source: Source, options: Options) -> list[Entry]:
    table = list(rows(source, ","))
    if not table or table[0].cells != COLUMNS:
        raise IngestError("E106", source.name, "line 1", f"the columns {','.join(COLUMNS)}", "others")
    dates = moments([row.cells[2] if len(row.cells) == len(COLUMNS) else "" for row in table[1:]], options.day_first)
    return [entry_at(table[0], HEADER), *map(_of_row, table[1:], dates)]


def _of_row(row: Row, date: Moment) -> Entry:
    if not row.text.strip():
        return entry_at(row, BLANK)
    if not row.is_whole or len(row.cells) != len(COLUMNS):
        return entry_at(row)
    _, speaker, _, text, attachments, _ = row.cells
    flags = (*(("media",) if attachments else ()), *date.flags, *(() if speaker else ("no_speaker",)))
    return entry_at(row, MESSAGE, text, speaker or None, date.time, flags)


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
