"""Where transformers is called in a way of our own: in silence, and under the name that its version has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel
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
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"no {what} could be loaded from {source}: {reason}") from None
    return model, sorted(report["missing_keys"])


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
