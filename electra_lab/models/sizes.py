"""The sizes of ELECTRA: presets, changes to them, and the configurations of both networks that follow."""

from typing import Any, NamedTuple

from transformers import ElectraConfig


class Sizes(NamedTuple):
    """Sizes of the discriminator, and of the generator relative to it."""

    num_layers: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    embedding_size: int
    generator_width: float  # generator hidden size / discriminator hidden size
    generator_depth: float = 1.0  # generator layers / discriminator layers
    max_positions: int = 512
    dropout: float = 0.1
    init_std: float = 0.02  # of weights and tables; narrow networks start faster from wider ones


# Table 6 of the paper; generator widths as the author corrected them in google-research/electra#39. The published
# "small" checkpoints are small++: a generator as wide as the discriminator, and 512 tokens.
PRESETS: dict[str, Sizes] = {
    # Ours: learns on two CPU cores within minutes. So narrow a network starts late with the published init_std of .02:
    # experiments/README.md has both curves.
    "tiny": Sizes(2, 128, 512, 2, 128, 1 / 2, init_std=0.08),
    "small": Sizes(12, 256, 1024, 4, 128, 1 / 4),
    "small++": Sizes(12, 256, 1024, 4, 128, 1.0),
    "base": Sizes(12, 768, 3072, 12, 768, 1 / 3),
    "large": Sizes(24, 1024, 4096, 16, 1024, 1 / 4),
}


def preset_sizes(preset: str, sizes: dict[str, float] | None = None) -> Sizes:
    """The sizes of a preset with some of them changed."""
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    unknown = set(sizes or {}) - set(Sizes._fields)
    if unknown:
        raise ValueError(f"sizes knows {', '.join(Sizes._fields)}, got {', '.join(sorted(unknown))}")
    changes: dict[str, Any] = {name: _whole(value) for name, value in (sizes or {}).items()}
    changed = PRESETS[preset]._replace(**changes)
    if changed.hidden_size % changed.num_heads:
        raise ValueError(f"hidden_size {changed.hidden_size} must be a multiple of num_heads {changed.num_heads}")
    return changed


def electra_configs(sizes: Sizes, vocabulary_size: int, pad_token_id: int = 0) -> tuple[ElectraConfig, ElectraConfig]:
    """Configurations of generator and discriminator (run_pretraining.py:338-348: heads of 64, FFN of 4 x hidden)."""
    width = int(sizes.hidden_size * sizes.generator_width)
    shared: dict[str, Any] = {
        "vocab_size": vocabulary_size,
        "embedding_size": sizes.embedding_size,
        "max_position_embeddings": sizes.max_positions,
        "hidden_dropout_prob": sizes.dropout,
        "attention_probs_dropout_prob": sizes.dropout,
        "initializer_range": sizes.init_std,
        "pad_token_id": pad_token_id,
    }
    generator = ElectraConfig(
        num_hidden_layers=max(1, int(sizes.num_layers * sizes.generator_depth)),
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=max(1, width // 64),
        **shared,
    )
    discriminator = ElectraConfig(
        num_hidden_layers=sizes.num_layers,
        hidden_size=sizes.hidden_size,
        intermediate_size=sizes.intermediate_size,
        num_attention_heads=sizes.num_heads,
        **shared,
    )
    return generator, discriminator


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else value
