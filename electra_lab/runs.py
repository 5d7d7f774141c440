"""A run: the folder it leaves, the Trainer that both training verbs use, and what they have in common."""

import json
import logging
import os
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
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from transformers.utils.logging import disable_progress_bar

from electra_lab.callbacks.exact_resume import ExactResume
from electra_lab.callbacks.loss_curve import LossCurve
from electra_lab.callbacks.progress import ProgressLines
from electra_lab.callbacks.throughput import Throughput
from electra_lab.callbacks.training_log import TrainingLog
from electra_lab.data.detection import ConversationDataModule
from electra_lab.data.pretraining import PretrainingDataModule
from electra_lab.report.figures import loss_curve
from electra_lab.strategies import make_strategy

DETECTION_FIGURES = ("average_precision", "auroc", "f1", "precision", "recall", "accuracy", "prevalence")

log = logging.getLogger("electra_lab")


def start(verb: str, config: Namespace, yaml: str) -> Path:
    """Make the run's folder, save the configuration in it, send the log to it, seed everything.

    Raises:
        FileExistsError: the run is there already; nothing of it is touched.
    """
    folder = Path(config.output) / verb / config.run_name
    if not _is_launched_by_another():
        if any((folder / name).exists() for name in ("training_log.csv", "results.json")):  # more than a failed start
            raise FileExistsError(f"{folder} is there already; choose another name (RUN=..., --run_name) or remove it")
        folder.mkdir(parents=True, exist_ok=True)
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
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # lightning's helper against torch 2.13
    warnings.filterwarnings("ignore", message=".*broadcast_buffers.*")  # renamed in torch 2.13; 2.11 has the old name
    if path is not None and not _is_launched_by_another():
        file = logging.FileHandler(path, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.addHandler(file)


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
    names = (*cast(tuple[str, ...], task.logged_names), *Throughput.logged_names)
    watchers: list[Callback] = [
        ExactResume(config.seed),
        Throughput(),
        TrainingLog(log_path, names),
        LossCurve(log_path, loss_curve),
        ProgressLines(progress),
    ]
    watchers.extend(callbacks)
    if sys.stderr.isatty():
        watchers.append(TQDMProgressBar(refresh_rate=10))
    options = vars(config.trainer)
    strategy = make_strategy(options["strategy"], options["devices"], options["num_nodes"])
    trainer = Trainer(
        **{**options, "strategy": strategy},
        callbacks=watchers,
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
    """Fit a pretraining task, with checkpoints on the way and at the end; what results.json will say so far."""
    checkpoints = ModelCheckpoint(
        folder / "checkpoints",
        filename="{step}",
        monitor="step",
        mode="max",
        save_top_k=2,
        every_n_train_steps=config.checkpoint_every,
    )
    trainer = make_trainer(config, folder, task, datamodule, progress, [checkpoints, *watchers])
    started = time.monotonic()
    trainer.fit(task, datamodule=datamodule)
    results = facts(task, trainer, time.monotonic() - started)
    results["tokens"] = int(trainer.callback_metrics.get("train/tokens", 0))
    trainer.save_checkpoint(folder / "checkpoints" / "last.ckpt")
    results["validation"] = trainer.validate(task, datamodule=datamodule, verbose=False)[0]
    return trainer, results


def facts(task: LightningModule, trainer: Trainer, seconds: float) -> dict[str, Any]:
    """What every results.json begins with."""
    parameters = {id(parameter): parameter.numel() for parameter in task.parameters()}
    return {
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "seconds": round(seconds, 1),
        "parameters": sum(parameters.values()),
        "devices": trainer.world_size,
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("electra_lab", "torch", "lightning", "transformers")},
    }


def write_results(folder: Path, results: dict[str, Any]) -> None:
    """results.json, readable by people."""
    text = json.dumps(results, indent=2, ensure_ascii=False)
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")


def summary(folder: Path, figures: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> None:
    """The last lines of a run: what came out, and where it lies."""
    for part, values in figures.items():
        shown = ((name, values.get(name)) for name in names)
        log.info("%-14s%s", part, "  ".join(f"{name} {value:.4f}" for name, value in shown if value is not None))
    log.info("in %s: %s", folder, "  ".join(sorted(path.name for path in folder.iterdir())))


def _is_launched_by_another() -> bool:
    """Whether this process is a rank that the first one, or a cluster, has started beside it."""
    return any(os.environ.get(name, "0") != "0" for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))
