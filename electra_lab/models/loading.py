"""Where transformers is called in a way of our own: in silence, and under the name that its version has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

_DROPOUTS = (  # what configurations call it
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Within it, transformers draws no bar and no table of unused weights; what is missing is our error."""
    verbosity, has_bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if has_bar:
            transformers_logging.enable_progress_bar()


def load_config(source: str) -> PreTrainedConfig:
    """The configuration at a name, a folder or a `.json` file; one that asks for code is refused.

    transformers does not run what an `auto_map` names, but kernels from the hub are code too, and were run once
    (CVE-2026-4372): attention is chosen here, never by a file.

    Raises:
        ValueError: there is none, or it asks for code.
    """
    if "://" in source:
        raise ValueError(f"{source} is an address: give a folder or the name of a model")
    try:
        with quiet_transformers():
            if asked := _asks_for_code(PreTrainedConfig.get_config_dict(source)[0]):
                raise ValueError(f"it asks for code ({asked}), which is never run here; take an encoder without")
            return AutoConfig.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # what is wrong with a hostile one has no common name
        raise ValueError(f"no model configuration could be read from {source}: {reason_of(error)}") from None


def load_weights(
    model_class: Any, source: str, config: PreTrainedConfig, what: str
) -> tuple[PreTrainedModel, list[str]]:
    """A model in float32 with the weights of a source, and the names of those that it lacks; its code is never run.

    Args:
        model_class: of transformers.
        source: a name or a folder.
        config: the source's.
        what: the model in a word, for the error.

    Raises:
        ValueError: nothing there, or weights of another shape.
    """
    try:
        with quiet_transformers():
            model, report = model_class.from_pretrained(
                source, config=config, dtype=torch.float32, trust_remote_code=False, output_loading_info=True
            )
    except Exception as error:  # what the readers of weights raise for a file that is none has no common name
        raise ValueError(f"no {what} could be loaded from {source}: {reason_of(error)}") from None
    return model, sorted(report["missing_keys"])


def reason_of(error: Exception) -> str:
    """Why a file could not be loaded, on one line; torch's own advice for a pickle with code in it is to run it."""
    if type(error).__name__ == "UnpicklingError":
        return "its weights are a pickle that is damaged or holds more than tensors, never run; take safetensors"
    return str(error).strip().split("\n")[0] or type(error).__name__


def set_dropout(config: PreTrainedConfig, dropout: float | None) -> None:
    """Write a dropout wherever a configuration has one; None leaves what is there."""
    for name in _DROPOUTS:
        if dropout is not None and getattr(config, name, None) is not None:
            setattr(config, name, dropout)


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Compute the activations of a model's layers twice instead of keeping them."""
    # renamed within the versions that we allow; the old name warns
    enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
    enable({"use_reentrant": False})


def _asks_for_code(config: Any) -> str | None:
    """The first key that makes transformers look for code, at any depth."""
    if not isinstance(config, dict):
        return None
    for key, value in config.items():
        if key == "auto_map" or ("_implementation" in key and value not in (None, "eager", "sdpa")):
            return key
        if (inner := _asks_for_code(value)) is not None:
            return inner
    return None
