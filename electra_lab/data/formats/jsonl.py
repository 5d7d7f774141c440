"""Generic JSON Lines: a conversation a line, `{"id", "messages": [text or object]}`, an object having "text"."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.formats.nikl import label, speaker, string_or_none
from electra_lab.data.formats.strict_json import expect, objects
from electra_lab.data.text import without_surrogates


def read(path: Path) -> Iterator[Conversation]:
    """The conversations of one file, line by line; empty messages are left out.

    Raises:
        IngestError: what is not in the form, with its line.
    """
    for number, place, item in objects(path):
        name = item.get("id")
        messages = expect(item.get("messages"), list, path, f"{place}/messages")
        yield Conversation(
            id=f"{path.stem}.{number}" if name is None else str(name),
            messages=tuple(
                message
                for index, value in enumerate(messages)
                if (message := _message(value, path, f"{place}/messages/{index}")).text.strip()
            ),
            path=str(path),
        )


def _message(value: Any, path: Path, pointer: str) -> Message:
    if isinstance(value, str):
        return Message(without_surrogates(value))
    expect(value, dict, path, pointer)
    text = value.get("text")
    return Message(
        text="" if text is None and "text" in value else without_surrogates(expect(text, str, path, f"{pointer}/text")),
        speaker=speaker(value.get("speaker"), path, f"{pointer}/speaker"),
        label=label(value.get("label"), path, f"{pointer}/label"),
        time=None if (time := value.get("time")) is None else str(time),
        source=string_or_none(value.get("source"), path, f"{pointer}/source"),
        kind=string_or_none(value.get("kind"), path, f"{pointer}/kind"),
    )
