"""A chat without its names: speakers are numbered, and where their names stand in a text, the numbers do."""

import re
from dataclasses import replace

from electra_lab.data.exports.chat import HEADER, Chat, Entry

SHORTEST = 2  # characters of a name that is looked for in texts; one letter would be found in every word


class Redaction:
    """Numbers people in order of appearance over all chats, so that the same name is the same person everywhere.

    In texts the names of those are found who write in the same chat or in an earlier one; others cannot be known.
    """

    def __init__(self) -> None:
        self._people: dict[str, str] = {}
        self._files: dict[str, str] = {}

    def file(self, name: str) -> str:
        """What a file is called instead; its checksum still tells which one it is."""
        return self._files.setdefault(name, f"file {len(self._files) + 1}")

    def chat(self, chat: Chat) -> Chat:
        """The chat without names of people, room and files; room and dates of header lines go with them."""
        for entry in chat.entries:
            if entry.speaker is not None:
                self._people.setdefault(entry.speaker, f"person {len(self._people) + 1}")
        people = self._people
        known = sorted((name for name in people if len(name) >= SHORTEST), key=len, reverse=True)
        pattern = re.compile("|".join(map(re.escape, known)) or r"(?!)")

        def hidden(entry: Entry) -> Entry:
            is_header = entry.kind == HEADER
            text = "" if is_header else pattern.sub(lambda match: people[match[0]], entry.text)
            speaker = None if entry.speaker is None else people[entry.speaker]
            return replace(entry, text=text, speaker=speaker)

        name, number = chat.files[0], chat.id.removeprefix(chat.files[0])  # "", or "#2" of a file with several
        return replace(
            chat,
            id=self.file(name) + number,
            title=None,
            files=tuple(map(self.file, chat.files)),
            entries=tuple(map(hidden, chat.entries)),
        )
