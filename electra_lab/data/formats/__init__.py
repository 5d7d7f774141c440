"""Conversations from files: one format a module, chosen by what is in the file, never by its name."""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from electra_lab.data.conversation import Conversation
from electra_lab.data.errors import IngestError
from electra_lab.data.formats import jsonl, modified, nikl
from electra_lab.data.formats.strict_json import Repairs

Reader = Callable[[Path, Repairs], Iterator[Conversation | IngestError]]

SUFFIXES = (".json", ".jsonl")  # what is read in a folder; a file that is named itself may have any


def read_conversations(paths: Sequence[str | Path]) -> Iterator[Conversation]:
    """The conversations of files and folders, folders in sorted order with all below them, links not followed.

    Raises:
        FileNotFoundError: a path that is not there, or a folder without conversations.
        IngestError: a file that cannot be used, with the place and what was expected.
    """
    for result in attempts(paths, Counter()):
        if isinstance(result, IngestError):
            raise result
        yield result


def attempts(paths: Sequence[str | Path], repairs: Repairs) -> Iterator[Conversation | IngestError]:
    """As `read_conversations`, but what cannot be used stands in the place of the conversation, file or folder.

    Args:
        paths: files and folders.
        repairs: what was mended on the way is counted in it.

    Raises:
        FileNotFoundError: a path that is not there, or a folder without conversations.
    """
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        if not path.is_dir():
            yield from _attempts(path.resolve() if path.is_symlink() else path, repairs)
            continue
        found = False
        for file in _files(path):
            found = True
            if isinstance(file, IngestError):
                yield file
            else:
                yield from _attempts(file, repairs)
        if not found:
            raise FileNotFoundError(f"{path}: no .json or .jsonl file in this folder")


def format_of(path: Path) -> str:
    """The name in `FORMATS`, from the first key that tells: `document`, `utterance` or `messages`.

    Raises:
        IngestError: E106, none of them in the first 64 KB.
    """
    with path.open("rb") as file:
        head = file.read(1 << 16)
    key = _TELLING_KEY.search(head.replace(b"\0", b""))  # without the zeros, UTF-16 looks like ASCII
    if key is None:
        raise IngestError(
            "E106", str(path), "", 'a conversation file (key "document", "utterance" or "messages")', "none of the keys"
        )
    return _FORMAT_OF_KEY[key[1]]


def _attempts(path: Path, repairs: Repairs) -> Iterator[Conversation | IngestError]:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # opening a FIFO would wait for ever
            raise IngestError("E104", str(path), "", "a regular file", "a link, pipe or device")
        yield from FORMATS[format_of(path)](path, repairs)
    except IngestError as error:
        yield error
    except OSError as error:
        yield _unreadable(error, path)


def _files(folder: Path) -> Iterator[Path | IngestError]:
    unreadable: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=unreadable.append):
        folders.sort()
        for name in sorted(files):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield Path(parent, name)
    for error in unreadable:
        yield _unreadable(error, folder)


def _unreadable(error: OSError, path: Path) -> IngestError:
    place = str(error.filename or path)
    return IngestError("E102", place, "", "a file or folder that can be read", error.strerror or "an error")


# inside a JSON string the second quotation mark has a backslash before it: these are keys, never what somebody wrote
_TELLING_KEY = re.compile(rb'"(document|utterance|messages)"\s*:')
_FORMAT_OF_KEY = {b"document": "nikl", b"utterance": "modified", b"messages": "jsonl"}

FORMATS: dict[str, Reader] = {
    "nikl": nikl.read,  # NIKL Messenger as distributed
    "modified": modified.read,  # the same with labels, without metadata
    "jsonl": jsonl.read,  # anything else: a conversation a line
}
