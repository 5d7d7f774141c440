"""Where generator and discriminator come from: sizes, a configuration, or released weights to go on with."""

import sys
from pathlib import Path
from typing import Any

from transformers import (
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from electra_lab.models.initialisation import initialise_like_google
from electra_lab.models.loading import load_config, load_weights, set_dropout
from electra_lab.models.sizes import Sizes, electra_configs
from electra_lab.tokenizer import load_tokenizer

Pair = tuple[PreTrainedModel, PreTrainedModel]  # generator, discriminator

INITIALISATIONS = ("huggingface", "google")
_WEIGHTS = ("*.safetensors*", "*.bin*", "*.h5", "*.msgpack", "*.ckpt*")  # also such that cannot be read: never ignored
_TOKENIZERS = ("tokenizer_config.json", "tokenizer.json", "vocab.txt")
_FROM_PADDING_ON = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text")
_SPECIAL_IDS = ("pad_token_id", "cls_token_id", "sep_token_id", "mask_token_id", "bos_token_id", "eos_token_id")


def new_pair(
    sizes: Sizes, tokenizer: PreTrainedTokenizerFast, init: str = "huggingface", generator_dropout: float | None = None
) -> Pair:
    """Both networks of ELECTRA with random weights.

    Args:
        sizes: of the discriminator, and of the generator relative to it.
        tokenizer: for the size of the tables and the id of [PAD].
        init: "huggingface" (normal) or "google" (as published: `initialisation.initialise_like_google`).
        generator_dropout: where it is not the discriminator's.
    """
    assert_initialisation(init)
    configs = electra_configs(sizes, len(tokenizer), int(tokenizer.pad_token_id))
    set_dropout(configs[0], generator_dropout)
    pair = ElectraForMaskedLM(configs[0]), ElectraForPreTraining(configs[1])
    if init == "google":
        for model in pair:
            initialise_like_google(model)
    return pair


def load_pair(
    generator: str,
    discriminator: str,
    tokenizer: PreTrainedTokenizerFast,
    generator_dropout: float | None = None,
    new_head: bool = False,
) -> Pair:
    """Both networks from a name, a folder, or a configuration alone (random weights, sized to the tokenizer).

    The discriminator is `ElectraForPreTraining` where the weights are ELECTRA's, else a model for token
    classification with one class, whose head is new unless the folder has it. ELECTRA's head is new where that is
    said: the two-stage training of the paper (section 3.3) starts the discriminator from a generator.

    Raises:
        ValueError: nothing there, weights of another kind, or a vocabulary that is not the tokenizer's.
    """
    loaded = []
    for role, source in (("generator", generator), ("discriminator", discriminator)):
        config = load_config(source)
        if role == "generator":
            set_dropout(config, generator_dropout)
        loaded.append(_load(role, source, config, tokenizer, new_head))
    return loaded[0], loaded[1]


def pair_tokenizer(generator: str, discriminator: str) -> str | None:
    """The one of the two whose tokenizer serves both; None if neither brings one, which configurations alone may do.

    Raises:
        ValueError: their vocabularies differ, so that what one writes the other would misread; or there are weights,
            which know a vocabulary, but no tokenizer.
    """
    sources = [source for source in (discriminator, generator) if _has_tokenizer(source)]
    vocabularies = [load_tokenizer(source).get_vocab() for source in sources]
    if len(sources) == 2 and vocabularies[0] != vocabularies[1]:
        token = min(set(vocabularies[0].items()) ^ set(vocabularies[1].items()), key=lambda item: item[1])
        raise ValueError(
            f"{generator} and {discriminator} do not share a vocabulary ({len(vocabularies[1])} and "
            f"{len(vocabularies[0])} tokens; the first difference is at id {token[1]}): take the generator and the "
            "discriminator of one release"
        )
    if not sources and not (is_configuration(generator) and is_configuration(discriminator)):
        raise ValueError(f"neither {generator} nor {discriminator} has a tokenizer: give theirs as data.tokenizer")
    return sources[0] if sources else None


def discriminator_class(config: PreTrainedConfig) -> Any:
    """What transformers calls a discriminator of this kind: ELECTRA's own, or a model for token classification."""
    return ElectraForPreTraining if config.model_type == "electra" else AutoModelForTokenClassification


def is_configuration(source: str) -> bool:
    """Whether a source is a configuration without weights."""
    path = Path(source)
    return path.is_file() or (path.is_dir() and not any(any(path.glob(pattern)) for pattern in _WEIGHTS))


def max_positions(config: PreTrainedConfig) -> int:
    """The longest example that a model has positions for; the RoBERTa family counts from the id of [PAD] on."""
    positions = int(getattr(config, "max_position_embeddings", sys.maxsize))
    return positions - (config.pad_token_id or 0) - 1 if config.model_type in _FROM_PADDING_ON else positions


def assert_initialisation(init: str) -> None:
    """Raise a ValueError for an initialisation that does not exist."""
    if init not in INITIALISATIONS:
        raise ValueError(f"init must be one of {', '.join(INITIALISATIONS)}, got {init!r}")


def _load(
    role: str, source: str, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast, new_head: bool
) -> PreTrainedModel:
    model_class: Any = AutoModelForMaskedLM
    if role == "discriminator":
        model_class = discriminator_class(config)
        if model_class is AutoModelForTokenClassification:
            config.num_labels = 1
    if is_configuration(source):
        _fit(config, tokenizer)
        return model_class.from_config(config) if hasattr(model_class, "from_config") else model_class(config)
    if len(tokenizer) > config.vocab_size:
        raise ValueError(
            f"{source}: the {role} has {config.vocab_size} tokens, the tokenizer {len(tokenizer)}: they are not of "
            "one model; leave data.tokenizer out to take the one that comes with the model"
        )
    model, missing = load_weights(model_class, source, config, role)
    _assert_complete(model, missing, role, source, new_head)
    return model.train()  # transformers hands it over in evaluation mode, and Lightning leaves it there


def _assert_complete(model: PreTrainedModel, missing: list[str], role: str, source: str, new_head: bool) -> None:
    if role == "discriminator" and (new_head or not isinstance(model, ElectraForPreTraining)):
        missing = [name for name in missing if name.startswith(model.base_model_prefix + ".")]  # its head may be new
    if missing:
        hint = " (an encoder of another kind can be one with --model.new_head true)" if role == "discriminator" else ""
        raise ValueError(
            f"{source}: {len(missing)} weights of {type(model).__name__} are missing, the first is {missing[0]}; "
            f"is this the {role}?{hint}"
        )


def _fit(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    """Make a configuration speak of this tokenizer."""
    config.vocab_size = len(tokenizer)
    for name in _SPECIAL_IDS:
        if getattr(config, name, None) is not None:
            fallback = {"bos_token_id": "cls_token_id", "eos_token_id": "sep_token_id"}.get(name, name)
            setattr(config, name, getattr(tokenizer, fallback))


def _has_tokenizer(source: str) -> bool:
    path = Path(source)
    return not path.is_file() and (not path.is_dir() or any((path / name).is_file() for name in _TOKENIZERS))
