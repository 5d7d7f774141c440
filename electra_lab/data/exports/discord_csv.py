"""DiscordChatExporter's CSV: one channel a file, without its name."""

from electra_lab.data.errors import IngestError
from electra_lab.data.exports.chat import BLANK, HEADER, MESSAGE, Chat, Entry, Options, with_owner
from electra_lab.data.exports.csv_rows import Row, rows
from electra_lab.data.exports.moments import Moment, moments
from electra_lab.data.exports.records import entry_at
from electra_lab.data.exports.source import Source

NAMES = ("discord-csv",)
COLUMNS = ("AuthorID", "Author", "Date", "Content", "Attachments", "Reactions")


def recognise(head: str) -> str | None:
    """By the names of the columns."""
    return NAMES[0] if tuple(head.split("\n", 1)[0].removesuffix("\r").split(",")) == COLUMNS else None


def read(source: Source, options: Options, format: str) -> list[Chat]:
    """The channel; dates are written as the exporting computer writes them, notices look like messages.

    Source: https://github.com/Tyrrrz/DiscordChatExporter, CsvMessageWriter.cs.

    Raises:
        IngestError: E106, other columns.
    """
    table = list(rows(source, ","))
    if not table or table[0].cells != COLUMNS:
        raise IngestError("E106", source.name, "line 1", f"the columns {','.join(COLUMNS)}", "others")
    dates = moments([row.cells[2] if len(row.cells) == len(COLUMNS) else "" for row in table[1:]], options.day_first)
    entries = [entry_at(table[0], HEADER), *(_entry(row, date) for row, date in zip(table[1:], dates, strict=True))]
    chat = Chat(source.name, format, None, (source.name,), tuple(entries))
    return [with_owner(chat, frozenset(), options.own_name)]


def _entry(row: Row, date: Moment) -> Entry:
    if not row.text.strip():
        return entry_at(row, BLANK)
    if not row.is_whole or len(row.cells) != len(COLUMNS):
        return entry_at(row)
    _, speaker, _, text, attachments, _ = row.cells
    flags = (*(("media",) if attachments else ()), *date.flags, *(() if speaker else ("no_speaker",)))
    return entry_at(row, MESSAGE, text, speaker or None, date.time, flags)
