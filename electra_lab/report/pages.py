"""The report of a prediction, from results.jsonl and manifest.json alone: pages without script or network, and CSV."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from electra_lab.report import error_rates
from electra_lab.report.site import HOW_TO_READ, REPORT, ROWS_OF_A_PAGE, Site
from electra_lab.report.spreadsheet import CONVERSATION_COLUMNS, MESSAGE_COLUMNS, Table, conversation_row, message_rows
from electra_lab.report.transcript import LINES_OF_A_PAGE, Transcript, transcript

RESULTS, MANIFEST = "results.jsonl", "manifest.json"
INPUTS_OF_A_PAGE = 1000
_INPUTS_IN_REPORT = 50  # more have pages of their own
_CONVERSATIONS_ON_ONE_PAGE, _ENTRIES_ON_ONE_PAGE = 30, 1000  # up to both the report is a single page
_NOT_SCORED = -1.0  # ranks behind every score
_UNREAD_FIRST = {"unread": 0, "unknown": 1, "read": 2}


class _Place(NamedTuple):
    """All that is kept of a conversation; it is read again when its page is written."""

    score: float
    offset: int  # bytes, in results.jsonl
    num_entries: int


def write_report(folder: Path) -> None:
    """Write report.html, how-to-read.html, messages.csv and conversations.csv into the folder of a prediction.

    Where there are many conversations or messages, also `conversations/0001.html` ... by rank, with a second page for
    what is longer than LINES_OF_A_PAGE, and `ranking/0002.html` ...; where there are many files, `inputs/0001.html` ...
    Memory does not grow with the messages. The same two files give the same pages, byte by byte.

    Args:
        folder: with results.jsonl and manifest.json.

    Raises:
        FileExistsError: it holds a report.
        FileNotFoundError: one of the two files is missing.
        ValueError: the two do not belong together.
    """
    if (folder / REPORT).exists():
        raise FileExistsError(f"{folder / REPORT} is there already; remove it, or give another folder")
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    settled = manifest["deterministic"]
    places, counts = _survey(folder / RESULTS)
    if counts != Counter(settled["counts"]):
        raise ValueError(f"{folder}: the counts in {MANIFEST} are not those of {RESULTS}; score the files again")
    num_entries = sum(place.num_entries for place in places)
    is_single = len(places) <= _CONVERSATIONS_ON_ONE_PAGE and num_entries <= _ENTRIES_ON_ONE_PAGE
    site = Site(folder, settled, is_single)
    figures = settled["detector"]["figures"]
    rates = {"rates": error_rates.table(figures), "elsewhere": error_rates.elsewhere(figures)}
    site.write(HOW_TO_READ, "how-to-read.html", rates)
    report = _report_context(site, manifest)
    ranked = sorted(places, key=lambda place: -place.score)  # equal ones stay in their order
    starts = range(0, max(len(ranked), 1), ROWS_OF_A_PAGE)
    pages = [(site.ranking(start + 1), start + 1, min(start + ROWS_OF_A_PAGE, len(ranked))) for start in starts]
    with (
        (folder / RESULTS).open("rb") as results,
        Table(folder / "messages.csv", MESSAGE_COLUMNS) as messages,
        Table(folder / "conversations.csv", CONVERSATION_COLUMNS) as conversations,
    ):
        for page, first, last in pages:
            rows = []
            for rank in range(first, last + 1):
                view = transcript(_read(results, ranked[rank - 1]), rank)
                messages.write(message_rows(view.record, rank))
                conversations.write([conversation_row(view.record, rank, view.top[0].entry if view.top else None)])
                rows.append(view if is_single else _write_conversation(site, view, len(ranked)))
            context = {"rows": rows, "pages": pages}
            if page == REPORT:
                site.write(page, "report.html", context | report)
            else:
                site.write(page, "ranking.html", context)


def _write_conversation(site: Site, view: Transcript, num_conversations: int) -> Transcript:
    """Write the pages of a conversation; returns of it what the ranking shows."""
    for part in range(1, view.parts + 1):
        lines = view.lines[(part - 1) * LINES_OF_A_PAGE : part * LINES_OF_A_PAGE]
        context = {"view": view._replace(lines=lines), "part": part, "num_conversations": num_conversations}
        site.write(site.conversation(view.rank, part), "conversation.html", context)
    return view._replace(lines=[], record={**view.record, "entries": [], "windows": []})


def _report_context(site: Site, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What report.html says beside the ranking; writes the pages of the files where they are many."""
    settled = manifest["deterministic"]
    inputs = settled["inputs"]
    statuses = Counter(one["status"] for one in inputs)
    pages: list[str] = []
    if len(inputs) > _INPUTS_IN_REPORT:
        groups = [inputs[start : start + INPUTS_OF_A_PAGE] for start in range(0, len(inputs), INPUTS_OF_A_PAGE)]
        pages = [f"inputs/{number:04}.html" for number in range(1, len(groups) + 1)]
        for number, (page, group) in enumerate(zip(pages, groups, strict=True), 1):
            site.write(page, "inputs.html", {"inputs": group, "number": number, "of": len(groups)})
    return {
        "run": manifest["run"],
        **{name: settled[name] for name in ("options", "device", "precision")},
        "num_empty": settled["bands"]["empty"],
        "statuses": {status: statuses[status] for status in _UNREAD_FIRST},
        "inputs": sorted(inputs, key=lambda one: _UNREAD_FIRST[one["status"]])[:_INPUTS_IN_REPORT],
        "input_pages": pages,
        "num_inputs": len(inputs),
    }


def _read(results: IO[bytes], place: _Place) -> dict[str, Any]:
    results.seek(place.offset)
    record: dict[str, Any] = json.loads(results.readline())
    return record


def _survey(path: Path) -> tuple[list[_Place], Counter[str]]:
    """Place of every conversation, and the sums of their counts."""
    places: list[_Place] = []
    counts: Counter[str] = Counter()
    offset = 0
    with path.open("rb") as file:
        for line in file:
            record = json.loads(line)
            score = _NOT_SCORED if record["score"] is None else record["score"]
            places.append(_Place(score, offset, len(record["entries"])))
            counts.update(record["counts"])
            offset += len(line)
    counts["conversations"] = len(places)
    return places, counts
