"""A short probe of one pretraining run: its discriminator fine-tuned on a few labelled texts.

    python -m experiments.probe_score runs/pretrain/NAME --table ratings.tsv

Half of the table trains (2,000 texts at most), a quarter each validates and tests (1,000 at most), always the same; the
learning rate and the epoch are the best on the validation texts. Leaves probe.json in the run's folder. The test texts
are looked at with --test only. For curves over tokens and seeds there is experiments/probe.py.
"""

import argparse
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from electra_lab.tokenizer import load_tokenizer
from experiments.classifier import Texts, accuracy, encode, fit, read_texts
from experiments.probe import find_source, load_encoder

_TRAIN, _HELD_OUT = 2000, 1000
_LEARNING_RATES = (5e-5, 2e-4, 1e-3)  # from what suits a base encoder to what suits a tiny one
_EPOCHS, _BATCH_SIZE, _MAX_LENGTH, _SEED = 3, 32, 64, 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Probe a run and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the pretraining run")
    parser.add_argument("--table", type=Path, required=True, help="with the columns id, document, label")
    parser.add_argument("--test", action="store_true", help="measure on the test texts, too")
    options = parser.parse_args(arguments)
    try:
        found = probe_score(options.folder, options.table, options.test)
    except (ValueError, OSError) as error:
        sys.exit(f"experiments.probe_score: {error}")
    (options.folder / "probe.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(found)


def probe_score(folder: Path, table: Path, test: bool) -> dict[str, dict[str, float]]:
    """Validation accuracy of the fine-tuned discriminator, and with `test` the test accuracy.

    Raises:
        ValueError: a table that cannot be used, or no exported discriminator.
    """
    source = find_source("trial", str(folder / "discriminator"))
    tokenizer, encoder = load_tokenizer(source.tokenizer), load_encoder(source, _SEED)
    length = min(_MAX_LENGTH, encoder.config.max_position_embeddings)
    train, validation, tested = (encode(part, tokenizer, length) for part in parts(read_texts(table)))
    fitted = [fit(encoder, train, validation, rate, _EPOCHS, _BATCH_SIZE, _SEED) for rate in _LEARNING_RATES]
    best = max(fitted, key=lambda one: one.accuracy)
    found = {"validation": {"accuracy": best.accuracy}}
    return found | ({"test": {"accuracy": accuracy(best.classifier, tested)}} if test else {})


def parts(texts: Texts) -> tuple[Texts, Texts, Texts]:
    """Training, validation and test texts: none in two of them.

    Raises:
        ValueError: too few texts.
    """
    rows = list(range(len(texts.texts)))
    if len(rows) < 40:
        raise ValueError(f"a probe needs 40 labelled texts or more, there are {len(rows)}")
    random.Random(_SEED).shuffle(rows)
    quarter = len(rows) // 4
    validation, test, train = rows[:quarter], rows[quarter : 2 * quarter], rows[2 * quarter :]
    return texts.at(train[:_TRAIN]), texts.at(validation[:_HELD_OUT]), texts.at(test[:_HELD_OUT])


if __name__ == "__main__":
    torch.set_flush_denormal(True)  # a collapsed encoder is full of them
    main()
