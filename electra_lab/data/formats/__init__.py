"""Conversations from files: one format a module, chosen by what is in the file, never by its name."""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from electra_lab.data.conversation import Conversation
from electra_lab.data.errors import IngestError
from electra_lab.data.formats import jsonl, modified, nikl

Reader = Callable[[Path], Iterator[Conversation]]

SUFFIXES = (".json", ".jsonl")  # what is read in a folder; a file that is named itself may have any


def read_conversations(paths: Sequence[str | Path]) -> Iterator[Conversation]:
    """The conversations of files and folders, folders in sorted order with all below them, links not followed.

    Raises:
        FileNotFoundError: a path that is not there, or a folder without conversations.
        IngestError: a file that cannot be used, with the place and what was expected.
    """
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        if not path.is_dir():
            yield from _read(path.resolve() if path.is_symlink() else path)
            continue
        found = False
        for file in _files(path):
            found = True
            yield from _read(file)
        if not found:
            raise FileNotFoundError(f"{path}: no .json or .jsonl file in this folder")


def format_of(path: Path) -> str:
    """The name in `FORMATS`, from the first key that tells: `document`, `utterance` or `messages`.

    Raises:
        IngestError: E106, none of them in the first 64 KB.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError as error:
        raise IngestError("E102", str(path), "", "a file that can be read", error.strerror or "an error") from error
    key = _TELLING_KEY.search(head.replace(b"\0", b""))  # without the zeros, UTF-16 looks like ASCII
    if key is None:
        raise IngestError(
            "E106", str(path), "", 'a conversation file (key "document", "utterance" or "messages")', "none of the keys"
        )
    return _FORMAT_OF_KEY[key[1]]


def _read(path: Path) -> Iterator[Conversation]:
    if not stat.S_ISREG(path.lstat().st_mode):  # opening a FIFO would wait for ever
        raise IngestError("E104", str(path), "", "a regular file", "a link, pipe or device")
    return FORMATS[format_of(path)](path)


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        folders.sort()
        for name in sorted(files):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield Path(parent, name)


def _refuse(error: OSError) -> None:
    raise IngestError("E102", str(error.filename), "", "a folder that can be read", error.strerror or "an error")


# inside a JSON string the second quotation mark has a backslash before it: these are keys, never what somebody wrote
_TELLING_KEY = re.compile(rb'"(document|utterance|messages)"\s*:')
_FORMAT_OF_KEY = {b"document": "nikl", b"utterance": "modified", b"messages": "jsonl"}

FORMATS: dict[str, Reader] = {
    "nikl": nikl.read,  # NIKL Messenger as distributed
    "modified": modified.read,  # the same with labels, without metadata
    "jsonl": jsonl.read,  # anything else: a conversation a line
}
