"""Pretrain ELECTRA by replaced-token detection, and find anomalous messages in conversations.

The house, from the ground up; a floor imports from those below it, never from above:

0  batches tokenizer                  the shape of every tensor; the one tokenizer that data and models share
   losses metrics optim calibration   pure functions and torchmetrics; `decisions`, `ranking`; `steps`: how many
1  data                               files -> conversations and text -> batches; `formats`, `encoding`, `order`
   models                             plain nn.Modules: `electra`, `backbone`, `detector`. Knows no data
2  tasks                              LightningModules: `pretraining`, `detection`. Know no data either
   callbacks strategies               what watches a run, and spreads it over devices
3  bundle inference report            what a run leaves behind, how it is used and shown; `evaluation`, `zero_shot`
   export auto_classes model_card     the same for others: ONNX, transformers' auto classes, what a folder says
   cli verbs runs                     options from the signatures of tasks, data and Trainer; what each verb does

The names below are imported when they are used, so that `import electra_lab` loads neither torch nor transformers.
"""

from contextlib import suppress
from importlib import import_module, metadata
from typing import Any

from electra_lab import auto_classes

__version__ = "0.1.0"

_HOME = {
    "Config": "inference",
    "Conversation": "data.conversation",
    "ConversationAnomalyDetection": "tasks.detection",
    "ConversationDataModule": "data.detection",
    "Message": "data.conversation",
    "PretrainingDataModule": "data.pretraining",
    "ReplacedTokenDetection": "tasks.pretraining",
    "ZeroShotDetector": "zero_shot",
    "load_model_for_inference": "inference",
    "load_tokenizer": "tokenizer",
    "load_zero_shot": "zero_shot",
    "predict": "evidence",
    "predict_conversation": "inference",
    "read_conversations": "data.formats",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'electra_lab' has no attribute {name!r}; it has {', '.join(_HOME)}")
    return getattr(import_module(f"electra_lab.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def _refuse_stolen_lightning(version: str) -> None:
    """Two releases of lightning on the registry were malware that ran on import: stop before anything imports it."""
    if version in ("2.6.2", "2.6.3"):
        raise ImportError(
            f"lightning {version} was a malicious release (GHSA-w37p-236h-pfx3): "
            "pip install 'lightning>=2.6.6,<2.7' and treat this machine's secrets as stolen"
        )


with suppress(metadata.PackageNotFoundError):  # models and tokenizer work without it
    _refuse_stolen_lightning(metadata.version("lightning"))

auto_classes.register()
