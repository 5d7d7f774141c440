"""From chat exports to scored evidence: what the verb `predict` does, in one call.

Every file is read and every conversation scored by itself, one at a time. `results.jsonl` (everything, exact) and
`manifest.json` (what made it) are written first; the report for people is made of these two alone.
"""

import json
import logging
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from electra_lab import bundle
from electra_lab.data.conversation import Conversation
from electra_lab.data.documents import as_list
from electra_lab.data.errors import IngestError, visible
from electra_lab.data.exports import UNKNOWN, UNREAD, Input, Reading, corpora, read_files
from electra_lab.data.exports.chat import KINDS, Chat, Options
from electra_lab.data.exports.redaction import Redaction
from electra_lab.data.exports.source import as_source
from electra_lab.data.senses import read_senses
from electra_lab.decisions import BANDS
from electra_lab.inference import assert_precision, load_model_for_inference, score
from electra_lab.report.pages import MANIFEST, RESULTS, write_report
from electra_lab.results import judged, result
from electra_lab.serving import devices_named, scored

_log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0  # of progress
EXIT_UNREAD = 3  # all is written, but some of the input could not be read
_OF_LINES = {"paths", "model", "device", "precision"}  # options that count where standard input is scored


def predict(
    paths: list[str] | str,
    model: str,
    output: str,
    format: str | None = None,
    own_name: str | None = None,
    day_first: bool | None = None,
    columns: dict[str, str] | None = None,
    lexicon: str | None = None,
    redact: bool = False,
    case: str | None = None,
    examiner: str | None = None,
    time_zone: str | None = None,
    device: str = "auto",
    precision: str = "fp32",
) -> dict[str, Any]:
    """Score every conversation of chat exports and write a report that can be handed on.

    Args:
        paths: Files and folders of exports.
        model: The `detector` folder of a finetune run.
        output: A new folder.
        format: Read all files as this format, instead of finding out.
        own_name: The name of the device's owner, whom some exports call "you".
        day_first: Whether dates like 3/4/21 begin with the day, where a file does not tell.
        columns: Of tables and JSONL, our names (text, speaker, time, chat) and theirs: '{text: body, speaker: from}'.
        lexicon: A YAML list of words to mark, each `word` or `word: [everyday sense]`; they change no score.
        redact: Leave out the names of people, rooms and files.
        case: Case number for the report.
        examiner: Who made the report.
        time_zone: Time zone of the device, for the report; times are not converted.
        device: auto (all GPUs, else the CPU), cpu, cuda, or several: cuda:0,cuda:1.
        precision: fp32 or bf16.

    Returns:
        The manifest, as it is in `manifest.json`.

    Raises:
        FileExistsError: the output folder holds something.
        FileNotFoundError: no detector, no such path, no such lexicon.
        ValueError: a damaged or untrained detector, an unknown device, precision or format.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    folder, paths = Path(output), as_list(paths) or []
    _assert_new(folder, paths)
    devices = devices_named(device)
    assert_precision(precision)
    terms = () if lexicon is None else read_senses(lexicon)
    detector, _ = load_model_for_inference(model)
    options = Options(format, own_name, day_first, tuple((columns or {}).items()))
    redaction = Redaction(own_name) if redact else None
    inputs: list[Input] = []
    counts: Counter[str] = Counter()
    bands: Counter[str] = Counter()
    with bundle.written_whole(folder) as unfinished:
        with (unfinished / RESULTS).open("w", encoding="utf-8", newline="\n") as file:
            chats = _chats(read_files(paths, options), inputs, redaction)
            for chat, prediction in scored(detector, chats, devices, precision):
                line = result(chat if redaction is None else redaction.chat(chat), prediction, terms)
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                counts.update(line["counts"], conversations=1)
                bands[line["band"] or "empty"] += 1
        manifest = {
            "deterministic": {
                "tool": _versions(),
                "detector": {**bundle.read_record(model), "is_demo": bundle.is_demo(detector.settings)},
                "options": {
                    "format": format,
                    "own_name": None if redact else own_name,
                    "day_first": day_first,
                    "columns": columns,
                    "lexicon": [term._asdict() for term in terms],
                    "redact": redact,
                },
                "device": ",".join(map(str, devices)),
                "precision": precision,
                "case": {"number": case, "examiner": examiner, "time_zone": time_zone},
                "inputs": [_shown(found, redaction) for found in inputs],
                "counts": {name: counts[name] for name in (*KINDS, "continuation", "truncated", "conversations")},
                "bands": {name: bands[name] for name in (*BANDS, "empty")},
            },
            "run": {
                "started": started.isoformat(timespec="seconds"),
                "ended": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - clock, 1),
            },
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False)
        (unfinished / MANIFEST).write_text(text + "\n", encoding="utf-8")
        write_report(unfinished)
    return manifest


def run(options: dict[str, Any]) -> None:
    """The verb: `predict`, or `predict_lines` from standard input to standard output where the only path is `-`.

    Args:
        options: of `predict`; the output may be None for `-`.

    Raises:
        ValueError: no output folder for what is not standard input, or an option that has no effect on that.
        SystemExit: with EXIT_UNREAD, what could be read is written.
    """
    if options["paths"] == ["-"]:
        _assert_only_scores(options)
        unread = predict_lines(options["model"], sys.stdin.buffer, sys.stdout, options["device"], options["precision"])
    elif options["output"] is None:
        raise ValueError("give --output, a new folder for the report")
    else:
        found = predict(**options)["deterministic"]
        counts, bands = found["counts"], found["bands"]
        said = "%d conversations, %d messages: %d alert, %d review, %d clear"
        _log.info(said, counts["conversations"], counts["message"], *(bands[band] for band in BANDS))
        unread = sum(one["status"] == UNREAD for one in found["inputs"])
        if unknown := sum(one["status"] == UNKNOWN for one in found["inputs"]):
            _log.warning("%d files are in no format that is known; the report lists them", unknown)
        print(Path(options["output"]) / "report.html")
    if unread:
        _log.error("%d could not be read", unread)
        raise SystemExit(EXIT_UNREAD)


def predict_lines(model: str, source: BinaryIO, sink: TextIO, device: str = "auto", precision: str = "fp32") -> int:
    """Score JSON Lines, a conversation a line, and write for each what `results.jsonl` would have, as soon as it comes.

    Args:
        model: the `detector` folder of a finetune run.
        source: lines `{"id", "messages": [text or {"text", "speaker", "time"}]}`.
        sink: gets a line for each; the one given is `title`. Where it is not in the form, `{"id", "status": "unread",
            "problem"}`.
        device: see `predict`; one.
        precision: see `predict`.

    Returns:
        How many lines could not be read.
    """
    detector, _ = load_model_for_inference(model)
    detector = detector.to(devices_named(device)[0]).eval()
    unread = 0
    for number, raw in enumerate(source, start=1):
        if not raw.strip():
            continue
        name = f"line {number}"
        line: dict[str, Any]
        try:
            (chat,) = corpora.read(as_source(Path("-"), name, raw), Options(), corpora.JSONL)
        except IngestError as error:
            unread += 1
            line = {"id": name, "status": "unread", "problem": str(error)}
        else:
            conversation = judged(chat)
            prediction = score(detector, conversation, precision) if conversation.messages else None
            line = result(replace(chat, id=name), prediction)
        print(json.dumps(line, ensure_ascii=False), file=sink, flush=True)
    return unread


def _assert_only_scores(options: dict[str, Any]) -> None:
    """Names that were to be hidden, above all, must not come out because nobody looked at the option."""
    given = [name for name, value in options.items() if value not in (None, False, {}) and name not in _OF_LINES]
    if given:
        raise ValueError(f"standard input is scored as it is, without {', '.join(given)}; put it into a .jsonl file")


def _chats(
    readings: Iterator[Reading], inputs: list[Input], redaction: Redaction | None
) -> Iterator[tuple[Chat, Conversation]]:
    """What is to be scored; notes every file, and tells how far it is."""
    num_messages, began = 0, time.monotonic()
    told = began
    for reading in readings:
        inputs.extend(reading.inputs)
        for found in reading.inputs:
            if found.problem is not None:
                shown = _shown(found, redaction)
                name = "" if _begins_with_name(found) else f"{shown['path']}: "
                _log.warning("%s", visible(f"{name}{shown['problem']}"))
        for chat in reading.chats:
            yield chat, judged(chat)
            num_messages += len(chat.messages)
            if (now := time.monotonic()) > told + SECONDS_BETWEEN_LINES:
                told = now
                said = "%d files, %d messages, %.0f messages/s"
                _log.info(said, len(inputs), num_messages, num_messages / (now - began))


def _shown(found: Input, redaction: Redaction | None) -> dict[str, Any]:
    """A line of the manifest."""
    name = found.name if redaction is None else redaction.file(found.name)
    problem = found.problem
    if problem is not None and _begins_with_name(found):
        problem = name + problem.removeprefix(found.name)
    return {
        "path": name,
        "sha256": found.sha256,
        "bytes": found.size,
        "format": found.format,
        "status": found.status,
        "problem": problem,
        "conversations": found.conversations,
    }


def _begins_with_name(found: Input) -> bool:
    return found.problem is not None and found.problem.startswith(f"{found.name}:")


def _assert_new(folder: Path, paths: Sequence[str]) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty; give --output a new folder")
    if inside := [path for path in paths if folder.resolve().is_relative_to(Path(path).resolve())]:
        raise ValueError(f"--output {folder} is inside {inside[0]}, which is to be read; give a folder elsewhere")


def _versions() -> dict[str, str]:
    packages = ("electra_lab", "torch", "transformers", "tokenizers", "numpy")
    return {name: metadata.version(name) for name in packages} | {"python": platform.python_version()}
