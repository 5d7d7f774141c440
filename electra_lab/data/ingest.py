"""A corpus for training: all that is wrong with it is found before the first step, and stands in a report.

What cannot be used stops the run, or is left out up to a share that the user allows; only what loses nothing is
mended, and counted. No message, speaker or title is in the report.
"""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from electra_lab.data.conversation import Conversation
from electra_lab.data.errors import IngestError, visible
from electra_lab.data.formats import attempts
from electra_lab.data.formats.strict_json import Repairs
from electra_lab.data.text import has_invisible, is_decomposed

REPORT = "ingest_report.json"
MOST_SHOWN = 50  # problems in the log, and files of a repair in the report
MOST_KEPT = 10_000  # problems in the report; beyond, they are counted
NEVER_LEFT_OUT = ("E114",)
_FATAL = "it is not left out: labels that slipped here may have slipped elsewhere, unseen"

_logger = logging.getLogger(__name__)


class Corpus(NamedTuple):
    """What can be used, and how many could not."""

    conversations: list[Conversation]
    num_left_out: int


def read_corpus(paths: Sequence[str | Path], max_bad: float = 0.0, report_folder: Path | None = None) -> Corpus:
    """The conversations that training can use; what is wrong with the others is logged and reported, all of it.

    Args:
        paths: files and folders of any of `formats.FORMATS`.
        max_bad: share of the conversations that may be left out; a file that cannot be read counts as one.
        report_folder: where `REPORT` is written, whatever comes out.

    Raises:
        FileNotFoundError: a path that is not there, or a folder without conversations.
        ValueError: more than the share cannot be used; as the `IngestError` that it is if it is only one.
    """
    repairs: Repairs = Counter()
    problems: list[IngestError] = []
    num_problems = 0
    fatal: IngestError | None = None
    conversations: dict[str, Conversation] = {}
    for result in attempts(paths, repairs):
        problem = result if isinstance(result, IngestError) else _problem(result, conversations)
        if problem is not None:
            num_problems += 1
            if len(problems) < MOST_KEPT:
                problems.append(problem)
            if fatal is None and problem.code in NEVER_LEFT_OUT:
                fatal = problem
        elif isinstance(result, Conversation):
            conversations[result.id] = result
            _notice(result, repairs)
    report = _report(list(conversations.values()), problems, num_problems, repairs)
    if report_folder is not None:
        text = json.dumps(report, indent=2, ensure_ascii=False)
        (report_folder / REPORT).write_text(text + "\n", encoding="utf-8")
    _log(report, problems)
    total = num_problems + len(conversations)
    if fatal or num_problems > max_bad * total:
        if num_problems == 1:
            raise problems[0]
        where = "" if report_folder is None else f"all stand in {report_folder / REPORT}; "
        advice = _FATAL if fatal else f"mend them, or raise data.max_bad (now {max_bad:g}), the share that is left out"
        first = fatal or problems[0]
        raise ValueError(f"{num_problems} of {total} conversations cannot be used, the first: {first}; {where}{advice}")
    if problems:
        _logger.warning("%d of %d conversations are left out: they cannot be used", num_problems, total)
    return Corpus(list(conversations.values()), num_problems)


def _problem(conversation: Conversation, others: dict[str, Conversation]) -> IngestError | None:
    """What a reader cannot see, because it is no mistake in itself."""
    place = conversation.path, conversation.id
    speakers = {message.speaker for message in conversation.messages}
    if not conversation.messages:
        return IngestError("E110", *place, "a conversation with at least one message that has a text", "none")
    if None in speakers and len(speakers) > 1:
        missing = sum(message.speaker is None for message in conversation.messages)
        got = f"{missing} of {len(conversation.messages)} messages without"
        return IngestError("E111", *place, "a speaker of every message, or of none", got)
    if (other := others.get(conversation.id)) is not None:
        return IngestError("E112", *place, "an id of its own", f"that of a conversation in {visible(other.path)}")
    return None


def _notice(conversation: Conversation, repairs: Repairs) -> None:
    """Count what the model will read otherwise than it stands there (`text.for_model`)."""
    texts = [message.text for message in conversation.messages]
    repairs["decomposed", conversation.path] += sum(map(is_decomposed, texts))
    repairs["invisible", conversation.path] += sum(map(has_invisible, texts))


def _report(
    conversations: list[Conversation], problems: list[IngestError], num_problems: int, repairs: Repairs
) -> dict[str, Any]:
    speakers = Counter(len({m.speaker for m in conversation.messages} - {None}) for conversation in conversations)
    codes = Counter(problem.code for problem in problems)
    return {
        "conversations": len(conversations),
        "messages": sum(len(conversation.messages) for conversation in conversations),
        "files": len({conversation.path for conversation in conversations}),
        "conversations_by_number_of_speakers": {str(number): speakers[number] for number in sorted(speakers)},
        "repairs": {name: _of_repair(name, repairs) for name in REPAIRS},
        "num_problems": num_problems,
        "problems_by_code": {code: codes[code] for code in sorted(codes)},
        "problems": [problem.as_dict() for problem in problems],
    }


def _of_repair(name: str, repairs: Repairs) -> dict[str, Any]:
    found = {path: number for (repair, path), number in repairs.items() if repair == name and number}
    files = [visible(path) for path in sorted(found)[:MOST_SHOWN]]
    return {"what": REPAIRS[name], "count": sum(found.values()), "num_files": len(found), "files": files}


def _log(report: dict[str, Any], problems: list[IngestError]) -> None:
    for repair in report["repairs"].values():
        if repair["count"]:
            _logger.info("%s: %d, in %d files", repair["what"], repair["count"], repair["num_files"])
    if len(problems) > 1:
        for problem in problems[:MOST_SHOWN]:
            _logger.info("%s", problem)


REPAIRS = {
    "byte_order_mark": "a byte order mark is left out",
    "utf_16": "read as UTF-16 or UTF-32",
    "cp949": "not UTF-8, read as CP949",
    "surrogates": "halves of a character become U+FFFD",
    "empty_messages": "messages without a text are left out",
    "decomposed": "messages with Hangul in pieces are composed (NFC) for the model",
    "invisible": "messages with invisible characters are read without these by the model",
}
