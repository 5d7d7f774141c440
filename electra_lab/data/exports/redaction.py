"""A chat without its names: speakers are numbered, and where their names stand in a text, the numbers do."""

from collections.abc import Sequence
from dataclasses import replace

from electra_lab.data.exports.chat import MESSAGE, Chat, Entry

SHORTEST = 2  # characters of a name that is looked for in texts; one letter would be found in every word


class Redaction:
    """Numbers people in order of appearance over all chats, so that the same name is the same person everywhere.

    In messages the names of those are found who write in the same chat or in an earlier one, and the owner's; others
    cannot be known. Who is invited or leaves may never write, so of all that is no message the text is left out.
    """

    def __init__(self, own_name: str | None = None) -> None:
        self._people: dict[str, str] = {}
        self._lengths: set[int] = set()  # of the names that are looked for
        self._beginnings: set[str] = set()
        if own_name is not None:
            self._meet(own_name)
        self._files: dict[str, str] = {}

    def file(self, name: str) -> str:
        """What a file is called instead; its checksum still tells which one it is."""
        return self._files.setdefault(name, f"file {len(self._files) + 1}")

    def chat(self, chat: Chat) -> Chat:
        """The chat without names of people, room and files."""
        for entry in chat.entries:
            if entry.speaker is not None:
                self._meet(entry.speaker)
        lengths = sorted(self._lengths, reverse=True)

        def hidden(entry: Entry) -> Entry:
            text = self._without_names(entry.text, lengths) if entry.kind == MESSAGE else ""
            speaker = None if entry.speaker is None else self._people[entry.speaker]
            return replace(entry, text=text, speaker=speaker)

        name, number = chat.files[0], chat.id.removeprefix(chat.files[0])  # "", or "#2" of a file with several
        return replace(
            chat,
            id=self.file(name) + number,
            title=None,
            files=tuple(map(self.file, chat.files)),
            entries=tuple(map(hidden, chat.entries)),
        )

    def _meet(self, name: str) -> None:
        self._people.setdefault(name, f"person {len(self._people) + 1}")
        if len(name) >= SHORTEST:
            self._lengths.add(len(name))
            self._beginnings.add(name[:SHORTEST])

    def _without_names(self, text: str, lengths: Sequence[int]) -> str:
        """The longest name first, in time that does not grow with the number of names."""
        found = []
        done = at = 0
        while at < len(text):
            name = None
            if text[at : at + SHORTEST] in self._beginnings:
                name = next((text[at : at + size] for size in lengths if text[at : at + size] in self._people), None)
            if name is None:
                at += 1
            else:
                found += [text[done:at], self._people[name]]
                done = at = at + len(name)
        return "".join([*found, text[done:]])
