"""Labelled conversations to files in the modified form: what the verb `modify` leaves, however they were made."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from electra_lab.data.conversation import Conversation


class Span(NamedTuple):
    """One exchanged noun; characters of the new text."""

    start: int
    end: int
    original: str
    replacement: str


@dataclass(frozen=True, slots=True)
class ModifiedConversation:
    """A conversation with a label on every message, and what was done to it."""

    conversation: Conversation
    spans: tuple[tuple[Span, ...], ...]  # of every message; () = no noun of it was exchanged
    provenance: dict[str, object]


def write_modified(conversations: Iterable[ModifiedConversation], folder: str | Path) -> dict[str, int]:
    """Write one file a conversation in the modified form; returns how many conversations and messages are anomalous.

    A list with one object: `id`, `provenance`, `utterance` of `{original_form, speaker_id?, time?, label, source?,
    kind?, spans?}`.

    Raises:
        ValueError: The folder already has something in it or is a file, or two conversations have the same id.
    """
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty: name a new folder for the modified conversations")
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {"conversations": 0, "anomalous_conversations": 0, "messages": 0, "anomalous_messages": 0}
    for modified in conversations:
        conversation = modified.conversation
        path = folder / (re.sub(r"[^\w-]", "_", conversation.id) + ".json")  # an id is no path
        if path.exists():
            raise ValueError(f"two conversations have the id of {path.name}: every conversation needs its own")
        content = [{"id": conversation.id, "provenance": modified.provenance, "utterance": _utterances(modified)}]
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        numbers["conversations"] += 1
        numbers["anomalous_conversations"] += conversation.is_anomalous
        numbers["messages"] += len(conversation.messages)
        numbers["anomalous_messages"] += sum(message.label == 1 for message in conversation.messages)
    return numbers


def prevalence(numbers: dict[str, int]) -> str:
    """What `write_modified` counted, for people."""
    return ", ".join(
        f"{numbers[level]} {level}, {numbers[f'anomalous_{level}']} anomalous "
        f"({100 * numbers[f'anomalous_{level}'] / max(1, numbers[level]):.2f} %)"
        for level in ("conversations", "messages")
    )


def _utterances(modified: ModifiedConversation) -> list[dict[str, object]]:
    utterances: list[dict[str, object]] = []
    for message, places in zip(modified.conversation.messages, modified.spans, strict=True):
        utterance: dict[str, object] = {"original_form": message.text, "label": message.label}
        more = {"speaker_id": message.speaker, "time": message.time, "source": message.source, "kind": message.kind}
        utterance |= {key: value for key, value in more.items() if value is not None}
        if places:
            utterance["spans"] = [span._asdict() for span in places]
        utterances.append(utterance)
    return utterances
