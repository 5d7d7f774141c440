"""The "modified" form of NIKL conversations: a list with one object (or the object alone), messages with labels."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from electra_lab.data.conversation import Conversation
from electra_lab.data.errors import IngestError, attempted
from electra_lab.data.formats.fields import name_of
from electra_lab.data.formats.nikl import utterances
from electra_lab.data.formats.strict_json import Repairs, expect, read_json


def read(path: Path, repairs: Repairs) -> Iterator[Conversation | IngestError]:
    """The conversations of one file; speakers and times are there only if the writer kept them.

    Raises:
        IngestError: the file as a whole is not in the form, with the place.
    """
    value = read_json(path, repairs)
    items = [value] if isinstance(value, dict) else expect(value, list, path, "/")
    for index, item in enumerate(items):
        pointer = f"/{index}" if isinstance(value, list) else ""
        fallback = name_of(path) if len(items) == 1 else f"{name_of(path)}.{index + 1}"
        yield attempted(_conversation, item, path, pointer, fallback, repairs)


def _conversation(item: Any, path: Path, pointer: str, fallback: str, repairs: Repairs) -> Conversation:
    name = expect(item, dict, path, pointer or "/").get("id")
    identity = fallback if name is None else expect(name, str, path, f"{pointer}/id")
    return Conversation(identity, utterances(item.get("utterance"), path, f"{pointer}/utterance", repairs), str(path))
