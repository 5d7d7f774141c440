"""A corpus in blocks: cut in the order of the documents, each made by itself into a shard of both parts.

What a block holds depends on the text alone, so a corpus comes out the same from any number of processes, machines
and restarts.
"""

import itertools
import json
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tokenizers import Tokenizer

from electra_lab.data.chance import hash64, uniform
from electra_lab.data.documents import Document, repaired
from electra_lab.data.processes import in_processes
from electra_lab.data.token_store import Counts, write_shard

PARTS = ("train", "validation")
MIN_CHARACTERS = 1 << 20  # a second of work: enough blocks for all cores from a small corpus
MAX_CHARACTERS = 1 << 25  # what a process holds: some hundred megabytes
BLOCKS_AT_MIN = 64  # later ones grow with what came before, so that 1e11 tokens are thousands of shards
PROGRESS_SECONDS = 10.0

log = logging.getLogger(__name__)


class Block(NamedTuple):
    """Documents that follow each other."""

    number: int
    first_document: int  # its number in its source
    held_out_share: float
    documents: list[Document]  # as they were read


class Preparation(NamedTuple):
    """What a block is made with; goes to every worker process."""

    folder: Path  # has the folders train, validation, blocks and work
    tokenizer: Tokenizer
    tokenizer_sha256: str
    unknown_id: int | None
    max_length: int
    seed: int


def cut(sources: Iterable[tuple[Iterable[Document], float]]) -> Iterator[Block]:
    """Blocks of sources, each with the share of its documents that is held out.

    A block is full at 1/64 of the characters before it, at least `MIN_CHARACTERS`, at most `MAX_CHARACTERS`.
    """
    number = total = 0
    for documents, share in sources:
        taken, first, characters = list[Document](), 0, 0
        for index, document in enumerate(documents):
            taken.append(document)
            characters += sum(map(len, document))
            if characters >= min(max(total // BLOCKS_AT_MIN, MIN_CHARACTERS), MAX_CHARACTERS):
                yield Block(number, first, share, taken)
                total += characters
                number, taken, first, characters = number + 1, [], index + 1, 0
        if taken:
            yield Block(number, first, share, taken)
            total += characters
            number += 1


def held_out(seed: int, documents: ArrayLike, share: float) -> NDArray[np.bool_]:
    """Which documents (numbers) are for validation: a matter of the seed and the number; the first always is."""
    numbers = np.asarray(documents)
    return (share > 0) & ((numbers == 0) | (uniform(seed, numbers) < share))


def make_blocks(
    preparation: Preparation, blocks: Iterable[Block], shard: tuple[int, int], num_processes: int | None
) -> int:
    """Make the blocks of the share (i, n), the i-th of each n, that are not there; returns the number of all blocks.

    They are made in as many processes as there are cores if no number is given.
    """
    num_blocks = num_there = 0

    def not_made() -> Iterator[Block]:
        nonlocal num_blocks, num_there
        for block in blocks:
            num_blocks += 1
            if block.number % shard[1] != shard[0] - 1:
                continue
            if made_block(preparation, block.number) is None:
                yield block
            else:
                num_there += 1

    num_tokens, started = 0, time.monotonic()
    last_report = started
    with closing(in_processes(partial(make_block, preparation), not_made(), num_processes)) as results:
        for number, counts in enumerate(results, start=1):
            num_tokens += sum(part["tokens"] for part in counts.values())
            if time.monotonic() - last_report > PROGRESS_SECONDS:
                last_report = time.monotonic()
                speed = num_tokens / (last_report - started)
                log.info("tokenising: %d blocks, %.1f M tokens, %.0f k/s", number, num_tokens / 1e6, speed / 1e3)
    if num_there:
        log.info("%d blocks were there from an earlier preparation", num_there)
    return num_blocks


def make_block(preparation: Preparation, block: Block) -> dict[str, Counts]:
    """Repair, tokenise and pack a block into a shard of each part; whole or absent, whatever else is going on.

    Returns:
        For each part what `token_store.write_shard` counted.
    """
    folder = preparation.folder
    numbers = np.arange(block.first_document, block.first_document + len(block.documents))
    is_held_out = held_out(preparation.seed, numbers, block.held_out_share)
    counts: dict[str, Counts] = {}
    with TemporaryDirectory(dir=folder / "work", ignore_cleanup_errors=True) as name:
        work = Path(name)
        for part, chosen in zip(PARTS, (~is_held_out, is_held_out), strict=True):
            (work / part).mkdir()
            counts[part] = write_shard(
                map(repaired, itertools.compress(block.documents, chosen)),
                preparation.tokenizer,
                preparation.unknown_id,
                work / part,
                block.number,
                preparation.max_length,
                int(hash64(preparation.seed, block.number)),
            )
            for file in (work / part).iterdir():
                file.replace(folder / part / file.name)
        record = {"tokenizer_sha256": preparation.tokenizer_sha256, **counts}
        (work / "counts.json").write_text(json.dumps(record), encoding="utf-8")
        (work / "counts.json").replace(_record(folder, block.number))  # last: it says that the others are there
    return counts


def made_block(preparation: Preparation, number: int) -> dict[str, Counts] | None:
    """What `make_block` returned if the block is there, made with this tokenizer; otherwise None."""
    try:
        record = json.loads(_record(preparation.folder, number).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return record if record.pop("tokenizer_sha256") == preparation.tokenizer_sha256 else None


def _record(folder: Path, number: int) -> Path:
    return folder / "blocks" / f"{number:05d}.json"
