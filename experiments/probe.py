r"""Does pretraining pay? Encoders fine-tuned on labelled texts, against the same network from random weights.

    python -m experiments.probe --train ratings-train.tsv.xz --test ratings-test.tsv.xz --output runs/probe \
        --encoders random=runs/pretrain/A/discriminator rtd=runs/pretrain/A/discriminator mlm=runs/masked_lm/B/encoder

An encoder is NAME=FOLDER_OR_CHECKPOINT; several with one name, read after different numbers of tokens, become a line
of the picture. Of `random` only the sizes are read: its weights are drawn as they are before pretraining. Every encoder
gets the same head (experiments/classifier.py), labels, orders and grid: on the first seed the learning rate with the
best validation accuracy is chosen, in every run the epoch; validation texts are cut from the training file, the test
file is looked at once a run. Leaves results.json, table.md, probe.png; runs that are in results.json are not repeated.
"""

import argparse
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from electra_lab.models.loading import quiet_transformers
from electra_lab.tasks.pretraining import ReplacedTokenDetection
from electra_lab.tokenizer import load_tokenizer
from experiments.classifier import Examples, Texts, accuracy, encode, fit, read_texts
from experiments.masked_lm import MaskedLanguageModel
from experiments.probe_report import RANDOM, Row, picture, table, verdicts


class Source(NamedTuple):
    """Where an encoder comes from."""

    name: str
    path: str
    tokenizer: str  # its folder
    tokens: int  # read in pretraining; 0 for `random`


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="table with the columns id, document, label")
    parser.add_argument("--test", type=Path, required=True, help="likewise")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--encoders", nargs="+", required=True, metavar="NAME=PATH")
    parser.add_argument("--labels", type=int, nargs="+", default=[1000, 5000, 20000], help="training texts")
    parser.add_argument("--epochs", type=int, nargs="+", default=[8, 5, 3], help="at most, for each of --labels")
    parser.add_argument("--learning_rates", type=float, nargs="+", default=[5e-4, 1e-3, 2e-3], help="the grid")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max_length", type=int, default=32, help="tokens; that of pretraining")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--validation_rows", type=int, default=1000)
    parser.add_argument("--test_rows", type=int, default=10000, help="a fixed draw; 0 = all")
    parser.add_argument("--token_cost", nargs="*", default=[], metavar="NAME=COST", help="of training on a token; 1")
    try:
        run(parser.parse_args(arguments))
    except (ValueError, OSError) as error:
        sys.exit(f"experiments.probe: {error}")


def run(options: argparse.Namespace) -> None:
    """Fine-tune every encoder that is not in results.json yet."""
    if len(options.epochs) != len(options.labels):
        raise ValueError(f"--epochs needs a number for each of the {len(options.labels)} --labels")
    sources = [find_source(*_pair(text)) for text in options.encoders]
    costs = {name: float(cost) for name, cost in map(_pair, options.token_cost)}
    train, test = read_texts(options.train), _some(read_texts(options.test), options.test_rows)
    validation, pools = split(train, options.validation_rows, max(options.labels), options.seeds)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = _done(options)
    torch.set_flush_denormal(True)  # a collapsed encoder is full of them, which made fine-tuning 3.7 times slower
    for source in sources:
        tokenizer = load_tokenizer(source.tokenizer)
        held_out, tested = (encode(part, tokenizer, options.max_length) for part in (validation, test))
        for number, epochs in zip(options.labels, options.epochs, strict=True):
            rate: float | None = None
            for seed in range(options.seeds):
                key = source._asdict() | {"labels": number, "epochs": epochs, "seed": seed}
                row = next((row for row in rows if key.items() <= row.items()), None)
                if row is None:
                    examples = encode(pools[seed].at(range(number)), tokenizer, options.max_length)
                    rates = options.learning_rates if rate is None else [rate]
                    row = key | probe(source, examples, held_out, tested, rates, epochs, options.batch_size, seed)
                    rows.append(row)
                    _write(options, rows)
                    print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)
                rate = row["learning_rate"]
    text = "\n".join([table(rows, costs), "", *verdicts(rows)])
    (options.output / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    picture(rows, costs, options.output / "probe.png")


def split(train: Texts, validation_rows: int, num_labels: int, seeds: int) -> tuple[Texts, list[Texts]]:
    """Validation texts, always the same, and for each seed its own draw from the rest; fewer labels are its first.

    Raises:
        ValueError: the file has fewer texts than that.
    """
    if len(train.texts) < validation_rows + num_labels:
        raise ValueError(f"{validation_rows} + {num_labels} training texts are needed, there are {len(train.texts)}")
    rows = list(range(len(train.texts)))
    random.Random(0).shuffle(rows)
    rest = rows[validation_rows:]
    pools = [train.at(random.Random(seed).sample(rest, num_labels)) for seed in range(seeds)]
    return train.at(rows[:validation_rows]), pools


def probe(
    source: Source,
    train: Examples,
    validation: Examples,
    test: Examples,
    learning_rates: Sequence[float],
    epochs: int,
    batch_size: int,
    seed: int,
) -> Row:
    """Fine-tune with each learning rate; the test accuracy of the one with the best validation accuracy."""
    encoder = load_encoder(source, seed)
    fitted = [fit(encoder, train, validation, rate, epochs, batch_size, seed) for rate in learning_rates]
    best = max(range(len(fitted)), key=lambda index: fitted[index].accuracy)
    return {
        "learning_rate": learning_rates[best],
        "epoch": fitted[best].epoch,
        "validation": round(fitted[best].accuracy, 5),
        "test": round(accuracy(fitted[best].classifier, test), 5),
    }


def find_source(name: str, path: str) -> Source:
    """The encoder, with the number of tokens that its run wrote down.

    Raises:
        ValueError: neither an exported folder of a run nor a checkpoint of one.
    """
    if path.endswith(".ckpt"):
        content = torch.load(path, map_location="cpu", weights_only=True)
        return Source(
            name, path, content["hyper_parameters"]["tokenizer"], content["callbacks"]["Throughput"]["tokens"]
        )
    if name == RANDOM:
        return Source(name, path, path, 0)
    results = Path(path).parent / "results.json"
    if not results.is_file():
        raise ValueError(f"{path}: expected a folder in that of a run with results.json, or a checkpoint (.ckpt)")
    return Source(name, path, path, json.loads(results.read_text(encoding="utf-8"))["tokens"])


def load_encoder(source: Source, seed: int) -> PreTrainedModel:
    """The encoder with the dropout of fine-tuning (.1); `random` is drawn from the seed.

    Raises:
        ValueError: weights are missing.
    """
    if source.path.endswith(".ckpt"):
        saved = _from_checkpoint(source.path)
        encoder = AutoModel.from_config(_with_dropout(saved.config))
        encoder.load_state_dict(saved.state_dict())
        return encoder
    config = _with_dropout(AutoConfig.from_pretrained(source.path, trust_remote_code=False))
    if source.name == RANDOM:
        torch.manual_seed(seed)
        return AutoModel.from_config(config)
    options = {"dtype": torch.float32, "trust_remote_code": False, "output_loading_info": True}
    with quiet_transformers():
        encoder, loading = AutoModel.from_pretrained(source.path, config=config, **options)
    if loading["missing_keys"]:
        raise ValueError(f"{source.path}: {len(loading['missing_keys'])} weights of the encoder are missing")
    return encoder


def _from_checkpoint(path: str) -> PreTrainedModel:
    content = torch.load(path, map_location="cpu", weights_only=True)
    if "discriminator_weight" in content["hyper_parameters"]:
        task = ReplacedTokenDetection.load_from_checkpoint(path, map_location="cpu", weights_only=True)
        assert task.electra is not None
        return cast(PreTrainedModel, task.electra.discriminator.electra)
    model = MaskedLanguageModel.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    assert model.network is not None
    return cast(PreTrainedModel, model.network.electra)


def _with_dropout(config: PreTrainedConfig) -> PreTrainedConfig:
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.1
    return config


def _some(texts: Texts, number: int) -> Texts:
    rows = list(range(len(texts.texts)))
    return texts.at(random.Random(1).sample(rows, number)) if 0 < number < len(rows) else texts


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise ValueError(f"expected NAME=VALUE, got {text!r}")
    return name, value


def _settings(options: argparse.Namespace) -> Row:
    """What must be the same for results to stand in one table; the epochs are in each row."""
    names = ("seeds", "max_length", "batch_size", "validation_rows", "test_rows", "learning_rates")
    return {name: getattr(options, name) for name in names}


def _done(options: argparse.Namespace) -> list[Row]:
    """Rows of an earlier call."""
    path = options.output / "results.json"
    if not path.is_file():
        return []
    record = json.loads(path.read_text(encoding="utf-8"))
    epochs = dict(zip(options.labels, options.epochs, strict=True))
    other = [row for row in record["rows"] if row["epochs"] != epochs.get(row["labels"], row["epochs"])]
    if record["settings"] != _settings(options) or other:
        raise ValueError(f"{path} was made with other settings; give another --output")
    return list(record["rows"])


def _write(options: argparse.Namespace, rows: list[Row]) -> None:
    text = json.dumps({"settings": _settings(options), "rows": rows}, indent=1)
    (options.output / "results.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
