"""The fields of a message that all formats have, each as it may be written; what is not is refused with its place."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from electra_lab.data.conversation import Message
from electra_lab.data.errors import IngestError
from electra_lab.data.formats.strict_json import Repairs, expect
from electra_lab.data.text import for_model, without_surrogates

LONGEST_TEXT = 1_000_000  # characters of a message: nobody types more, and a tokenizer would take gigabytes


def with_text(messages: Iterable[tuple[str, Message]], path: Path, repairs: Repairs) -> tuple[Message, ...]:
    """The messages, each with its place, that have a text; the others are counted.

    Raises:
        IngestError: E114 an empty message that is labelled anomalous, so that its label belongs to another text;
            E115 a text beyond all measure.
    """
    kept = []
    for place, message in messages:
        if len(message.text) > LONGEST_TEXT:
            expected = f"a text of at most {LONGEST_TEXT:,} characters"
            raise IngestError("E115", str(path), place, expected, f"{len(message.text):,}")
        if message.text.strip():
            kept.append(message)
        elif message.label == 1:
            raise IngestError("E114", str(path), f"{place}/label", "a text with the label 1", "an empty message")
        else:
            repairs["empty_messages", str(path)] += 1
    return tuple(kept)


def name_of(path: Path) -> str:
    """What conversations without an id are called after; a file may be named by bytes that are no text."""
    return without_surrogates(path.stem)


def speaker(value: Any, path: Path, pointer: str) -> str | None:
    """The person as the file names them; "2" with an invisible variation selector is still "2" (MDRW1900006926)."""
    name = string_or_number(value, path, pointer)
    return None if name is None else for_model(name).strip()


def string_or_number(value: Any, path: Path, pointer: str) -> str | None:
    """As the file writes it, if it is there; anything else is E108."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return None if value is None else str(value)
    return str(expect(value, str, path, pointer))


def string_or_none(value: Any, path: Path, pointer: str) -> str | None:
    """A string that need not be there; anything else is E108."""
    return None if value is None else str(expect(value, str, path, pointer))


def label(value: Any, path: Path, pointer: str) -> int | None:
    """1 anomalous, 0 not, None unlabelled; "false" would be true in Python, so strings are refused."""
    if value is None or (isinstance(value, int) and value in (0, 1)):
        return None if value is None else int(value)
    raise IngestError("E113", str(path), pointer, "true, false, 0, 1 or null", type(value).__name__)
