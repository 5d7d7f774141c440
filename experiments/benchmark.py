"""The injection benchmark: detectors beside baselines over folds and seeds, with intervals, a gate and a leaky row.

    python -m experiments.benchmark --backbone runs/pretrain/tiny/discriminator --output runs/benchmark
    python -m experiments.benchmark --hosts NIKL_FOLDER --positives threats.jsonl --held_out curses.jsonl \
        --harmless benign.jsonl --backbone FOLDER --seeds 1 2 3 --processes 2 --output runs/benchmark

Without data, made-up conversations and texts take part. Corpora are made once (experiments/injected.py), the rows of a
YAML (experiments/benchmark.yaml, experiments/ablation.yaml) are trained for every fold and seed (experiments/table.py;
a call that was interrupted goes on), all are scored by one evaluator and one policy. A row with the option `corpus:
without-hard-negatives` is trained without harmless insertions and tested with them. Leaves table.md, table.csv,
results.json and table.png.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from electra_lab.data.conversation import Conversation
from electra_lab.data.formats import read_conversations
from electra_lab.data.labelled_windows import LabelledWindows
from electra_lab.data.parts import Part, part_of
from electra_lab.data.sources import read_sources
from electra_lab.data.splits import load
from electra_lab.evaluation import Figures, Scores, evaluate
from electra_lab.inference import TrainedDetector, load_model_for_inference, predict_conversation
from electra_lab.zero_shot import ZeroShotDetector, load_zero_shot
from experiments.baselines import baselines
from experiments.benchmark_report import FIGURES, LEAKY, Result, report
from experiments.injected import CONVERSATIONS, HELD_OUT, SPLITS, Injected, Texts, build
from experiments.keywords import KeywordList, read_keywords
from experiments.policies import alarms
from experiments.table import Cell, Done, cells, read, run

_CORPORA = {"plain": True, "without-hard-negatives": False}  # name -> harmless insertions in training


class Fold(NamedTuple):
    """The conversations of a fold; what is tested on by name."""

    train: list[Conversation]
    validation: list[Conversation]
    tests: dict[str, list[Conversation]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing; write and print the report."""
    options = _options(arguments)
    try:
        print(benchmark(options))
    except (ValueError, OSError) as error:
        sys.exit(f"experiments.benchmark: {error}")


def benchmark(options: argparse.Namespace) -> str:
    """Corpora, runs, scores, report."""
    specification = _specification(options)
    _refuse_other_files(options)
    keywords = read_keywords(options.keywords) if options.keywords else None  # said now, not after hours
    zero_shot = load_zero_shot(options.discriminator, options.max_length) if options.discriminator else None
    todo = [
        cell
        for corpus, rows in _rows_by_corpus(specification["rows"]).items()
        for cell in cells({**specification, "rows": rows}, _variants(options, corpus))
    ]
    done = run(todo, FIGURES, options.output, options.processes)
    if not done:
        raise ValueError(f"no run came to its end; see {options.output / 'logs'}")
    order = list(specification["rows"])
    folds = {number: _fold(_corpus(options, "plain", number)) for number in options.folds}
    results = sorted(_leaky(done) + _detectors(done, folds), key=lambda result: order.index(result.row))
    model, _tokenizer = load_model_for_inference(done[0].folder / "detector")  # all of them cut windows alike
    tests = {
        name: [_part(fold.tests[name], model) for fold in folds.values()] for name in folds[options.folds[0]].tests
    }
    results = _baselines(folds, tests, model, keywords, zero_shot) + results
    return report(results, tests, options, model.settings.threshold_policy)


def detector_scores(model: TrainedDetector, part: Part) -> Scores:
    """Scores of a trained detector; windows are cut as the part's."""
    found = [predict_conversation(model, model.tokenizer, conversation.messages) for conversation in part.conversations]
    return Scores(
        message=np.array([message.score for conversation in found for message in conversation.messages]),
        window=np.array([window.score for conversation in found for window in conversation.windows]),
        conversation=np.array([conversation.score for conversation in found]),
    )


def _detectors(done: Sequence[Done], folds: Mapping[int, Fold]) -> list[Result]:
    results = []
    for cell, folder, _ in (entry for entry in done if not _is_leaky(entry.cell)):
        model, _tokenizer = load_model_for_inference(folder / "detector")
        validation = _part(folds[int(cell.variant)].validation, model)
        on_validation = detector_scores(model, validation)
        for name, conversations in folds[int(cell.variant)].tests.items():
            part = _part(conversations, model)
            scores = detector_scores(model, part)
            figures = evaluate(part, scores, model.settings.thresholds, draws=1)
            raised = alarms(validation, on_validation, part, scores)
            results.append(Result(cell.row, name, int(cell.variant), cell.seed, scores, figures, raised))
    return results


def _leaky(done: Sequence[Done]) -> list[Result]:
    """What runs with leaking splits say of themselves; their test is not that of the others."""
    return [
        Result(cell.row, LEAKY, int(cell.variant), cell.seed, None, _tested(folder), {})
        for cell, folder, _ in done
        if _is_leaky(cell)
    ]


def _baselines(
    folds: Mapping[int, Fold],
    tests: Mapping[str, Sequence[Part]],
    model: TrainedDetector,
    keywords: KeywordList | None,
    zero_shot: ZeroShotDetector | None,
) -> list[Result]:
    """All baselines on every test, with the windows and the policy of a detector."""
    results = []
    for place, (number, fold) in enumerate(folds.items()):
        train, validation = _part(fold.train, model), _part(fold.validation, model)
        found = baselines(train, validation, keywords, zero_shot, model.settings.threshold_policy)
        for row, baseline in found.items():
            on_validation = baseline.scores(validation)
            for test, of_folds in tests.items():
                part = of_folds[place]
                scores = baseline.scores(part)
                figures = evaluate(part, scores, baseline.thresholds, draws=1)
                raised = alarms(validation, on_validation, part, scores)
                results.append(Result(row, test, number, None, scores, figures, raised))
    return sorted(results, key=lambda result: list(found).index(result.row))


def _fold(folder: Path) -> Fold:
    """The conversations of a corpus with hard negatives in its training."""
    conversations = list(read_conversations([str(folder / CONVERSATIONS)]))
    splits = load(folder / SPLITS, conversations)
    train, validation, test = ([conversations[index] for index in indices] for indices in splits)
    tests = {"test": test}
    if (folder / HELD_OUT).is_dir():
        tests["held-out kinds"] = list(read_conversations([str(folder / HELD_OUT)]))
    return Fold(train, validation, tests)


def _part(conversations: list[Conversation], model: TrainedDetector) -> Part:
    return part_of(LabelledWindows(conversations, model.encoder))


def _variants(options: argparse.Namespace, corpus: str) -> dict[str, dict[str, object]]:
    """Options of every fold."""
    folders = {fold: _corpus(options, corpus, fold) for fold in options.folds}
    return {
        str(fold): {"data.paths": [str(folder / CONVERSATIONS)], "data.splits_file": str(folder / SPLITS)}
        for fold, folder in folders.items()
    }


def _refuse_other_files(options: argparse.Namespace) -> None:
    """Raises ValueError if sources make no sense, or the corpora of the output folder were made of other files."""
    if (options.harmless or options.held_out) and not options.positives:
        raise ValueError("--harmless and --held_out go with --positives; without any, made-up texts take part")
    files = {name: getattr(options, name) for name in ("hosts", "positives", "harmless", "held_out")}
    given, note = json.dumps(files, ensure_ascii=False, indent=1), options.output / "corpora" / "files.json"
    is_used = any(note.parent.glob("*/settings.json"))
    if is_used and note.is_file() and note.read_text(encoding="utf-8") != given:
        raise ValueError(f"{note.parent} was made of other files; give another --output, or remove it")
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(given, encoding="utf-8")


def _corpus(options: argparse.Namespace, corpus: str, fold: int) -> Path:
    if corpus not in _CORPORA:
        raise ValueError(f"no corpus is called {corpus!r}; there are {', '.join(_CORPORA)}")
    settings = Injected(
        options.num_folds,
        options.host_messages,
        share=options.share,
        train_share=options.train_share,
        harmless_in_training=_CORPORA[corpus],
        seed=options.corpus_seed,
    )
    folder = options.output / "corpora" / f"{corpus}-{fold}"
    files = (options.hosts, options.positives, options.harmless, options.held_out)
    return build(_texts(*(tuple(paths) if paths else None for paths in files)), fold, settings, folder)


@cache
def _texts(
    hosts: tuple[str, ...] | None,
    positives: tuple[str, ...] | None,
    harmless: tuple[str, ...] | None,
    held_out: tuple[str, ...] | None,
) -> Texts:
    """Hosts and sources from files; made up where none are given, with one kind held out."""
    from electra_lab.data import synthetic

    clean = (
        list(read_conversations(list(hosts)))
        if hosts
        else [conversation for conversation in synthetic.conversations(seed=0) if not conversation.is_anomalous]
    )
    if positives:
        known, foreign, unknown = (read_sources(list(paths or ())) for paths in (positives, harmless, held_out))
        if both := {source.kind for source in known} & {source.kind for source in unknown}:
            raise ValueError(f"the kind {min(both)} is in --positives and in --held_out, so it would be trained on")
        return Texts(clean, known, foreign, unknown)
    anomalous, foreign = synthetic.sources(seed=0, number=2500)  # three for each conversation of the training
    unseen = max(source.kind for source in anomalous)
    parted = ([source for source in anomalous if (source.kind == unseen) is held] for held in (False, True))
    known, unknown = parted
    return Texts(clean, known, foreign, unknown)


def _rows_by_corpus(rows: Mapping[str, Mapping[str, object] | None]) -> dict[str, dict[str, dict[str, object]]]:
    """Rows by the corpus that they are trained on, without that option."""
    parted: dict[str, dict[str, dict[str, object]]] = {}
    for row, options in rows.items():
        left = dict(options or {})
        parted.setdefault(str(left.pop("corpus", "plain")), {})[row] = left
    return parted


def _specification(options: argparse.Namespace) -> dict[str, Any]:
    content = read(options.rows, {"figures": FIGURES})
    content["seeds"] = options.seeds
    content["options"] = {**content["options"], "model.backbone": options.backbone}
    return content


def _is_leaky(cell: Cell) -> bool:
    return cell.options.get("data.split") == "windows"


def _tested(folder: Path) -> dict[str, Figures]:
    results: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return dict(results["test"])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", required=True, help="the encoder that is fine-tuned")
    parser.add_argument("--output", type=Path, required=True, help="folder of corpora, runs and report")
    parser.add_argument("--rows", type=Path, default=Path("experiments/benchmark.yaml"), help="what is trained")
    parser.add_argument("--hosts", nargs="+", help="conversations to insert into")
    parser.add_argument("--positives", nargs="+", help="JSONL of anomalous texts")
    parser.add_argument("--harmless", nargs="+", help="JSONL of foreign but harmless texts")
    parser.add_argument("--held_out", nargs="+", help="JSONL of anomalous texts of kinds that are never trained on")
    parser.add_argument("--num_folds", type=int, default=5)
    parser.add_argument("--folds", type=int, nargs="+", help="only these, from 0")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--corpus_seed", type=int, default=42, help="of insertions and shares of the sources")
    parser.add_argument("--share", type=float, default=0.15, help="of the test conversations that are anomalous")
    parser.add_argument("--train_share", type=float, default=3.0, help="anomalous insertions a training conversation")
    parser.add_argument("--host_messages", type=int, default=40, help="longer hosts are cut")
    parser.add_argument("--keywords", type=Path, help="YAML list of terms")
    parser.add_argument("--discriminator", help="pretrained discriminator for the row without labels")
    parser.add_argument("--max_length", type=int, default=128, help="tokens that it was pretrained with")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    options = parser.parse_args(arguments)
    options.folds = sorted(set(options.folds or range(options.num_folds)))  # the order in which scores are compared
    return options


if __name__ == "__main__":
    main()
