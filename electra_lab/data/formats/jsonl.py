"""Generic JSON Lines: a conversation a line, `{"id", "messages": [text or object]}`, an object having "text"."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.errors import IngestError, attempted
from electra_lab.data.formats.fields import label, name_of, speaker, string_or_none, string_or_number, with_text
from electra_lab.data.formats.strict_json import Repairs, expect, lines, object_of


def read(path: Path, repairs: Repairs) -> Iterator[Conversation | IngestError]:
    """The conversations of one file, line by line; empty messages are left out.

    Raises:
        IngestError: the file as a whole cannot be read on.
    """
    for number, raw in lines(path, repairs):
        yield attempted(_conversation, raw, path, number, repairs)


def _conversation(raw: bytes, path: Path, number: int, repairs: Repairs) -> Conversation:
    place = f"line {number}"
    item = object_of(raw, path, place, repairs)
    name = string_or_number(item.get("id"), path, f"{place}/id")
    values = expect(item.get("messages"), list, path, f"{place}/messages")
    places = [f"{place}/messages/{index}" for index in range(len(values))]
    messages = ((at, _message(value, path, at)) for at, value in zip(places, values, strict=True))
    identity = f"{name_of(path)}.{number}" if name is None else name
    return Conversation(identity, with_text(messages, path, repairs), str(path))


def _message(value: Any, path: Path, pointer: str) -> Message:
    if isinstance(value, str):
        return Message(value)
    expect(value, dict, path, pointer)
    text = value.get("text")
    return Message(
        text="" if text is None and "text" in value else expect(text, str, path, f"{pointer}/text"),
        speaker=speaker(value.get("speaker"), path, f"{pointer}/speaker"),
        label=label(value.get("label"), path, f"{pointer}/label"),
        time=string_or_number(value.get("time"), path, f"{pointer}/time"),
        source=string_or_none(value.get("source"), path, f"{pointer}/source"),
        kind=string_or_none(value.get("kind"), path, f"{pointer}/kind"),
    )
