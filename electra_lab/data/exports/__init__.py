"""Chat exports as evidence: one messenger a module, recognised by content; nothing in a file is dropped."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from electra_lab.data.errors import IngestError
from electra_lab.data.exports import (
    columns,
    corpora,
    discord,
    facebook,
    kakaotalk,
    kakaotalk_mac,
    numbered,
    signal_text,
    telegram,
    whatsapp,
)
from electra_lab.data.exports.chat import Chat, Options
from electra_lab.data.exports.joining import in_order, joined
from electra_lab.data.exports.source import Source, as_source
from electra_lab.data.exports.walk import File, files, part

READ, UNREAD, UNKNOWN = "read", "unread", "unknown"


class Input(NamedTuple):
    """What became of a file."""

    name: str
    path: Path
    size: int | None  # bytes; None, and no hash, where it was not opened or could not be read
    sha256: str | None
    format: str | None
    status: str  # "read", "unread" (a problem) or "unknown" (no format of ours)
    problem: str | None  # one sentence
    conversations: int  # in it; the parts of a split export count the same one


class Reading(NamedTuple):
    """A file, or the parts of one split export, and the conversations in it."""

    inputs: tuple[Input, ...]
    chats: tuple[Chat, ...]


def read_files(paths: Sequence[str | Path], options: Options) -> Iterator[Reading]:
    """The files under the paths in a fixed order, with their conversations; each is opened once, never for writing.

    One file is held at a time, with the parts of one split export.

    Raises:
        FileNotFoundError: a path that is not there.
        ValueError: an option that is not known.
    """
    if options.format is not None and options.format not in FORMATS:
        raise ValueError(f"format {options.format!r}: known are {', '.join(FORMATS)}")
    columns.checked(options.columns)
    taken: set[str] = set()
    inputs: list[Input] = []
    parts: list[Chat] = []
    previous: File | None = None  # the last of `inputs`, if it holds one chat that can be a part
    for file in files(paths):
        if inputs and not (previous is not None and _is_next(previous, file)):
            yield _reading(inputs, parts, taken)
            inputs, parts = [], []
        found, chats = _read(file, options)
        order = in_order(parts, chats[0]) if parts and len(chats) == 1 else None
        if inputs and order is None:
            yield _reading(inputs, parts, taken)
            inputs = []
        inputs.append(found)
        parts = chats if order is None else order
        previous = file if len(chats) == 1 else None
    if inputs:
        yield _reading(inputs, parts, taken)


def recognised(head: str, options: Options) -> str | None:
    """The name in `FORMATS` of the one format whose form the first 64 KB of a file have."""
    for module in _MODULES:
        name: str | None = module.recognise(head)
        if name is not None:
            return name
    return columns.recognise(head, options.columns) if options.columns else None


def _reading(inputs: list[Input], parts: list[Chat], taken: set[str]) -> Reading:
    """With ids that no conversation before has, not even of a file that is called like another one's second chat."""
    chats = [joined(parts)] if len(inputs) > 1 else parts
    named = []
    for number, chat in enumerate(chats, 1):
        id = inputs[0].name if len(chats) == 1 else f"{inputs[0].name}#{number}"
        while id in taken:
            id += "~"
        taken.add(id)
        named.append(replace(chat, id=id))
    return Reading(tuple(inputs), tuple(named))


def _is_next(previous: File, file: File) -> bool:
    stem, number = part(previous.path.name)
    return previous.path.parent == file.path.parent and part(file.path.name) == (stem, number + 1)


def _read(file: File, options: Options) -> tuple[Input, list[Chat]]:
    if file.problem is not None:
        return Input(file.name, file.path, None, None, None, UNREAD, file.problem, 0), []
    try:
        with file.path.open("rb") as opened:
            head = opened.read(_HEAD)
            format = options.format or _format_of(file, head, options)
            if format is None:
                opened.seek(0)
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
                return Input(file.name, file.path, opened.tell(), digest, None, UNKNOWN, _UNKNOWN_FORMAT, 0), []
            opened.seek(0)
            raw = opened.read()
    except OSError as error:
        problem = f"cannot be read: {error.strerror} (E102)"
        return Input(file.name, file.path, None, None, None, UNREAD, problem, 0), []
    found = Input(file.name, file.path, len(raw), hashlib.sha256(raw).hexdigest(), format, READ, None, 0)
    try:
        chats = FORMATS[format](as_source(file.path, file.name, raw), options, format)
    except IngestError as error:
        return found._replace(status=UNREAD, problem=str(error)), []
    return found._replace(conversations=len(chats)), chats


def _format_of(file: File, head: bytes, options: Options) -> str | None:
    if len(head) == _HEAD:
        head = head.rstrip(_BEYOND_ASCII)  # the last character may be cut
    try:
        return recognised(as_source(file.path, file.name, head).text, options)
    except IngestError:
        return None


_HEAD = 1 << 16
_UNKNOWN_FORMAT = "in no format that is known; --columns names the columns of a table, --format forces a format"
_BEYOND_ASCII = bytes(range(0x80, 0x100))

_OF_LINES: tuple[ModuleType, ...] = (kakaotalk, whatsapp, signal_text, numbered)
_OF_RECORDS: tuple[ModuleType, ...] = (kakaotalk_mac, telegram, discord, facebook, corpora, columns)
_MODULES = (*_OF_LINES, *_OF_RECORDS)
LINE_FORMATS = frozenset(name for module in _OF_LINES for name in module.NAMES)  # every line of a file is in an entry
FORMATS: dict[str, Callable[[Source, Options, str], list[Chat]]] = {
    name: module.read for module in _MODULES for name in module.NAMES
}
