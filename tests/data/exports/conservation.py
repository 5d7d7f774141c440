"""Nothing of a file is lost and nothing counted twice: asserted from the bytes, without the readers' own code."""

from collections.abc import Sequence
from itertools import pairwise

from electra_lab.data.exports.chat import BLANK, FLAGS, HEADER, KINDS, Chat, Entry

_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe\0\0", b"\0\0\xfe\xff", b"\xff\xfe", b"\xfe\xff")


def assert_tiled(raw: bytes, chats: Sequence[Chat], encoding: str = "utf-8", file: int = 0) -> None:
    """Line formats: the entries follow each other from the first byte to the last, and have all lines of the file.

    Args:
        raw: the file.
        chats: what a reader made of it; of a joined chat only the entries of `file` are looked at.
        encoding: of the file; of a wide one with its byte order: "utf-16-le".
        file: index of the file in the chats.
    """
    entries = [entry for chat in chats for entry in chat.entries if entry.file == file]
    end, line = 0, 1
    for entry in entries:
        assert entry.offset == end, (
            f"line {line}: the entry begins at byte {entry.offset}, the one before ends at {end}"
        )
        assert entry.line == line, f"byte {end}: the entry says line {entry.line}, it is line {line}"
        assert entry.size > 0
        assert entry.num_lines == _lines(_text(raw, entry, encoding)), f"line {line}: {entry.num_lines} lines"
        end, line = end + entry.size, line + entry.num_lines
        _assert_sound(entry)
        _assert_written(entry, _text(raw, entry, encoding))
    assert end == len(raw) or raw in _BOMS, f"the entries end at byte {end} of {len(raw)}"
    for chat in chats:
        assert sum(chat.counts().values()) == sum(entry.num_lines for entry in chat.entries)


def assert_records(raw: bytes, chats: Sequence[Chat], records: int, encoding: str = "utf-8", file: int = 0) -> None:
    """Record formats (JSON, CSV): one entry a record, each with a place of its own, in order within each chat.

    Args:
        raw: the file.
        chats: what a reader made of it.
        records: how many elements or rows the file has; entries of kind "header" are what is around them.
        encoding: of the file.
        file: index of the file in the chats.
    """
    for chat in chats:
        offsets = [entry.offset for entry in chat.entries if entry.file == file]
        assert offsets == sorted(offsets), f"{chat.id}: the entries are not in the order of the file"
    entries = sorted((entry for chat in chats for entry in chat.entries if entry.file == file), key=lambda e: e.offset)
    for entry in entries:
        assert entry.size > 0 and entry.offset >= 0 and entry.offset + entry.size <= len(raw)
        assert entry.line == raw[: entry.offset].decode(encoding, "replace").count("\n") + 1
        assert entry.num_lines == _lines(_text(raw, entry, encoding))
        _assert_sound(entry)
    for left, right in pairwise(entries):
        assert left.offset + left.size <= right.offset, f"bytes {right.offset} to {left.offset + left.size} are in two"
    assert sum(entry.kind != HEADER for entry in entries) == records


def _assert_sound(entry: Entry) -> None:
    assert entry.kind in KINDS
    assert set(entry.flags) <= FLAGS.keys() and len(set(entry.flags)) == len(entry.flags), entry.flags
    assert entry.kind != BLANK or not entry.text.strip()


def _assert_written(entry: Entry, span: str) -> None:
    """What is said to be written stands in the entry's own bytes, speaker and text; but for the quotes of CSV."""
    plain = span.replace("\r\n", "\n")
    speaker = "" if "owner" in entry.flags else entry.speaker or ""  # the owner is under their own name
    for part in (entry.text, speaker):
        assert part in plain or part in plain.replace('""', '"'), f"line {entry.line}: not in its own bytes"


def _text(raw: bytes, entry: Entry, encoding: str) -> str:
    return raw[entry.offset : entry.offset + entry.size].decode(encoding, "replace")


def _lines(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n"))
