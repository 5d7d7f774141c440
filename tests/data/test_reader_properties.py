"""Readers and anything that a file may hold: conversations or an error of ours, at once, in little memory."""

import gzip
import json
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from electra_lab.data.conversation import Conversation
from electra_lab.data.documents import raw_documents
from electra_lab.data.errors import IngestError
from electra_lab.data.formats import attempts
from electra_lab.data.ingest import read_corpus
from electra_lab.data.sources import read_sources

SECRET = "수요일의비밀"
SECONDS = 5.0  # of an example, of this process; most take a thousandth, and now and then memory is tidied up

KEYS = ["id", "messages", "text", "speaker", "label", "time", "source", "kind", "document", "utterance", "form", SECRET]
SCALARS = [None, True, False, 0, 1, 2, 0.5, float("nan"), float("inf"), 10**30, SECRET, "", "1", "\ud800", "\0\u200b"]
INSERTED = [b"\n", b'"', b"[" * 2000, b"\\ud800", b"\0", b"\xff\xfe", b"\xb0\xa1", b'"id": 1,', b"{}"]
ENCODINGS = ["utf-8"] * 4 + ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp949"]


def any_value(rng: Random, depth: int = 0) -> Any:
    """A JSON value that knows the keys but not what belongs to them."""
    kind = rng.random() * (1 if depth < 4 else 3)
    if kind < 0.3:
        return {key: any_value(rng, depth + 1) for key in rng.sample(KEYS, rng.randrange(4))}
    if kind < 0.5:
        return [any_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return rng.choice(SCALARS) if kind < 0.9 else "".join(map(chr, rng.choices(range(0xD7FF), k=rng.randrange(6))))


def message(rng: Random) -> Any:
    """A message, mostly."""
    keys = rng.sample(["id", "label", "speaker", "speaker_id", "time", "source", "kind"], rng.randrange(4))
    text = rng.choice(["안녕", SECRET, "{emoji}", "", any_value(rng, 3)])
    return {rng.choice(["text", "form", "original_form"]): text} | {key: rng.choice(SCALARS) for key in keys}


def form(rng: Random, name: str) -> Any:
    """What a file of this form, or a line of it, holds; or something else."""
    if rng.random() < 0.1:
        return any_value(rng)
    messages = [message(rng) if rng.random() < 0.9 else any_value(rng, 3) for _ in range(rng.randrange(5))]
    if name == "sources":
        texts = [rng.choice(["안녕", SECRET, "", any_value(rng, 4)]) for _ in range(rng.randrange(4))]
        return {"messages": texts} | rng.choice([{}, {"id": any_value(rng, 3)}, {"kind": any_value(rng, 3)}])
    if name == "jsonl":
        return {"messages": messages} | rng.choice([{}, {"id": any_value(rng, 3)}, {"text": any_value(rng, 3)}])
    held = {"id": rng.choice(["a", any_value(rng, 3)]), "utterance": messages}
    return [held] if name == "modified" else {"id": any_value(rng, 4), "document": [held] * rng.randrange(3)}


def file(rng: Random, name: str) -> bytes:
    """A file near to the form: in any encoding, some of it exchanged, cut out or doubled."""
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(200))
    values = [form(rng, name) for _ in range(1 if name in ("nikl", "modified") else rng.randrange(1, 4))]
    raw = "\n".join(json.dumps(value, ensure_ascii=rng.random() < 0.5) for value in values)
    content = raw.encode(rng.choice(ENCODINGS), "replace")
    for _ in range(rng.choice([0, 0, 1, 2])):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.choice([0, 0, 1, 2, 1000]))
        content = content[:start] + rng.choice([*INSERTED, rng.randbytes(3), content[start:]]) + content[end:]
    return content


def conversations(path: Path) -> Iterator[object]:
    for result in attempts([path], Counter()):
        if isinstance(result, IngestError):
            check_error(result, path)
        else:
            assert isinstance(result, Conversation)
            for m in result.messages:
                assert m.text.strip() and m.label in (None, 0, 1)
                "".join(filter(None, (result.id, m.text, m.speaker, m.time, m.source, m.kind))).encode("utf-8")
        yield result


def corpus(path: Path) -> Iterable[object]:
    return read_corpus([path], 0.9, path.parent)


def sources(path: Path) -> Iterable[object]:
    return read_sources([path])


def text(path: Path) -> Iterable[object]:
    return raw_documents([str(path)])


READERS: dict[str, tuple[str, str, Callable[[Path], Iterable[object]]]] = {  # form of the files, name of one, reader
    "nikl": ("nikl", "a.json", conversations),
    "modified": ("modified", "a.json", conversations),
    "jsonl": ("jsonl", "a.jsonl", conversations),
    "corpus": ("jsonl", "a.jsonl", corpus),
    "sources": ("sources", "a.jsonl", sources),
    "text in JSON Lines": ("jsonl", "b.jsonl", text),
    "text": ("jsonl", "a.txt", text),
    "text of NIKL": ("nikl", "b.json", text),
    "compressed text": ("jsonl", "a.txt.gz", text),
}


def check_error(error: ValueError, path: Path) -> None:
    said = str(error)
    assert said.isprintable() and str(path) in said
    assert SECRET not in said.replace(f":{SECRET}:", ":")  # as the conversation's own id it is a place


def check(reader: str, folder: Path, num_examples: int) -> None:
    """Nothing but conversations, texts and our own errors, at once."""
    made, name, read = READERS[reader]
    path = folder / name

    @settings(max_examples=num_examples, derandomize=True, database=None, deadline=None)
    @given(rng=st.randoms(use_true_random=True))
    def holds(rng: Random) -> None:
        content = file(rng, made)
        note(repr(content))
        if name.endswith(".gz"):
            content = gzip.compress(content, 1, mtime=0)[: rng.choice([None, None, 15, -1])]
        path.write_bytes(content)
        started = time.process_time()
        try:
            outcomes[type(next(iter(list(read(path))), None))] += 1
        except IngestError as error:
            check_error(error, path)
            outcomes[IngestError] += 1
        except ValueError as error:  # of several problems
            assert "conversations cannot be used" in str(error) or "two sources have the id" in str(error)
        assert time.process_time() - started < SECONDS

    outcomes = Counter[type]()
    holds()
    assert len(outcomes) > 1, "every file is refused, or none"


@pytest.mark.parametrize("reader", READERS)
def test_any_file_gives_conversations_or_our_error(reader: str, tmp_path: Path) -> None:
    check(reader, tmp_path, 200)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("reader", READERS)
def test_ten_thousand_files(reader: str, tmp_path: Path) -> None:
    check(reader, tmp_path, 10_000)


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
@pytest.mark.parametrize("megabytes", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_file(name: str, megabytes: int, tmp_path: Path) -> None:
    line = json.dumps({"messages": [{"text": "안녕 " * 20, "speaker": "1"}] * 20}, ensure_ascii=False) + "\n\n"
    with (tmp_path / name).open("w", encoding="utf-8") as lines:
        for _ in range(megabytes * (1 << 20) // len(line.encode())):
            lines.write(line)
    read = conversations if name == "a.jsonl" else text
    tracemalloc.start()
    try:
        num_read = sum(1 for _ in read(tmp_path / name))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert num_read > 300 * megabytes and peak < 1 << 20
