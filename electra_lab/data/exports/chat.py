"""Chat and Entry: an export as evidence. Everything that stands in the file is an entry, with its place."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from electra_lab.data.conversation import Conversation, Message

MESSAGE = "message"  # somebody wrote it
SYSTEM = "system"  # the messenger says that something happened: joined, left, called
HEADER = "header"  # the room, the time of saving, a day's banner, names of columns
BLANK = "blank"  # nothing but white space
UNPARSED = "unparsed"  # none of these as far as we know
KINDS = (MESSAGE, SYSTEM, HEADER, BLANK, UNPARSED)

# What an entry may carry, and what is said about it to the reader of a report.
FLAGS = {
    "ambiguous": "could also be read otherwise, for example as a line that somebody typed to look like another message",
    "no_date": "the file gives no date for it",
    "no_time": "the file gives no time for it",
    "unknown_time": "the file gives a time in a form that is not known; it stands in the record",
    "no_speaker": "the file does not say who wrote it",
    "owner": "written by the owner of the device on which the export was made",
    "edited": "edited after it was sent; the file holds the last form",
    "deleted": "deleted by its writer or an administrator; the file holds a notice in its place",
    "media": "a picture, voice message or other file in place of a text, or beside it; it is not judged",
    "forwarded": "forwarded from somebody else",
    "bad_bytes": "holds bytes or escapes that are no text in the file's encoding, shown as U+FFFD",
    "mojibake": "letters that the exporting program had broken are put together again",
    "repeated_id": "another record of the same file has the same identifier",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A record of an export: one line with the lines that continue it, or one object of a list."""

    kind: str  # one of KINDS
    text: str  # of a message what was written, else the record as it stands; never repaired but for what flags say
    line: int  # of its first character, from 1
    num_lines: int  # with continuation lines
    offset: int  # bytes from the start of the file
    size: int  # bytes, line end included
    speaker: str | None = None  # as the file names the person
    time: str | None = None  # ISO 8601 to the file's precision, with a zone only if the file has one; "2015-07-09" or
    # "T20:34" where it has only the date or only the time of day
    flags: tuple[str, ...] = ()  # names in FLAGS
    file: int = 0  # which of the chat's files


@dataclass(frozen=True, slots=True)
class Chat:
    """The entries of one conversation in the order of the file, or of the parts of a split export."""

    id: str
    format: str  # with variant and language: "kakaotalk-android-ko"
    title: str | None  # the room's name, as the file has it
    files: tuple[str, ...]
    entries: tuple[Entry, ...]

    @property
    def messages(self) -> tuple[Entry, ...]:
        """What somebody wrote, and what is scored."""
        return tuple(entry for entry in self.entries if entry.kind == MESSAGE)

    def conversation(self) -> Conversation:
        """The messages alone, for a detector."""
        return Conversation(
            self.id,
            tuple(Message(entry.text, entry.speaker, time=entry.time) for entry in self.messages),
            self.files[0],
        )

    def counts(self) -> dict[str, int]:
        """Entries of each kind, and lines that continue a record: their sum is the number of lines of a text export."""
        counts = {kind: sum(entry.kind == kind for entry in self.entries) for kind in KINDS}
        return counts | {"continuation": sum(entry.num_lines - 1 for entry in self.entries)}


class Options(NamedTuple):
    """What the user knows about the files."""

    format: str | None = None  # a name in FORMATS, for files that are not recognised or wrongly
    own_name: str | None = None  # of the owner, whom some formats call "you"
    day_first: bool | None = None  # of dates like 3/4/21; None: from the file
    columns: tuple[tuple[str, str], ...] = ()  # ours (text, speaker, time, chat) and the file's, for tables and JSONL


def with_owner(chat: Chat, own_name: str | None, aliases: frozenset[str] = frozenset()) -> Chat:
    """The chat with the owner's messages flagged, and under the owner's name if it is known.

    Args:
        chat: as read.
        own_name: the owner's name; also flagged where the file itself uses it.
        aliases: what the format calls the owner: "회원님", "you", ...
    """

    def owned(entry: Entry) -> Entry:
        if entry.speaker is None or (entry.speaker not in aliases and entry.speaker != own_name):
            return entry
        return replace(entry, speaker=own_name or entry.speaker, flags=(*entry.flags, "owner"))

    return replace(chat, entries=tuple(map(owned, chat.entries)))
