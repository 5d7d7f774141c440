"""How fast a corpus is prepared, and in how much memory: one process against all cores, in turn.

    python -m experiments.preparation --paths wiki.txt.xz --repeat 4

unpacks the text, as many times over as `--repeat` says, and prints a Markdown table: MB of UTF-8 text a second of wall
clock (median of the rounds, with the slowest and the fastest), processor time of all processes together (what counts
where others use the cores too), and the largest resident memory of the first process and of any worker (Linux only).
Training the tokenizer on a sample has a row of its own; the other rows read, repair, tokenise, pack and write. Every
row is measured in a process of its own, without its imports.
"""

import argparse
import resource
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple


class Measured(NamedTuple):
    """What one round of one row measured."""

    seconds: float
    processor_seconds: float  # of the process and its children
    own_memory: float  # MB, largest resident set of the process
    worker_memory: float  # MB, that of its largest child; 0 without any


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure and return the table."""
    options = _options(arguments)
    with TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "text.txt"
        megabytes = _unpack(options.paths, options.repeat, text) / 1e6
        settings = (str(text), str(folder / "tokenizer"), options.vocabulary_size, options.sample_lines)
        training = _alone("train", settings, folder / "unused", 1)
        rows = {number: list[Measured]() for number in options.processes}
        for round_ in range(options.rounds):
            for number, measured in rows.items():
                measured.append(_alone("prepare", settings, folder / f"corpus-{round_}-{number}", number))
    table = [
        f"{megabytes:.1f} MB of text",
        "",
        "| what | processes | seconds | MB/s (slowest to fastest) | processor s | first process | largest worker |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        _row("tokenizer, on the sample", 1, [training], None),
        *(_row("everything else", number, measured, megabytes) for number, measured in rows.items()),
    ]
    return "\n".join(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    from electra_lab.data.processes import num_cores

    parser = argparse.ArgumentParser(prog="python -m experiments.preparation", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--paths", nargs="+", required=True, help="text, as `electra-lab prepare --data.paths` takes it"
    )
    parser.add_argument("--repeat", type=int, default=1, help="so many copies of it")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, num_cores()], help="a row for each")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--vocabulary_size", type=int, default=32000)
    parser.add_argument("--sample_lines", type=int, default=1_000_000, help="the tokenizer is trained on")
    return parser.parse_args(arguments)


def _unpack(paths: list[str], repeat: int, text: Path) -> int:
    """Write the documents as plain text; returns the bytes."""
    from electra_lab.data.documents import raw_documents

    with text.open("w", encoding="utf-8") as file:
        for _ in range(repeat):
            for document in raw_documents(paths):
                file.writelines(line.rstrip("\n") + "\n" for line in document)
                file.write("\n")
    return text.stat().st_size


def _alone(what: str, settings: tuple[str, str, int, int], folder: Path, num_processes: int) -> Measured:
    """Measure in a new process: the largest memory of a process never falls again."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, what, settings, folder, num_processes).result()


def _measure(what: str, settings: tuple[str, str, int, int], folder: Path, num_processes: int) -> Measured:
    from electra_lab.data import corpus  # here, not above: every worker imports this file
    from electra_lab.data.wordpiece import train_wordpiece

    text, tokenizer, vocabulary_size, sample_lines = settings
    prepared = corpus.CorpusSettings([text], None, 0.01, tokenizer, vocabulary_size, sample_lines, 128, 42)
    workers = [0.0]
    watch = threading.Thread(target=_watch_workers, args=(workers,), daemon=True)
    watch.start()
    started, processor = time.monotonic(), _processor_seconds()
    if what == "train":
        train_wordpiece(corpus.tokenizer_sample(prepared), vocabulary_size, Path(tokenizer))
    else:
        corpus.prepare_corpus(prepared, folder, num_processes=num_processes)
    seconds, processor = time.monotonic() - started, _processor_seconds() - processor
    return Measured(seconds, processor, _peak("self"), workers[0])


def _processor_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _watch_workers(largest: list[float]) -> None:
    while True:
        largest[0] = max([largest[0], *(_peak(str(child.pid)) for child in active_children())])
        time.sleep(0.2)


def _peak(process: str) -> float:
    """Largest resident set in MB; getrusage would give a child at least what its parent had when it was started."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1e3 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def _row(what: str, processes: int, rounds: list[Measured], megabytes: float | None) -> str:
    seconds = sorted(measured.seconds for measured in rounds)
    speed = "-"
    if megabytes is not None:
        middle, slowest, fastest = (megabytes / value for value in (median(seconds), seconds[-1], seconds[0]))
        speed = f"{middle:.2f} ({slowest:.2f} to {fastest:.2f})"
    own, worker = (max(measured[place] for measured in rounds) for place in (2, 3))
    memory = f"{own:.0f} MB | {f'{worker:.0f} MB' if worker else '-'}"
    processor = median(measured.processor_seconds for measured in rounds)
    return f"| {what} | {processes} | {median(seconds):.1f} | {speed} | {processor:.1f} | {memory} |"


if __name__ == "__main__":
    print(main())
