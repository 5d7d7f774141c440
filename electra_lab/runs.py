"""A run: the folder it leaves, the Trainer that both training verbs use, and what they have in common."""

import json
import logging
import os
import resource
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import TQDMProgressBar
from transformers.utils.logging import disable_progress_bar
from yaml import safe_load

from electra_lab.callbacks.end_together import EndTogether
from electra_lab.callbacks.exact_resume import ExactResume
from electra_lab.callbacks.loss_curve import LossCurve
from electra_lab.callbacks.nonfinite import NonFinite
from electra_lab.callbacks.progress import ProgressLines
from electra_lab.callbacks.resume_checkpoints import ResumeCheckpoints
from electra_lab.callbacks.signals import Signals
from electra_lab.callbacks.throughput import Throughput
from electra_lab.callbacks.training_log import TrainingLog
from electra_lab.callbacks.wandb_run import WandbRun
from electra_lab.checkpoint import AtomicCheckpointIO, newest_valid
from electra_lab.data.detection import ConversationDataModule
from electra_lab.data.pretraining import PretrainingDataModule
from electra_lab.loggers import check_logger, followers
from electra_lab.report.figures import loss_curve
from electra_lab.strategies import make_strategy

DETECTION_FIGURES = ("average_precision", "auroc", "f1", "precision", "recall", "accuracy", "prevalence")

# options of a run that stay as they are when it is gone on with, but for those that change no result
_LASTING = ("model.", "data.", "seed")
_MAY_CHANGE = ("data.micro_batch_size", "data.num_workers", "data.cache")

log = logging.getLogger("electra_lab")


def start(verb: str, config: Namespace, yaml: str) -> Path:
    """Make the run's folder, save the configuration in it, send the log to it, seed everything.

    Raises:
        FileExistsError: the run is there already, and not to be gone on with; nothing of it is touched.
        FileNotFoundError: there is no such checkpoint to go on from.
        ValueError: there is no such logger, or the run that is to be gone on with was of other options.
    """
    check_logger(config.logger)
    folder = Path(config.output) / verb / config.run_name
    # a start that failed before its first step leaves less
    is_there = any((folder / name).exists() for name in ("training_log.csv", "results.json"))
    goes_on = is_there and config.resume == "auto" and verb != "test"
    if not _is_launched_by_another():
        if is_there and not goes_on:
            raise FileExistsError(
                f"{folder} is there already; choose another name (RUN=..., --run_name), remove it, or go on with it "
                "(--resume auto)"
            )
        if not (goes_on or config.resume in ("never", "auto") or Path(config.resume).is_file()):
            raise FileNotFoundError(f"{config.resume}: no such checkpoint; --resume takes never, auto or a file")
        if goes_on:
            _check_same_options(folder / "config.yaml", yaml)
        folder.mkdir(parents=True, exist_ok=True)
        if not goes_on:
            (folder / "config.yaml").write_text(yaml, encoding="utf-8")
    log_to(folder / "train.log")
    seed_everything(config.seed, workers=True, verbose=False)
    return folder


def log_to(path: Path | None) -> None:
    """Send plain log lines to the terminal and, if given, to a file; the progress bar replaces progress lines."""
    log.setLevel(logging.WARNING if _is_launched_by_another() else logging.INFO)  # one process says how it goes
    log.handlers.clear()
    log.propagate = False
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    if sys.stderr.isatty():
        terminal.addFilter(lambda record: record.name != ProgressLines.__module__)
    log.addHandler(terminal)
    # Lightning's own lines are about hardware that is not there and products that could be bought.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries; what comes of them is said by us
    disable_progress_bar()  # of transformers, which draws one for every file it writes
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists")  # a run that is gone on with
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")  # it is, through its sampler
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # lightning's helper against torch 2.13
    warnings.filterwarnings("ignore", message=".*broadcast_buffers.*")  # renamed in torch 2.13; 2.11 has the old name
    if path is not None and not _is_launched_by_another():
        file = logging.FileHandler(path, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.addHandler(file)


def is_finished(folder: Path) -> bool:
    """Whether a run that is to be gone on with has come to its end before, which is said."""
    if (folder / "results.json").exists():
        log.info("%s is finished: there is nothing left to do", folder)
        return True
    return False


def resumed_from(config: Namespace, folder: Path) -> Path | None:
    """The checkpoint that the run goes on from, None if it begins.

    Raises:
        ValueError: it holds no more than weights, or all of the run's checkpoints are damaged.
    """
    if config.resume == "auto":
        return newest_valid(folder / "checkpoints", set_aside=not _is_launched_by_another())
    if config.resume == "never":
        return None
    if Path(config.resume).name.startswith("epoch="):
        raise ValueError(f"{config.resume} holds the best weights alone; --resume takes a step=N.ckpt or last.ckpt")
    return Path(config.resume)


def make_trainer(
    config: Namespace,
    folder: Path,
    task: LightningModule,
    datamodule: PretrainingDataModule | ConversationDataModule,
    progress: tuple[str, ...],
    callbacks: list[Callback],
) -> Trainer:
    """Lightning's Trainer with our watchers; accumulation follows from the batch sizes and the devices."""
    log_path = folder / "training_log.csv"
    names = (*cast(tuple[str, ...], task.logged_names), *NonFinite.logged_names, *Throughput.logged_names)
    checkpoints = ResumeCheckpoints(folder / "checkpoints", config.checkpoint_every)
    watchers: list[Callback] = [
        ExactResume(config.seed),
        NonFinite(folder / "nonfinite.json"),
        Throughput(),
        TrainingLog(log_path, names),
        LossCurve(log_path, loss_curve),
        ProgressLines(progress),
        checkpoints,
        Signals(checkpoints),
        EndTogether(),
    ]
    watchers.extend(callbacks)
    watchers.extend(followers(config.logger, folder, config.as_dict(), names))
    if sys.stderr.isatty():
        watchers.append(TQDMProgressBar(refresh_rate=10))
    options = vars(config.trainer)
    strategy = make_strategy(options["strategy"], options["devices"], options["num_nodes"])
    trainer = Trainer(
        **{**options, "strategy": strategy},
        callbacks=watchers,
        plugins=[AtomicCheckpointIO()],
        logger=False,
        default_root_dir=folder,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    if datamodule.batch_size < trainer.world_size:
        raise ValueError(f"data.batch_size {datamodule.batch_size} is less than the {trainer.world_size} devices")
    micro_batch_size = datamodule.micro_batch_size or datamodule.batch_size // trainer.world_size
    trainer.accumulate_grad_batches = max(1, datamodule.batch_size // (micro_batch_size * trainer.world_size))
    if isinstance(trainer.val_check_interval, int):  # counted in optimizer steps here, as everything else
        trainer.val_check_interval *= trainer.accumulate_grad_batches
    return trainer


def pretrain(
    config: Namespace,
    folder: Path,
    task: LightningModule,
    datamodule: PretrainingDataModule,
    progress: tuple[str, ...],
    watchers: Sequence[Callback],
) -> tuple[Trainer, dict[str, Any]]:
    """Fit a pretraining task, from where it was left; what results.json will say so far."""
    resumed = resumed_from(config, folder)
    trainer = make_trainer(config, folder, task, datamodule, progress, [*watchers])
    started = time.monotonic()
    trainer.fit(task, datamodule=datamodule, ckpt_path=resumed)
    results = facts(task, trainer, time.monotonic() - started)
    callbacks = cast(list[Callback], trainer.callbacks)  # type: ignore[attr-defined]  # by a connector
    results["tokens"] = next(callback.tokens for callback in callbacks if isinstance(callback, Throughput))
    results["validation"] = trainer.validate(task, datamodule=datamodule, verbose=False)[0]
    return trainer, results


def facts(task: LightningModule, trainer: Trainer, seconds: float) -> dict[str, Any]:
    """What every results.json begins with."""
    parameters = {id(parameter): parameter.numel() for parameter in task.parameters()}
    return {
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "seconds": round(seconds, 1),
        "seconds_an_epoch": round(seconds / max(1, trainer.current_epoch), 1),
        "peak_memory_gib": round(_peak_memory(task) / 2**30, 2),
        "parameters": sum(parameters.values()),
        "devices": trainer.world_size,
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("electra_lab", "torch", "lightning", "transformers")},
    }


def _peak_memory(task: LightningModule) -> int:
    """Bytes at most so far: of the GPU, or resident ones of the process (Linux counts in KiB, macOS in bytes)."""
    if task.device.type == "cuda":
        return torch.cuda.max_memory_allocated(task.device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def write_results(folder: Path, results: dict[str, Any], trainer: Trainer) -> None:
    """results.json, readable by people; who follows the run is told that it is over."""
    text = json.dumps(results, indent=2, ensure_ascii=False)
    whole = folder / ".results.json.tmp"
    whole.write_text(text + "\n", encoding="utf-8")
    whole.replace(folder / "results.json")  # its presence says that the run is finished
    for callback in cast(list[Callback], trainer.callbacks):  # type: ignore[attr-defined]  # by a connector
        if isinstance(callback, WandbRun):
            callback.finish(results)


def summary(folder: Path, figures: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> None:
    """The last lines of a run: what came out, and where it lies."""
    for part, values in figures.items():
        shown = ((name, values.get(name)) for name in names)
        log.info("%-14s%s", part, "  ".join(f"{name} {value:.4f}" for name, value in shown if value is not None))
    log.info("in %s: %s", folder, "  ".join(sorted(path.name for path in folder.iterdir())))


def _check_same_options(path: Path, yaml: str) -> None:
    """Learning rate, data and the like are in the state that is resumed: other values would not be heeded, or mixed."""
    before, now = (_flat(safe_load(text)) for text in (path.read_text(encoding="utf-8"), yaml))
    changed = [name for name in before.keys() & now if name.startswith(_LASTING) and before[name] != now[name]]
    for name in sorted(set(changed) - set(_MAY_CHANGE)):
        raise ValueError(
            f"{path.parent} was begun with --{name} {before[name]}, not {now[name]}: --resume auto goes on with that; "
            "for other options give another --run_name, and --resume a checkpoint of this one"
        )


def _flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """{"model.sizes": ...}: one level is enough."""
    parts = [value.items() if isinstance(value, Mapping) else [("", value)] for value in options.values()]
    names = zip(options, parts, strict=True)
    return {f"{name}.{part}".rstrip("."): value for name, values in names for part, value in values}


def _is_launched_by_another() -> bool:
    """Whether this process is a rank that the first one, or a cluster, has started beside it."""
    return any(os.environ.get(name, "0") != "0" for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))
