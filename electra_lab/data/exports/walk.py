"""The files under the paths that the user gave: each once, in a fixed order, with the name that the results use."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_NO_FILE = "a link, pipe or device and no regular file: it was not opened (E104)"


class File(NamedTuple):
    """A file, or what stands in the place of one."""

    path: Path
    name: str  # below the folder that is given, or that all given paths have in common; with "/"
    problem: str | None = None  # why it is not to be opened


def files(paths: Sequence[str | Path]) -> Iterator[File]:
    """All files, hidden ones too; those of a folder sorted, parts of a split export by their number, then its folders.

    A given path may be a link and stands for its target; in folders links are not followed but listed.

    Raises:
        FileNotFoundError: a path that is not there; before the first file.
    """
    for path in paths:
        if not Path(path).exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
    given = [Path(path).resolve() for path in paths]
    common = os.path.commonpath([path if path.is_dir() else path.parent for path in given])
    seen: set[Path] = set()
    for path in given:
        for file in _below(path) if path.is_dir() else [_file(path)]:
            if file.path not in seen:
                seen.add(file.path)
                yield file._replace(name=_name(file.path, common))


def part(name: str) -> tuple[str, int]:
    """What the parts of a split export have in common, and the number of this one.

    "Talk-2.txt", "message_2.json", and of DiscordChatExporter "room [part 2].json" after "room.json".
    """
    match = _PART.fullmatch(name)
    if match is None:
        return name, 1
    stem, mark, number, bracketed, suffix = match.groups()
    return f"{stem}{mark or ''}\0{suffix}", int(number or bracketed or 1)


def _below(folder: Path) -> Iterator[File]:
    problems: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=problems.append):
        for name in sorted(names, key=lambda name: (*part(name), name)):
            yield _file(Path(parent, name))
        folders.sort()
        for name in folders:
            if Path(parent, name).is_symlink():
                yield File(Path(parent, name), "", _NO_FILE)
    for error in problems:
        yield File(Path(error.filename), "", f"the folder cannot be read: {error.strerror} (E102)")


def _file(path: Path) -> File:
    try:
        is_regular = stat.S_ISREG(path.lstat().st_mode)  # opening a FIFO would wait for ever
    except OSError as error:
        return File(path, "", f"cannot be read: {error.strerror} (E102)")
    return File(path, "", None if is_regular else _NO_FILE)


def _name(path: Path, common: str) -> str:
    """Names that are no UTF-8 show their bytes, so that they can be written."""
    name = path.relative_to(common).as_posix()
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


_PART = re.compile(r"(.*?)(?:([-_])(\d{1,4})| \[part (\d{1,4})\])?(\.\w{1,8})", re.DOTALL)
