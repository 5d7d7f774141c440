"""A conversation of results.jsonl made ready for its page: every entry a line, in order, with marks and place."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from electra_lab.data.exports.chat import HEADER, MESSAGE, SYSTEM, UNPARSED
from electra_lab.report.visible import Piece, language, marked_pieces

LINES_OF_A_PAGE = 1000  # a longer conversation has several
NUM_TOP = 3  # messages named in the ranking
LEVELS = 20  # steps of a bar
BANDS = {"alert": "alert", "review": "review", "clear": "clear", None: "empty"}  # only these become names of classes
_KINDS = {SYSTEM: "system event", HEADER: "export heading", UNPARSED: "unparsed"}
_ZONE = re.compile(r"T.*(Z|[+-]\d\d:?\d\d)")
_NOT_NAMED = 0

Record = Mapping[str, Any]  # a conversation as it stands in results.jsonl
_MISSING = frozenset({"no_date", "no_time", "no_speaker"})

Entry = Mapping[str, Any]


class Mark(NamedTuple):
    """A number between 0 and 1 with its bar."""

    said: str
    level: int  # of LEVELS


class Line(NamedTuple):
    """An entry on the page."""

    entry: Entry
    part: int  # page of the conversation it stands on, from 1
    kind: str | None  # in words; None: a message
    number: int | None  # of a message, from 1
    speaker: int  # from 1 in the order of appearance, 0: not named
    time: str
    pieces: list[Piece]  # of the text; empty where it is shown as it stands
    language: str
    score: Mark | None
    attention: Mark | None
    band: str
    words: list[tuple[str, str]]  # hits: word, everyday senses
    around: int | None  # the first message of the surroundings of alerts that it is in


class Surroundings(NamedTuple):
    """Alert windows that overlap or touch."""

    first: int  # message, from 1
    last: int
    num_windows: int
    score: Mark  # of the highest


class Transcript(NamedTuple):
    """What the report shows of a conversation."""

    rank: int
    record: Record
    score: Mark | None
    band: str
    speakers: list[tuple[int, str | None, int]]  # number, name, messages
    top: list[Line]
    surroundings: dict[int, Surroundings]  # by the number of the first message
    lines: list[Line]
    parts: int
    flags: list[str]  # all that occur
    everywhere: frozenset[str]  # what the file says of no message, which is not repeated on each
    num_words: int  # messages with a hit of the examiner's list
    says_zone: bool  # every time has one
    span: tuple[str, str]


def transcript(record: Record, rank: int) -> Transcript:
    """The whole conversation.

    Args:
        record: a line of results.jsonl.
        rank: of the conversation in the report, from 1.
    """
    entries, names = record["entries"], record["speakers"]
    numbers = {name: number for number, name in enumerate(names, 1)}
    surroundings = _surroundings(record["windows"])
    around = {number: part.first for part in surroundings for number in range(part.first, part.last + 1)}
    before = accumulate((entry["kind"] == MESSAGE for entry in entries), initial=0)  # messages before each entry
    lines = [
        _line(record, at, number, numbers, around) for at, number in zip(range(len(entries)), before, strict=False)
    ]
    messages = [line for line in lines if line.kind is None]
    spoken = Counter(line.speaker for line in messages)
    return Transcript(
        rank=rank,
        record=record,
        score=None if record["score"] is None else mark(record["score"]),
        band=BANDS[record["band"]],
        speakers=[
            (number, names[number - 1] if number else None, spoken[number])
            for number in sorted({*numbers.values(), *spoken})
        ],
        top=sorted((line for line in messages if line.score), key=lambda line: -line.entry["score"])[:NUM_TOP],
        surroundings={part.first: part for part in surroundings},
        lines=lines,
        parts=lines[-1].part if lines else 1,
        flags=sorted({flag for entry in entries for flag in entry["flags"]}),
        everywhere=frozenset(_MISSING.intersection(*(line.entry["flags"] for line in messages)))
        if len(messages) > 1
        else frozenset(),
        num_words=sum(bool(line.words) for line in lines),
        says_zone=all(_ZONE.search(entry["time"]) for entry in entries if entry["time"]),
        span=(_spaced(record["first_time"]), _spaced(record["last_time"])),
    )


def mark(value: float) -> Mark:
    """A probability or share in three decimals that never says 0 or 1 of what is not, and the length of its bar."""
    said = f"{value:.3f}"
    if said == "0.000" and value > 0:
        said = "<0.001"
    if said == "1.000" and value < 1:
        said = ">0.999"
    return Mark(said, round(value * LEVELS))


def _line(record: Record, at: int, before: int, numbers: Mapping[str, int], around: Mapping[int, int]) -> Line:
    entry = record["entries"][at]
    is_message = entry["kind"] == MESSAGE
    is_within = is_message or around.get(before) == around.get(before + 1)
    hits = entry.get("lexicon", ())
    is_scored = is_message and entry["score"] is not None  # a picture has no text that could be
    return Line(
        entry=entry,
        part=at // LINES_OF_A_PAGE + 1,
        kind=None if is_message else _KINDS[entry["kind"]],
        number=before + 1 if is_message else None,
        speaker=numbers.get(entry["speaker"], _NOT_NAMED),
        time=_spaced(entry["time"]),
        pieces=marked_pieces(entry["text"], [(hit["start"], hit["end"]) for hit in hits]),
        language=language(entry["text"]),
        score=mark(entry["score"]) if is_scored else None,
        attention=mark(entry["attention"]) if is_scored else None,
        band=BANDS[entry["band"] if is_scored else None],
        words=list(dict.fromkeys((hit["word"], ", ".join(hit["senses"])) for hit in hits)),
        around=around.get(before + 1) if is_within else None,
    )


def _surroundings(windows: Sequence[Mapping[str, Any]]) -> list[Surroundings]:
    groups: list[list[Mapping[str, Any]]] = []
    for window in (window for window in windows if window["band"] == "alert"):
        if groups and window["start"] <= groups[-1][-1]["end"]:
            groups[-1].append(window)
        else:
            groups.append([window])
    return [
        Surroundings(group[0]["start"] + 1, group[-1]["end"], len(group), mark(max(one["score"] for one in group)))
        for group in groups
    ]


def _spaced(time: str | None) -> str:
    return (time or "").replace("T", " ").strip()
