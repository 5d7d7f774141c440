"""ELECTRA: a generator that fills masked tokens, a discriminator that finds the replaced ones.

Clark et al., "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators", ICLR 2020,
https://openreview.net/forum?id=r1xMH1BtvB; file references are to google-research/electra.
B examples, L tokens, N masked positions, V vocabulary.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from electra_lab.batches import PretrainingBatch
from electra_lab.models.dropout import DENSE, quicken_dropout
from electra_lab.models.sampling import draw, gather_positions, guess, replace_tokens
from electra_lab.models.sharing import assert_sharing, share_embeddings

# Encoders in which every token attends to every other in every layer: they take a mask that is ready for attention,
# and need not look into it, which on a GPU would make the host wait.
_FULL_ATTENTION = ("electra", "bert", "roberta", "xlm-roberta", "camembert", "distilbert", "albert")


class ElectraOutput(NamedTuple):
    """What one forward pass of both networks gives; everything fp32 where a loss is taken from it."""

    masked_nll: Tensor  # (B, N) -log p(original token) of the generator, for every chosen position
    likelihoods: Tensor  # (B, N, V) proportional to the generator's probabilities
    sampled_ids: Tensor  # (B, N) the token drawn from the generator
    replaced_input_ids: Tensor  # (B, L) what the discriminator reads
    labels: Tensor  # (B, L) bool, whether the token there differs from the original
    discriminator_logits: Tensor  # (B, L) > 0 = "replaced"


class Electra(nn.Module):
    """Two Hugging Face encoders: one that fills masked tokens, one that judges every token of what comes out.

    Args:
        generator: any masked language model, e.g. `ElectraForMaskedLM`.
        discriminator: any model with one logit a token: `ElectraForPreTraining`, or for token classification.
        sharing: of the embeddings: "es", "gdes" or "none" (`sharing.share_embeddings`).
        num_tokens: of the tokenizer, where tables are padded beyond it: spare rows are never guessed. All if None.
        train_generator: False leaves the generator as it is, without dropout (Fast-ELECTRA).
    """

    def __init__(
        self,
        generator: PreTrainedModel,
        discriminator: PreTrainedModel,
        sharing: str = "es",
        num_tokens: int | None = None,
        train_generator: bool = True,
    ) -> None:
        super().__init__()
        assert_sharing(sharing, train_generator)
        self.generator = generator
        self.discriminator = discriminator
        self.num_tokens = num_tokens
        self.train_generator = train_generator
        quicken_dropout(generator)
        quicken_dropout(discriminator)
        share_embeddings(generator, discriminator, sharing)
        self.generator.requires_grad_(train_generator)
        self.generator.train(train_generator)  # Lightning keeps the modes it finds, and does not call `train`
        self._positions: Tensor | None = None
        # Every masked language model applies its head to the states that its encoder returns: shortening them to the
        # chosen positions keeps the logits of all the others from being computed, L / N times as many.
        self.generator.base_model.register_forward_hook(self._keep_chosen)

    def forward(self, batch: PretrainingBatch, temperature: Tensor | None = None) -> ElectraOutput:
        """Fill the masked tokens, draw replacements, judge every token.

        Args:
            batch: B examples.
            temperature: () of the draw; 1 if not given.
        """
        with nullcontext() if self.train_generator else torch.no_grad(), self._chosen(batch.masked_positions):
            logits = self.generator(
                input_ids=batch.masked_input_ids, **_context(self.generator, batch)
            ).logits  # (B, N, V)
        if self.num_tokens is not None and self.num_tokens < logits.shape[-1]:
            logits = logits[..., : self.num_tokens]  # its backward pass would copy all of them even where none is spare
        # No gradient through the draw: the generator learns from its own loss alone.
        masked_nll, likelihoods = guess(logits, batch.input_ids.gather(1, batch.masked_positions))
        if temperature is None:
            sampled_ids = draw(likelihoods)
        else:
            sampled_ids = draw((logits.detach().float() / temperature).softmax(dim=-1))
        replaced_input_ids = replace_tokens(batch.input_ids, batch.masked_positions, batch.masked_weights, sampled_ids)
        discriminator_logits = self.discriminator(
            input_ids=replaced_input_ids, **_context(self.discriminator, batch)
        ).logits
        return ElectraOutput(
            masked_nll=masked_nll,
            likelihoods=likelihoods,
            sampled_ids=sampled_ids,
            replaced_input_ids=replaced_input_ids,
            labels=replaced_input_ids != batch.input_ids,
            discriminator_logits=discriminator_logits.float().view_as(batch.input_ids),
        )

    def train(self, mode: bool = True) -> "Electra":
        """As every module; a generator that is not trained stays without dropout."""
        super().train(mode)
        self.generator.train(mode and self.train_generator)
        return self

    @contextmanager
    def _chosen(self, positions: Tensor) -> Iterator[None]:
        self._positions = positions
        try:
            yield
        finally:
            self._positions = None

    def _keep_chosen(self, encoder: nn.Module, inputs: Any, output: Any) -> Any:
        if self._positions is None:  # somebody uses the generator by itself
            return None
        return BaseModelOutput(last_hidden_state=gather_positions(output[0], self._positions))  # (B, N, hidden)


def _context(model: PreTrainedModel, batch: PretrainingBatch) -> dict[str, Tensor]:
    """What an encoder reads beside the tokens: which are real, and which segment they are of if it knows segments."""
    config, mask = model.config, batch.attention_mask
    if config.model_type in _FULL_ATTENTION and config._attn_implementation in ("sdpa", DENSE):
        mask = mask[:, None, None].bool()  # (B, 1, 1, L)
    context = {"attention_mask": mask}
    if getattr(config, "type_vocab_size", 0) > 1:
        context["token_type_ids"] = batch.token_type_ids
    return context
