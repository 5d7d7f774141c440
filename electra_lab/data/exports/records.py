"""From records with their places, elements of a list or rows of a table, to entries and their chat."""

from collections.abc import Iterable
from typing import Protocol

from electra_lab.data.exports.chat import UNPARSED, Chat, Entry, Options, with_owner
from electra_lab.data.exports.source import Source
from electra_lab.data.text import without_surrogates


class Placed(Protocol):
    """What a JSON element and a row of a table have in common."""

    @property
    def text(self) -> str:
        """The record as it stands."""

    @property
    def line(self) -> int:
        """Of its first character, from 1."""

    @property
    def num_lines(self) -> int:
        """That it stands on."""

    @property
    def offset(self) -> int:
        """Bytes from the start of the file."""

    @property
    def size(self) -> int:
        """In bytes."""

    @property
    def has_bad_bytes(self) -> bool:
        """Whether some of its bytes are no text."""


def entry_at(
    record: Placed,
    kind: str = UNPARSED,
    text: str | None = None,
    speaker: str | None = None,
    time: str | None = None,
    flags: tuple[str, ...] = (),
) -> Entry:
    """The entry of one record; without a text, the record as it stands.

    Lone surrogates, which JSON can hold and no file can, become U+FFFD and count as bad bytes.
    """
    found = record.text if text is None else text
    sound = without_surrogates(found)
    name = None if speaker is None else without_surrogates(speaker)
    is_bad = record.has_bad_bytes or sound != found or name != speaker
    return Entry(
        kind=kind,
        text=sound,
        line=record.line,
        num_lines=record.num_lines,
        offset=record.offset,
        size=record.size,
        speaker=name,
        time=time,
        flags=(*dict.fromkeys(flags), "bad_bytes") if is_bad else tuple(dict.fromkeys(flags)),
    )


def chat_of_records(source: Source, options: Options, format: str, title: str | None, entries: Iterable[Entry]) -> Chat:
    """A chat of one file, with the owner's messages flagged."""
    chat = Chat(source.name, format, title or None, (source.name,), tuple(entries))
    return with_owner(chat, options.own_name)
