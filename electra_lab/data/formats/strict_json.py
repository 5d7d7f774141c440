"""JSON from files as they are found: told apart by bytes, read strictly, complained about by place."""

import functools
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from electra_lab.data.errors import IngestError

_HANGUL = re.compile("[가-힣]")
_NOT_TEXT = re.compile("[\ufffd\ue000-\uf8ff]")  # replacement character, private use

_logger = logging.getLogger(__name__)


def decoded(raw: bytes, path: Path, pointer: str = "") -> str:
    """Bytes as text: UTF-8 or UTF-16/32 (with or without BOM), or CP949 where they hold Hangul only that way.

    Raises:
        IngestError: E103, none of these.
    """
    encoding = json.detect_encoding(raw)
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        pass
    try:
        text = raw.decode("cp949")
    except UnicodeDecodeError:
        text = ""
    if not _HANGUL.search(text) or _NOT_TEXT.search(text):
        raise IngestError("E103", str(path), pointer, "UTF-8 or CP949 text", "bytes that are neither")
    _report_cp949(path)
    return text


def parsed(text: str, path: Path, pointer: str = "") -> Any:
    """The JSON value of a text; what JSON leaves open (a key twice, NaN, endless nesting) is refused.

    Raises:
        IngestError: E101 not JSON, E105 a key twice, E107 NaN or Infinity.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise IngestError("E105", str(path), pointer, "each key once in an object", f"{twice!r} twice")
        return result

    def refuse(constant: str) -> NoReturn:
        raise IngestError("E107", str(path), pointer, "a number", constant)

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except json.JSONDecodeError as error:
        got = f"{error.msg} at line {error.lineno} column {error.colno}"
    except RecursionError:
        got = "nesting too deep"
    except IngestError:
        raise
    except ValueError:
        got = "a number of thousands of digits"
    raise IngestError("E101", str(path), pointer, "JSON", got)


def objects(path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The objects of a JSON Lines file with their number, from 1, and their place; empty lines are left out.

    One line at a time, so that the size of the file does not matter.

    Raises:
        IngestError: a line that is no object, with its number.
    """
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            if raw.strip():
                place = f"line {number}"
                yield number, place, expect(parsed(decoded(raw, path, place), path, place), dict, path, place)


def expect(value: Any, kind: type, path: Path, pointer: str) -> Any:
    """The value, if it is of this kind (dict, list, str).

    Raises:
        IngestError: E108, something else.
    """
    if not isinstance(value, kind):
        raise IngestError("E108", str(path), pointer, _NAMES[kind], _NAMES.get(type(value), type(value).__name__))
    return value


@functools.cache
def _report_cp949(path: Path) -> None:  # cached: once a file, however many of its lines are
    _logger.warning("%s: not UTF-8, read as CP949", path)


_NAMES = {dict: "an object", list: "a list", str: "a string", type(None): "null", bool: "true or false"}
