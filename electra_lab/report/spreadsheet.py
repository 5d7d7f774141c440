"""messages.csv and conversations.csv: for people with a spreadsheet; results.jsonl is the exact record.

UTF-8 with a byte order mark (without it Excel reads Korean as CP949), RFC 4180.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

# A spreadsheet computes a cell that begins like this, so that a chat could run formulas on the examiner's machine:
# https://owasp.org/www-community/attacks/CSV_Injection. Full-width signs: Apple Numbers folds them to ASCII
# (https://github.com/adaltas/node-csv/pull/387); white space before a sign: some programs trim it.
_FORMULA = re.compile(r"[\t\r\n\0]|\s*[=+\-@＝＋－＠]")

_COUNTED = ("message", "system", "header", "blank", "unparsed", "continuation", "truncated")
_PLACE = ("file", "line", "offset")
MESSAGE_COLUMNS = (
    *("rank", "conversation", "kind", "message", "speaker", "time", "text", "score", "band", "attention", "truncated"),
    *("flags", "words", *_PLACE, "lines", "bytes"),
)
CONVERSATION_COLUMNS = (
    *("rank", "conversation", "title", "format", "status", "score", "band", "first_time", "last_time", "speakers"),
    *(*_COUNTED, "word_hits", "files", *_PLACE, "top_score"),
    *(f"top_{name}" for name in _PLACE),
)

Cell = str | int | float | None
Record = Mapping[str, Any]  # a conversation as it stands in results.jsonl


class Table:
    """A CSV file that is written row by row."""

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        # a file name that is no Unicode cannot be encoded and is written as \udc80 ...
        self._file = path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="")
        self._writer = csv.writer(self._file, lineterminator="\r\n")
        self._writer.writerow(columns)

    def write(self, rows: Iterable[Iterable[Cell]]) -> None:
        """Add rows; what is text is made safe, numbers and gaps stay as they are."""
        for row in rows:
            self._writer.writerow([formula_safe(cell) if isinstance(cell, str) else cell for cell in row])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def formula_safe(text: str) -> str:
    """The text with ' before it if a spreadsheet would take it for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def message_rows(record: Record, rank: int) -> Iterable[tuple[Cell, ...]]:
    """A row of MESSAGE_COLUMNS for every entry of a conversation; what is no message has no number and no score."""
    for entry in record["entries"]:
        yield (
            rank,
            record["id"],
            entry["kind"],
            entry["index"] + 1 if entry["kind"] == "message" else None,
            entry["speaker"],
            entry["time"],
            entry["text"],
            entry.get("score"),
            entry.get("band"),
            entry.get("attention"),
            int(entry.get("truncated", False)),
            " ".join(entry["flags"]),
            " ".join(hit["word"] for hit in entry.get("lexicon", ())),
            *_place(record, entry),
            entry["lines"],
            entry["bytes"],
        )


def conversation_row(record: Record, rank: int, top: Mapping[str, Any] | None) -> tuple[Cell, ...]:
    """A row of CONVERSATION_COLUMNS; its place is where the conversation begins.

    Args:
        record: the conversation.
        rank: in the report.
        top: its highest message; None if it has none.
    """
    entries = record["entries"]
    nowhere = (record["files"][0], None, None)
    return (
        rank,
        record["id"],
        *(record[name] for name in ("title", "format", "status", "score", "band", "first_time", "last_time")),
        " | ".join(record["speakers"]),
        *(record["counts"][name] for name in _COUNTED),
        sum(len(entry.get("lexicon", ())) for entry in entries),
        " | ".join(record["files"]),
        *(_place(record, entries[0]) if entries else nowhere),
        *((top["score"], *_place(record, top)) if top else (None,) * 4),
    )


def _place(record: Record, entry: Mapping[str, Any]) -> tuple[Cell, ...]:
    return record["files"][entry["file"]], entry["line"], entry["offset"]
