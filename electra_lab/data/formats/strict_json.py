"""JSON from files as they are found: told apart by bytes, read strictly, complained about by place."""

import functools
import io
import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from electra_lab.data.errors import IngestError
from electra_lab.data.text import is_cp949, without_surrogates

_logger = logging.getLogger(__name__)


Repairs = Counter[tuple[str, str]]  # (what was mended, path) -> how often

LONGEST_FILE = 256 << 20  # bytes that are read at once: of a file that is one JSON value, or of a line of JSON Lines


def read_json(path: Path, repairs: Repairs | None = None) -> Any:
    """The JSON value that a file is.

    Raises:
        IngestError: what `decoded` and `parsed` refuse; E115, it is too large to be read at once.
    """
    if (size := path.stat().st_size) > LONGEST_FILE:
        raise IngestError("E115", str(path), "", f"a file of at most {LONGEST_FILE >> 20} MiB", f"{size >> 20} MiB")
    return parsed(decoded(path.read_bytes(), path, "", repairs), path, "", repairs)


def decoded(raw: bytes, path: Path, pointer: str = "", repairs: Repairs | None = None) -> str:
    """Bytes as text: UTF-8 or UTF-16/32 (with or without BOM), or CP949 where they hold Hangul only that way.

    Raises:
        IngestError: E103, none of these.
    """
    encoding: str = json.detect_encoding(raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        if not is_cp949(raw):
            raise IngestError("E103", str(path), pointer, "UTF-8 or CP949 text", "bytes that are neither") from None
        encoding, text = "cp949", raw.decode("cp949")
        _report_cp949(path)
    _count_encoding(encoding, path, repairs)
    return text


def parsed(text: str, path: Path, pointer: str = "", repairs: Repairs | None = None) -> Any:
    """The JSON value of a text; what JSON leaves open (a key twice, NaN, endless nesting) is refused.

    Lone surrogates, legal in JSON but in no file and no tokenizer, become U+FFFD.

    Raises:
        IngestError: E101 not JSON, E105 a key twice, E107 NaN or Infinity.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            raise twice(Counter(key for key, _ in pairs).most_common(1)[0][0], path, pointer)
        return result

    def refuse(constant: str) -> NoReturn:
        raise IngestError("E107", str(path), pointer, "a number", constant)

    def loaded(text: str) -> Any:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse)

    try:
        value = loaded(text)
        if "\\ud" in text or "\\uD" in text:  # the escapes of a pair, or of half a pair
            written = json.dumps(value, ensure_ascii=False)
            whole = without_surrogates(written)
            if whole != written:
                _count("surrogates", path, repairs, whole.count("\ufffd") - written.count("\ufffd"))
                value = loaded(whole)
        return value
    except json.JSONDecodeError as error:
        got = f"{error.msg} at line {error.lineno} column {error.colno}"
    except RecursionError:
        got = "nesting too deep"
    except IngestError:
        raise
    except ValueError:
        got = "a number of thousands of digits"
    raise IngestError("E101", str(path), pointer, "JSON", got)


def twice(key: str, path: Path, pointer: str) -> IngestError:
    """The error of an object that has a key twice; one that is in no format of ours may be somebody's name."""
    said = repr(key) if key in _KEYS else f"one of {len(key)} characters"
    return IngestError("E105", str(path), pointer, "each key once in an object", f"{said} twice")


def objects(path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The objects of a JSON Lines file with their number, from 1, and their place; empty lines are left out.

    Raises:
        IngestError: a line that is no object, with its number.
    """
    for number, raw in lines(path):
        place = f"line {number}"
        yield number, place, object_of(raw, path, place)


def lines(path: Path, repairs: Repairs | None = None) -> Iterator[tuple[int, bytes]]:
    """The lines of a JSON Lines file with their number, from 1, without the empty ones; only LF ends a line.

    One at a time, so that the size of the file does not matter.

    Raises:
        IngestError: E103 not the UTF-16 that it looks like, E115 a line too long to be read at once.
    """
    with path.open("rb") as file:
        encoding = json.detect_encoding(file.read(4))
        file.seek(0)
        is_wide = not encoding.startswith("utf-8")
        if is_wide:
            _count_encoding(encoding, path, repairs)
        for number, raw in enumerate(_utf8_lines(file, encoding, path) if is_wide else _lines(file), start=1):
            if len(raw) > LONGEST_FILE:
                expected = f"a line of at most {LONGEST_FILE >> 20} MiB"
                raise IngestError("E115", str(path), f"line {number}", expected, "a longer one")
            if raw.strip():
                yield number, raw


def object_of(raw: bytes, path: Path, place: str, repairs: Repairs | None = None) -> dict[str, Any]:
    """The object that a line of JSON Lines is.

    Raises:
        IngestError: it is none.
    """
    return expect(parsed(decoded(raw, path, place, repairs), path, place, repairs), dict, path, place)


def expect(value: Any, kind: type, path: Path, pointer: str) -> Any:
    """The value, if it is of this kind (dict, list, str).

    Raises:
        IngestError: E108, something else.
    """
    if not isinstance(value, kind):
        raise IngestError("E108", str(path), pointer, _NAMES[kind], _NAMES.get(type(value), type(value).__name__))
    return value


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while raw := file.readline(LONGEST_FILE + 1):
        yield raw


def _utf8_lines(file: BinaryIO, encoding: str, path: Path) -> Iterator[bytes]:
    text = io.TextIOWrapper(file, encoding, newline="\n")
    try:
        while line := text.readline(LONGEST_FILE + 1):
            yield line.encode("utf-8")
    except UnicodeError:
        raise IngestError("E103", str(path), "", "UTF-16, as the file begins", "bytes that are not") from None


def _count_encoding(encoding: str, path: Path, repairs: Repairs | None) -> None:
    name = {"utf-8": None, "utf-8-sig": "byte_order_mark", "cp949": "cp949"}.get(encoding, "utf_16")
    if name:
        _count(name, path, repairs)


def _count(name: str, path: Path, repairs: Repairs | None, number: int = 1) -> None:
    if repairs is not None:
        repairs[name, str(path)] += number


@functools.cache
def _report_cp949(path: Path) -> None:  # cached: once a file, however many of its lines are
    _logger.warning("%s: not UTF-8, read as CP949", path)


_KEYS = {"id", "messages", "text", "speaker", "label", "time", "source", "kind", "document", "metadata", "utterance"}
_KEYS |= {"form", "original_form", "speaker_id"}
_NAMES = {dict: "an object", list: "a list", str: "a string", type(None): "null", bool: "true or false"}
