"""ELECTRA: a generator that fills masked tokens, a discriminator that finds the replaced ones.

Clark et al., "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators", ICLR 2020,
https://openreview.net/forum?id=r1xMH1BtvB; file references are to google-research/electra.
B examples, L tokens, N masked positions, V vocabulary.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining

from electra_lab.batches import PretrainingBatch


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


class ElectraOutput(NamedTuple):
    """What one forward pass of both networks gives; everything fp32 where a loss is taken from it."""

    masked_nll: Tensor  # (B, N) -log p(original token) of the generator, for every chosen position
    argmax_ids: Tensor  # (B, N) the generator's best guess
    sampled_ids: Tensor  # (B, N) the token drawn from the generator
    replaced_input_ids: Tensor  # (B, L) what the discriminator reads
    labels: Tensor  # (B, L) bool, whether the token there differs from the original
    discriminator_logits: Tensor  # (B, L) > 0 = "replaced"


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


class Electra(nn.Module):
    """Generator and discriminator with one embedding module between them (modeling.py:187-218)."""

    def __init__(self, generator: ElectraForMaskedLM, discriminator: ElectraForPreTraining) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        # The whole module: words, positions, types and LayerNorm, as published. Given to the discriminator and not
        # the other way round: the generator's output layer is tied to its own table and would keep the old one.
        discriminator.electra.embeddings = generator.electra.embeddings

    def forward(self, batch: PretrainingBatch) -> ElectraOutput:
        """Fill the masked tokens, draw replacements, judge every token."""
        hidden = self.generator.electra(
            input_ids=batch.masked_input_ids,
            attention_mask=batch.attention_mask,
            token_type_ids=batch.token_type_ids,
        ).last_hidden_state  # (B, L, generator hidden)
        # Only the chosen positions reach the output layer: logits for all would be L / N times as many.
        hidden = gather_positions(hidden, batch.masked_positions)  # (B, N, generator hidden)
        logits = self.generator.generator_lm_head(self.generator.generator_predictions(hidden))  # (B, N, V)
        log_probabilities = logits.float().log_softmax(dim=-1)
        original_ids = batch.input_ids.gather(1, batch.masked_positions)
        masked_nll = -log_probabilities.gather(2, original_ids[..., None]).squeeze(2)

        # No gradient through the draw: the generator learns from its own loss alone.
        sampled_ids = draw(log_probabilities.detach())
        replaced_input_ids = replace_tokens(batch.input_ids, batch.masked_positions, batch.masked_weights, sampled_ids)
        discriminator_logits = self.discriminator(
            input_ids=replaced_input_ids,
            attention_mask=batch.attention_mask,
            token_type_ids=batch.token_type_ids,
        ).logits
        return ElectraOutput(
            masked_nll=masked_nll,
            argmax_ids=log_probabilities.detach().argmax(dim=-1),
            sampled_ids=sampled_ids,
            replaced_input_ids=replaced_input_ids,
            labels=replaced_input_ids != batch.input_ids,
            discriminator_logits=discriminator_logits.float(),
        )


def gather_positions(hidden: Tensor, positions: Tensor) -> Tensor:
    """States at some positions: (B, L, H) and (B, N) give (B, N, H)."""
    return hidden.gather(1, positions[..., None].expand(-1, -1, hidden.shape[-1]))


def draw(log_probabilities: Tensor) -> Tensor:
    """One token of each distribution, (..., V) fp32 to (...): in half precision the tail would never be drawn.

    On the CPU by inverting the cumulative distribution (one uniform number a row); on the GPU, where cumulative sums
    are not deterministic, by an exponential race, which draws from the same distribution.
    """
    probabilities = log_probabilities.exp()
    if probabilities.is_cuda:
        return (probabilities / torch.empty_like(probabilities).exponential_()).argmax(dim=-1)
    cumulative = probabilities.cumsum(dim=-1)
    total = cumulative[..., -1:]
    threshold = torch.rand_like(total) * total
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(-1).clamp_(max=cumulative.shape[-1] - 1)


def replace_tokens(input_ids: Tensor, positions: Tensor, weights: Tensor, sampled_ids: Tensor) -> Tensor:
    """The original text with the sampled tokens at the chosen positions (pretrain_helpers.py:222-235)."""
    # Unused slots point at position 0: they write the [CLS] that already stands there, and no chosen slot does.
    written = torch.where(weights > 0, sampled_ids, input_ids[:, :1])
    return input_ids.scatter(1, positions, written)


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else value
