"""The grammar of the command line: each option is declared once, in the `__init__` where it is used.

A verb's parser is made of the signatures of its task, its DataModule and Lightning's Trainer, so the command line and
the YAML files have the same names. Nothing in the grammar is an import path: callbacks, loggers and plugins are
chosen by us, strategy and accelerator are words, so that a configuration cannot run code.
"""

import difflib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace, get_loader, set_loader
from lightning.pytorch import Trainer
from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent, SafeLoader, YAMLError
from yaml import parse as parse_yaml

from electra_lab import dashboard, evidence, export, runs, verbs
from electra_lab.data.detection import ConversationDataModule
from electra_lab.data.pretraining import PretrainingDataModule
from electra_lab.tasks.detection import ConversationAnomalyDetection
from electra_lab.tasks.pretraining import ReplacedTokenDetection

# What is left of the Trainer's options: numbers and words. Accumulation follows from the batch sizes.
TRAINER_OPTIONS = {
    "devices",
    "num_nodes",
    "precision",
    "max_epochs",
    "max_steps",
    "max_time",
    "limit_train_batches",
    "limit_val_batches",
    "limit_test_batches",
    "check_val_every_n_epoch",
    "val_check_interval",
    "num_sanity_val_steps",
    "log_every_n_steps",
    "gradient_clip_val",
    "deterministic",
    "benchmark",
    "detect_anomaly",
}


class UsageError(Exception):
    """A mistake on the command line or in a configuration file."""


def run(verb: str, arguments: Sequence[str]) -> None:
    """Parse a verb's arguments and do what they say."""
    parser = build_parser(verb)
    config = parse(parser, arguments)
    _RUN[verb](config, parser.dump(config, skip_unset=False))  # a null may stand for what is no default


def build_parser(verb: str) -> ArgumentParser:
    """The parser of a verb."""
    parser = ArgumentParser(prog=f"electra-lab {verb}", exit_on_error=False, allow_abbrev=False)
    _GRAMMAR[verb](parser)
    return parser


def parse(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """Parse without building anything.

    Raises:
        UsageError: one sentence: the option, what is wrong, and the nearest option there is.
    """
    try:
        return parser.parse_args(list(arguments))
    except (ArgumentError, TypeError, ValueError) as error:
        raise UsageError(_sentence(parser, str(error))) from None


def _plain_yaml(text: str) -> Any:
    """YAML as the parser reads it, but no more than is written: nine lines of references can be a billion values."""
    depth = 0
    for event in parse_yaml(text, SafeLoader):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if isinstance(event, AliasEvent) or depth > _DEEPEST:
            raise YAMLError(f"references (& and *) and more than {_DEEPEST} levels are not read: write the values out")
    return _LOAD_YAML(text)


def _sentence(parser: ArgumentParser, message: str) -> str:
    """The parser's complaint on one line, with the nearest option where a name is not known."""
    names = list(vars(parser.get_defaults().as_flat()))
    text = " ".join(message.split())
    if text.startswith("Unexpected config:"):  # what follows is the whole file, which may be somebody's chat
        return "the file that --config names is no configuration: expected options, one a line, as in `seed: 42`"
    for word in text.replace('"', " ").replace("'", " ").replace("=", " ").split():
        name = word.strip(".,:").removeprefix("--").removesuffix("+")
        is_name = word.startswith("--") or name.split(".")[0] in ("model", "data", "trainer")
        if is_name and name not in names and not any(known.startswith(name + ".") for known in names):
            close = difflib.get_close_matches(name, names, n=1)
            return f"there is no option --{name}" + (f"; did you mean --{close[0]}?" if close else "")
    return text


def training_options(
    parser: ArgumentParser, task: type, datamodule: type, filled: dict[str, set[str]], needs_name: bool = True
) -> None:
    """Options of a training verb; `filled` names those that follow from other options."""
    parser.add_argument("--config", action="config", help="A YAML file with any of these options.")
    parser.add_argument("--run_name", type=str, required=needs_name, help="The run's folder is OUTPUT/VERB/RUN_NAME.")
    parser.add_argument("--output", type=str, default="runs", help="Folder that the runs go to.")
    parser.add_argument("--seed", type=int, default=42, help="Of everything that is drawn.")
    parser.add_argument(
        "--resume", type=str, default="never", help="never, auto (go on with this run) or a checkpoint."
    )
    parser.add_argument("--checkpoint_every", type=int, default=1000, help="Optimizer steps between checkpoints.")
    parser.add_argument("--logger", type=str, default="none", help="Who follows the run beside the files: none, wandb.")
    parser.add_argument("--wandb_allow_text", type=bool, default=False, help="Also send names, paths and messages.")
    parser.add_class_arguments(task, "model", skip=filled["model"])
    parser.add_class_arguments(datamodule, "data", skip=filled["data"] | {"seed"})
    everything = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    parser.add_class_arguments(Trainer, "trainer", skip=everything - TRAINER_OPTIONS)
    parser.add_argument("--trainer.accelerator", type=str, default="auto", help="cpu, gpu, ...")
    parser.add_argument("--trainer.strategy", type=str, default="auto", help="auto, ddp, fsdp2, ...")
    parser.set_defaults({"trainer.gradient_clip_val": 1.0, "trainer.log_every_n_steps": 50})


def _pretrain(parser: ArgumentParser, needs_name: bool = True) -> None:
    filled = {"model": {"tokenizer"}, "data": set[str]()}
    training_options(parser, ReplacedTokenDetection, PretrainingDataModule, filled, needs_name)


def _finetune(parser: ArgumentParser) -> None:
    filled = {"model": set[str](), "data": {"tokenizer", "num_speakers", "ngrams"}}
    training_options(parser, ConversationAnomalyDetection, ConversationDataModule, filled)
    parser.add_argument("--patience", type=int, default=5, help="Validations without improvement before it stops.")
    parser.add_argument("--test", type=bool, default=True, help="Whether the best checkpoint is tested at the end.")


def _test(parser: ArgumentParser) -> None:
    _finetune(parser)
    parser.add_argument("--checkpoint", type=str, required=True, help="A checkpoint of `finetune`.")


def _prepare(parser: ArgumentParser) -> None:
    _pretrain(parser, needs_name=False)  # so that a configuration of `pretrain` serves; only data and seed are used
    parser.add_argument("--shard", type=str, default="1/1", help="i/n: make the i-th of n shares, one on each machine.")


def _modify(parser: ArgumentParser) -> None:
    parser.add_function_arguments(verbs.modify)


def _predict(parser: ArgumentParser) -> None:
    parser.add_argument("paths", type=str, nargs="+", help="Files and folders of chat exports, or - for JSON Lines.")
    parser.add_function_arguments(evidence.predict, skip={"paths", "output", "own_name", "redact"})
    parser.add_argument("--output", type=str | None, help="A new folder; not for -.")
    parser.add_argument("--self", type=str | None, help="The name of the device's owner, whom some exports call you.")
    parser.add_argument("--redact", action="store_true", help="Leave out the names of people, rooms and files.")


def _export(parser: ArgumentParser) -> None:
    parser.add_function_arguments(export.export)
    parser.add_argument("--onnx", action="store_true", help="The form; there is no other yet, so it may be left out.")


def _dashboard(parser: ArgumentParser) -> None:
    parser.add_function_arguments(dashboard.dashboard, skip={"push"})
    parser.add_argument("--push", action="store_true", help="Save it as a new view of the project at wandb.")


def _run_predict(config: Namespace) -> None:
    runs.log_to(None)
    options = config.as_dict()
    options["own_name"] = options.pop("self")
    evidence.run(options)


_DEEPEST = 20  # levels of a configuration
_LOAD_YAML = get_loader("yaml")
set_loader("yaml", _plain_yaml, (YAMLError,))


_GRAMMAR: dict[str, Callable[[ArgumentParser], None]] = {
    "pretrain": _pretrain,
    "finetune": _finetune,
    "test": _test,
    "prepare": _prepare,
    "modify": _modify,
    "predict": _predict,
    "export": _export,
    "dashboard": _dashboard,
}
_RUN: dict[str, Callable[[Namespace, str], None]] = {
    "pretrain": verbs.pretrain,
    "finetune": verbs.finetune,
    "test": verbs.test,
    "prepare": verbs.prepare,
    "modify": lambda config, yaml: verbs.modify(**config),
    "predict": lambda config, yaml: _run_predict(config),
    "export": lambda config, yaml: export.export(config.model, config.output),
    "dashboard": lambda config, yaml: dashboard.dashboard(**config),
}
