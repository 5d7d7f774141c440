"""What the tests of all record formats need: a file from text, people and texts that are hard to read."""

import json
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from electra_lab.data.exports import FORMATS, recognised
from electra_lab.data.exports.chat import Chat, Entry, Options
from electra_lab.data.exports.source import as_source

PLAIN = Options()
FEW = settings(derandomize=True, database=None, deadline=None, max_examples=25)
MANY = settings(FEW, max_examples=10_000)  # for slow tests
CHARACTERS = "가나ㅋab1 :[]{},\"'\\/\n\r\t😀\u200e\u202f\u2028é<>&=\x0b\x7f"
TEXTS = st.text(st.sampled_from(CHARACTERS), max_size=12)
NAMES = st.text(st.sampled_from("가나ab1 :[](),\"'\\😀é"), min_size=1, max_size=6).filter(
    lambda name: name.strip() == name
)
SECONDS = st.integers(0, 2**31)


def raw_of(value: Any, indent: int | None = 1) -> bytes:
    """A file as the exporting programs write JSON."""
    return json.dumps(value, ensure_ascii=False, indent=indent).encode()


def read(raw: bytes, options: Options = PLAIN, name: str = "room.json") -> list[Chat]:
    """The chats of a file whose format is recognised."""
    source = as_source(Path(name), name, raw)
    format = options.format or recognised(source.text[: 1 << 16], options)
    assert format is not None, "no format"
    return FORMATS[format](source, options, format)


def one(raw: bytes, options: Options = PLAIN) -> Chat:
    """The only chat."""
    (chat,) = read(raw, options)
    return chat


def records(chat: Chat) -> list[Entry]:
    """All but what is around the list."""
    return [entry for entry in chat.entries if entry.kind != "header"]


def brief(chat: Chat) -> list[tuple[str, str | None, str | None, str, tuple[str, ...]]]:
    """Kind, speaker, time, text, flags of each record."""
    return [(entry.kind, entry.speaker, entry.time, entry.text, entry.flags) for entry in records(chat)]
