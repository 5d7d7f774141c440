"""Who follows a run beside training_log.csv, by name: wandb, which is told numbers and words of ours alone."""

import importlib.util
import logging
import os
import re
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import Callback

from electra_lab.callbacks.wandb_run import WandbRun

if TYPE_CHECKING:
    import wandb

HIDDEN = "(not sent)"
WORDS = {  # options whose words are ours, out of a list that the code knows; any other string may be a name or a path
    *("run_name", "logger"),
    *(f"model.{name}" for name in ("preset", "sharing", "init", "schedule", "pooling", "loss")),
    *(f"model.{name}" for name in ("attention_supervision", "threshold_policy", "decision")),
    *("data.context", "data.split"),
    *(f"trainer.{name}" for name in ("accelerator", "devices", "max_time", "precision", "strategy")),
}
NETWORKS = {"model.backbone", "model.generator", "model.discriminator", "data.tokenizer"}  # a public name, or a folder
_PUBLIC_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")

log = logging.getLogger(__name__)


def check_logger(name: str) -> None:
    """Raises ValueError unless there is a logger of this name and its package is installed."""
    if name not in LOGGERS:
        raise ValueError(f"logger must be one of {', '.join(LOGGERS)}, got {name!r}")
    if name == "wandb" and importlib.util.find_spec("wandb") is None:
        raise ValueError("--logger wandb needs the package wandb: pip install 'wandb>=0.31,<0.32', or leave it out")


def followers(name: str, folder: Path, config: Mapping[str, Any], names: tuple[str, ...]) -> list[Callback]:
    """The callbacks that a logger follows a run with.

    Args:
        name: one of LOGGERS.
        folder: of the run.
        config: all options of the run.
        names: what the run can log.
    """
    check_logger(name)
    return LOGGERS[name](folder, config, names)


def open_run(folder: Path, config: Mapping[str, Any], allows_text: bool = False) -> "wandb.Run":
    """A wandb run that keeps console, code, git, machine and user to itself; offline without a key or a network.

    WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY, WANDB_RUN_GROUP (a sweep's trials) and WANDB_TAGS hold as ever.
    """
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # tracebacks would go to a third party; there is no other switch
    import wandb

    settings = wandb.Settings(**PRIVATE, root_dir=str(folder))
    options: dict[str, Any] = {
        "project": os.environ.get("WANDB_PROJECT", "electra_lab"),
        "name": config["run_name"],
        "job_type": folder.parent.name,
        "config": dict(config) if allows_text else sendable(config),
        "settings": settings,
    }
    wandb.setup(settings)
    mode = os.environ.get("WANDB_MODE", "online")
    if mode == "online" and not _has_key():
        mode = "offline"
    identifier = folder / "wandb" / "id"  # a resumed run goes on in the same wandb run
    try:
        resume = "allow" if mode == "online" else None
        run = wandb.init(mode=cast(Any, mode), id=_kept(identifier), resume=cast(Any, resume), **options)
    except Exception as error:  # of wandb, of its service, of the network: none of them may end a run
        log.warning("wandb cannot be reached, this run is followed offline (%s)", " ".join(str(error).split()))
        identifier.unlink()  # wandb holds it as taken
        run = wandb.init(mode="offline", id=_kept(identifier), **options)
    run.define_metric("*", step_metric="step")
    return run


def sendable(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The options without names of files, folders and people: numbers, our own words, public names of networks."""
    sent: dict[str, Any] = {}
    for name, value in config.items():
        option = prefix + name
        if isinstance(value, Mapping):
            sent[name] = sendable(value, f"{option}.")
        elif (
            value is None
            or isinstance(value, bool | int | float)
            or option in WORDS
            or (option in NETWORKS and _PUBLIC_NAME.fullmatch(value) and not Path(value).exists())
        ):
            sent[name] = value
        else:
            sent[name] = HIDDEN
    return sent


def _kept(identifier: Path) -> str:
    """The id in this file, a new one if there is none."""
    if not identifier.exists():
        identifier.parent.mkdir(parents=True, exist_ok=True)
        identifier.write_text(secrets.token_hex(4), encoding="utf-8")
    return identifier.read_text(encoding="utf-8")


def _has_key() -> bool:
    """Whether someone has logged in on this machine; never asks."""
    import wandb

    try:
        return wandb.login(prompt=False, verify=False)
    except wandb.Error as error:  # a key that cannot be one
        log.warning("wandb: %s", error)
        return False


def _nobody(folder: Path, config: Mapping[str, Any], names: tuple[str, ...]) -> list[Callback]:
    return []


def _wandb(folder: Path, config: Mapping[str, Any], names: tuple[str, ...]) -> list[Callback]:
    if os.environ.get("WANDB_MODE") == "disabled":
        return []
    allows_text = config["wandb_allow_text"]
    return [WandbRun(partial(open_run, folder, config, allows_text), names, allows_text)]


# Settings that win over the environment: nothing is read of the console, the code, git, the machine or its user.
PRIVATE: dict[str, Any] = {
    "console": "off",
    "silent": True,
    "save_code": False,
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "label_disable": True,
    "symlink": False,
    "host": "",
    "username": "",
    "email": "",
    "program": "electra-lab",
    "x_executable": "",
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
    "reinit": "create_new",
    "init_timeout": 6.0,
    "finish_timeout": 10.0,
}

LOGGERS: dict[str, Callable[[Path, Mapping[str, Any], tuple[str, ...]], list[Callback]]] = {
    "none": _nobody,
    "wandb": _wandb,
}
