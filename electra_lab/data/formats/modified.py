"""The "modified" form of NIKL conversations: a list with one object (or the object alone), messages with labels."""

from collections.abc import Iterator
from pathlib import Path

from electra_lab.data.conversation import Conversation
from electra_lab.data.formats.nikl import utterances
from electra_lab.data.formats.strict_json import decoded, expect, parsed


def read(path: Path) -> Iterator[Conversation]:
    """The conversations of one file; speakers and times are there only if the writer kept them.

    Raises:
        IngestError: what is not in the form, with its place in the file.
    """
    value = parsed(decoded(path.read_bytes(), path), path)
    items = [value] if isinstance(value, dict) else expect(value, list, path, "/")
    for index, item in enumerate(items):
        pointer = f"/{index}" if isinstance(value, list) else ""
        name = expect(item, dict, path, pointer or "/").get("id")
        fallback = path.stem if len(items) == 1 else f"{path.stem}.{index + 1}"
        identity = fallback if name is None else expect(name, str, path, f"{pointer}/id")
        yield Conversation(identity, utterances(item.get("utterance"), path, f"{pointer}/utterance"), str(path))
