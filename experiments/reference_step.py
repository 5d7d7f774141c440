"""The usual wiring of replaced-token detection, plainly: what `experiments.speed` holds our step against.

Both Hugging Face models as they come, with one embedding module, the way PyTorch code for ELECTRA that is published
puts them together: the generator's output layer runs over the whole sequence, its loss is taken through labels of -100,
the masked positions are picked afterwards, the replacements are drawn with Gumbel noise over the vocabulary in fp32,
the discriminator's loss is the binary cross-entropy that its class offers, the optimizer is torch's default AdamW.
Same mathematics as ours: tests/test_speed.py compares the losses. B examples, L tokens, V vocabulary.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining

from electra_lab.batches import PretrainingBatch


class ReferenceLosses(NamedTuple):
    """Both losses, means over masked positions and over real tokens."""

    masked_lm: Tensor  # ()
    discriminator: Tensor  # ()


class ReferencePair(nn.Module):
    """Generator and discriminator with one embedding module."""

    def __init__(self, generator: ElectraConfig, discriminator: ElectraConfig) -> None:
        super().__init__()
        self.generator = ElectraForMaskedLM(generator)
        self.discriminator = ElectraForPreTraining(discriminator)
        self.discriminator.electra.embeddings = self.generator.electra.embeddings

    def forward(self, batch: PretrainingBatch) -> ReferenceLosses:
        """Both losses of a batch."""
        context = {"attention_mask": batch.attention_mask, "token_type_ids": batch.token_type_ids}
        chosen = torch.zeros_like(batch.input_ids, dtype=torch.bool)
        rows = torch.arange(len(chosen), device=chosen.device)[:, None].expand_as(batch.masked_positions)
        used = batch.masked_weights > 0
        chosen[rows[used], batch.masked_positions[used]] = True  # (B, L)
        labels = batch.input_ids.masked_fill(~chosen, -100)
        generated = self.generator(input_ids=batch.masked_input_ids, labels=labels, **context)  # logits (B, L, V)

        replaced_input_ids = batch.input_ids.clone()
        replaced_input_ids[chosen] = gumbel_draw(generated.logits.detach()[chosen])
        is_replaced = (replaced_input_ids != batch.input_ids).long()
        judged = self.discriminator(input_ids=replaced_input_ids, labels=is_replaced, **context)
        return ReferenceLosses(generated.loss, judged.loss)


def gumbel_draw(logits: Tensor) -> Tensor:
    """One token of each row by the Gumbel trick: (n, V) to (n,)."""
    uniform = torch.rand(logits.shape, device=logits.device)  # float32, whatever the logits are
    gumbel = -torch.log(-torch.log(uniform + 1e-9) + 1e-9)
    return (logits.float() + gumbel).argmax(dim=-1)


def default_adamw(module: nn.Module, learning_rate: float, weight_decay: float) -> AdamW:
    """Torch's AdamW as it comes; biases and normalisation by name, as in most code."""
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for name, parameter in module.named_parameters():
        (plain if "bias" in name or "LayerNorm" in name else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return AdamW(groups, lr=learning_rate, betas=(0.9, 0.999), eps=1e-6)
