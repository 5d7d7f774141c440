"""The NIKL Messenger corpus: one JSON object a file, `document[].utterance[]` (versions 1 and 2, Online 2021)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.errors import IngestError, attempted
from electra_lab.data.formats.fields import label, name_of, speaker, string_or_none, string_or_number, with_text
from electra_lab.data.formats.strict_json import Repairs, expect, read_json


def read(path: Path, repairs: Repairs) -> Iterator[Conversation | IngestError]:
    """The conversations of one file; a file with one document gives its own id, as the modified form uses it.

    Raises:
        IngestError: the file as a whole is not in the form, with the place.
    """
    corpus = expect(read_json(path, repairs), dict, path, "/")
    documents = expect(corpus.get("document"), list, path, "/document")
    for index, document in enumerate(documents):
        named = corpus if len(documents) == 1 else document
        yield attempted(_conversation, document, named, path, index, repairs)


def utterances(value: Any, path: Path, pointer: str, repairs: Repairs) -> tuple[Message, ...]:
    """Messages of an `utterance` list: as typed (`original_form`), else `form`; empty ones are left out, and counted.

    Raises:
        IngestError: E108 a wrong type, E109 no text, E112 an id twice, E113 a label that is not true, false, 0 or 1;
            what `with_text` refuses.
    """
    items = expect(value, list, path, pointer)
    places = [f"{pointer}/{index}" for index in range(len(items))]
    ids = set[str | None]()
    for place, item in zip(places, items, strict=True):
        name = string_or_number(expect(item, dict, path, place).get("id"), path, f"{place}/id")
        if name in ids:
            raise IngestError("E112", str(path), f"{place}/id", "an id of its own", "that of another utterance")
        ids |= {name} - {None}
    return with_text(((at, _message(item, path, at)) for at, item in zip(places, items, strict=True)), path, repairs)


def _conversation(document: Any, named: Any, path: Path, index: int, repairs: Repairs) -> Conversation:
    pointer = f"/document/{index}"
    expect(document, dict, path, pointer)
    name = string_or_none(named.get("id"), path, f"{pointer}/id")
    identity = f"{name_of(path)}.{index + 1}" if name is None else name
    return Conversation(
        identity, utterances(document.get("utterance"), path, f"{pointer}/utterance", repairs), str(path)
    )


def _message(item: dict[str, Any], path: Path, place: str) -> Message:
    text = item.get("original_form")
    if text is None:
        text = item.get("form")
    if text is None and "original_form" not in item and "form" not in item:
        raise IngestError("E109", str(path), place, "original_form or form", "neither")
    return Message(
        text="" if text is None else expect(text, str, path, f"{place}/original_form"),
        speaker=speaker(item.get("speaker_id"), path, f"{place}/speaker_id"),
        label=label(item.get("label"), path, f"{place}/label"),
        time=string_or_number(item.get("time"), path, f"{place}/time"),
        source=string_or_none(item.get("source"), path, f"{place}/source"),
        kind=string_or_none(item.get("kind"), path, f"{place}/kind"),
    )
