"""NIKL Messenger conversations, raw and modified, and JSON Lines of conversations: nothing left out, no labels."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from electra_lab.data.errors import IngestError
from electra_lab.data.exports.chat import BLANK, MESSAGE, UNPARSED, Chat, Entry, Options, with_owner
from electra_lab.data.exports.json_elements import Element, Listing, listings, of_line
from electra_lab.data.exports.json_head import keys
from electra_lab.data.exports.moments import moment
from electra_lab.data.exports.records import entry_at
from electra_lab.data.exports.source import Source
from electra_lab.data.formats.fields import speaker as speaker_of

NAMES = NIKL, MODIFIED, JSONL = ("nikl", "nikl-modified", "jsonl")


def recognise(head: str) -> str | None:
    """By the list of documents, of utterances, or of messages with nothing that another format has."""
    found = keys(head).keys()
    if "/document/*/utterance" in found:
        return NIKL
    if found & {"/utterance", "/*/utterance"}:
        return MODIFIED
    elements = {key.removeprefix("/messages/*/") for key in found if key.startswith("/messages/*/")}
    is_ours = "/messages" in found and not found & _OTHERS and (not elements or "text" in elements)
    return JSONL if is_ours else None


def read(source: Source, options: Options, format: str) -> list[Chat]:
    """The conversations, whose titles are their identifiers; an empty message is a message.

    Raises:
        IngestError: not JSON, or no conversation in it.
    """
    if format == JSONL:
        chats = _lines(source, format)
    else:
        found = listings(source, ("/document/*/utterance", "/utterance", "/*/utterance"), _utterance)
        chats = [_chat(source, format, listing) for listing in found]
    return [with_owner(chat, options.own_name) for chat in chats]


def _lines(source: Source, format: str) -> list[Chat]:
    """A chat a line; a line that is no conversation is a chat with one unparsed entry, a blank one goes with others."""
    chats: list[Chat] = []
    blanks: list[Entry] = []
    for line in source.lines():
        if not line.text.strip():
            blanks.append(entry_at(of_line(line), BLANK))
            continue
        bom = source.bom if line.number == 1 else 0
        part = source._replace(raw=source.raw[line.offset : line.offset + line.size], bom=bom)
        try:
            (listing,) = listings(part, ("/messages",), _message)
        except IngestError:
            unparsed = entry_at(of_line(line))
            chats.append(Chat(source.name, format, None, (source.name,), (*blanks, unparsed)))
        else:
            chat = _chat(source, format, listing)
            entries = (
                replace(entry, line=entry.line + line.number - 1, offset=entry.offset + line.offset)
                for entry in chat.entries
            )
            chats.append(replace(chat, entries=(*blanks, *entries)))
        blanks = []
    if all(entry.kind == UNPARSED for chat in chats for entry in chat.entries):
        raise IngestError("E106", source.name, "", "a conversation a line", "none")
    if blanks:
        chats[-1] = replace(chats[-1], entries=(*chats[-1].entries, *blanks))
    return chats


def _chat(source: Source, format: str, listing: Listing) -> Chat:
    identity = listing.members.get("id")
    title = str(identity) if isinstance(identity, str | int) else None
    return Chat(source.name, format, title, (source.name,), tuple(listing.entries))


def _utterance(element: Element) -> Entry:
    value = element.value
    if not isinstance(value, dict) or not value.keys() & {"original_form", "form"}:
        return entry_at(element)
    typed = value.get("original_form")
    return _entry(element, value.get("form") if typed is None else typed, value.get("speaker_id"), value.get("time"))


def _message(element: Element) -> Entry:
    value = element.value
    if isinstance(value, str):
        return _entry(element, value, None, None)
    if not isinstance(value, dict) or "text" not in value:
        return entry_at(element)
    return _entry(element, value["text"], value.get("speaker"), value.get("time"))


def _entry(element: Element, text: Any, speaker: Any, time: Any) -> Entry:
    try:
        name = speaker_of(speaker, Path(), "")
    except IngestError:
        return entry_at(element)
    if not isinstance(text, str | None) or not isinstance(time, str | int | None):
        return entry_at(element)
    date, date_flags = moment("" if time is None else str(time))
    marks = (flag for flag, pattern in _MARKS.items() if pattern.fullmatch(text or ""))
    flags = (*marks, *date_flags, *(() if name else ("no_speaker",)))
    return entry_at(element, MESSAGE, text or "", name or None, date, flags)


_OTHERS = {"/type", "/guild", "/channel", "/participants"}  # of messengers
_MARKS: dict[str, re.Pattern[str]] = {  # of the corpus, in place of what the messenger showed
    "media": re.compile(r"\{share: ?\w+\}"),
    "deleted": re.compile(r"\{system: ?delete\}"),
}
