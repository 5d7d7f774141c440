"""The NIKL Messenger corpus: one JSON object a file, `document[].utterance[]` (versions 1 and 2, Online 2021)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.errors import IngestError
from electra_lab.data.formats.strict_json import decoded, expect, parsed
from electra_lab.data.text import for_model, without_surrogates


def read(path: Path) -> Iterator[Conversation]:
    """The conversations of one file; a file with one document gives its own id, as the modified form uses it.

    Raises:
        IngestError: what is not in the form, with its place in the file.
    """
    corpus = expect(parsed(decoded(path.read_bytes(), path), path), dict, path, "/")
    documents = expect(corpus.get("document"), list, path, "/document")
    for index, document in enumerate(documents):
        pointer = f"/document/{index}"
        expect(document, dict, path, pointer)
        name = corpus.get("id") if len(documents) == 1 else document.get("id")
        identity = f"{path.stem}.{index + 1}" if name is None else expect(name, str, path, f"{pointer}/id")
        yield Conversation(identity, utterances(document.get("utterance"), path, f"{pointer}/utterance"), str(path))


def utterances(value: Any, path: Path, pointer: str) -> tuple[Message, ...]:
    """Messages of an `utterance` list: as typed (`original_form`), else `form`; empty ones are left out.

    Raises:
        IngestError: E108 a wrong type, E109 no text, E113 a label that is not true, false, 0 or 1.
    """
    messages = []
    for index, item in enumerate(expect(value, list, path, pointer)):
        place = f"{pointer}/{index}"
        expect(item, dict, path, place)
        text = item.get("original_form")
        if text is None:
            text = item.get("form")
        if text is None and "original_form" not in item and "form" not in item:
            raise IngestError("E109", str(path), place, "original_form or form", "neither")
        if text is not None and expect(text, str, path, f"{place}/original_form").strip():
            messages.append(
                Message(
                    text=without_surrogates(text),
                    speaker=speaker(item.get("speaker_id"), path, f"{place}/speaker_id"),
                    label=label(item.get("label"), path, f"{place}/label"),
                    time=None if (time := item.get("time")) is None else str(time),
                    source=string_or_none(item.get("source"), path, f"{place}/source"),
                    kind=string_or_none(item.get("kind"), path, f"{place}/kind"),
                )
            )
    return tuple(messages)


def speaker(value: Any, path: Path, pointer: str) -> str | None:
    """The person as the file names them; "2" with an invisible variation selector is still "2" (MDRW1900006926)."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return for_model(expect(value, str, path, pointer)).strip()


def string_or_none(value: Any, path: Path, pointer: str) -> str | None:
    """A string that need not be there; anything else is E108."""
    return None if value is None else str(expect(value, str, path, pointer))


def label(value: Any, path: Path, pointer: str) -> int | None:
    """1 anomalous, 0 not, None unlabelled; "false" would be true in Python, so strings are refused."""
    if value is None or (isinstance(value, int) and value in (0, 1)):
        return None if value is None else int(value)
    raise IngestError("E113", str(path), pointer, "true, false, 0, 1 or null", type(value).__name__)
