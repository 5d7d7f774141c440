"""How generator and discriminator share their embeddings: wholly, in one direction, or not at all.

* es: one embedding module serves both (Clark et al. 2020, section 3.2; modeling.py:187-218 of google-research/electra).
* gdes: the discriminator's tables are the generator's plus a difference of its own, and its gradient stops there, so
  that the two losses do not pull at one table (He et al., "DeBERTaV3", ICLR 2023, section 3.2,
  https://arxiv.org/abs/2111.09543).
* none: each has its own.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import PreTrainedModel


def share_embeddings(generator: PreTrainedModel, discriminator: PreTrainedModel, sharing: str) -> None:
    """Join the embeddings of two models, in place.

    Raises:
        ValueError: there is no such sharing, or the embeddings do not have the same shapes.
    """
    assert_sharing(sharing)
    if sharing == "none":
        return
    ours, theirs = (_embeddings(model, sharing) for model in (generator, discriminator))
    _assert_same_shapes(ours, theirs, sharing)
    for name, part in ours.named_children():
        if sharing == "es" and any(True for _ in part.parameters()):
            # Part by part, so that each network keeps its own dropout. Given to the discriminator and not the other
            # way round: the generator's output layer is tied to its own table and would keep the old one.
            setattr(theirs, name, part)
        elif sharing == "gdes" and isinstance(part, nn.Embedding):
            parametrize.register_parametrization(theirs.get_submodule(name), "weight", _AddedToDetached(part))


def assert_same_tables(generator: PreTrainedModel, discriminator: PreTrainedModel) -> None:
    """Raise a ValueError if trained weights would be lost by sharing the generator's embeddings."""
    ours, theirs = (_embeddings(model, "es").state_dict() for model in (generator, discriminator))
    for name, values in ours.items():
        if (
            name in theirs
            and values.shape == theirs[name].shape
            and not torch.allclose(values, theirs[name], atol=1e-4)
        ):
            raise ValueError(
                f"{name} differs between generator and discriminator: they were trained apart, and sharing es would "
                "throw the discriminator's away; go on with sharing gdes or none"
            )


def start_from_the_same_tables(generator: PreTrainedModel, discriminator: PreTrainedModel) -> None:
    """Give a new discriminator the tables of its generator, so that the difference of "gdes" starts at 0."""
    ours, theirs = (_embeddings(model, "gdes") for model in (generator, discriminator))
    _assert_same_shapes(ours, theirs, "gdes")
    theirs.load_state_dict(ours.state_dict())


def assert_sharing(sharing: str, train_generator: bool = True) -> None:
    """Raise a ValueError for a sharing that does not exist, or that a fixed generator cannot take part in."""
    if sharing not in SHARING:
        raise ValueError(f"sharing must be one of {', '.join(SHARING)}, got {sharing!r}")
    if sharing == "es" and not train_generator:
        raise ValueError(
            "a generator that is not trained cannot share its embeddings with a discriminator that is: "
            "choose sharing gdes or none"
        )


def without_sharing(discriminator: PreTrainedModel) -> PreTrainedModel:
    """A discriminator that stands alone, with plain tables; itself where it has them already."""
    if not any(parametrize.is_parametrized(module) for module in discriminator.modules()):
        return discriminator
    alone = copy.deepcopy(discriminator)
    for module in alone.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return alone


class _AddedToDetached(nn.Module):
    """Another table's values, without a gradient to it, plus a difference that is learned."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self._table = (table,)  # in a tuple, so that it does not count as a part of the discriminator

    def forward(self, difference: Tensor) -> Tensor:
        return self._table[0].weight.detach() + difference

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight - self._table[0].weight.detach()


def _embeddings(model: PreTrainedModel, sharing: str) -> nn.Module:
    embeddings = getattr(model.base_model, "embeddings", None)
    if embeddings is None:
        raise ValueError(f"{type(model).__name__} has no embedding module to share; choose sharing none, not {sharing}")
    return embeddings


def _assert_same_shapes(ours: nn.Module, theirs: nn.Module, sharing: str) -> None:
    shapes = [{name: tuple(p.shape) for name, p in module.named_parameters()} for module in (ours, theirs)]
    for name in shapes[0] | shapes[1]:
        if shapes[0].get(name) != shapes[1].get(name):
            raise ValueError(
                f"sharing {sharing} needs embeddings of the same width and kind, but {name} is "
                f"{shapes[0].get(name, 'missing')} in the generator and {shapes[1].get(name, 'missing')} in the "
                "discriminator; take networks of one embedding size, or sharing none"
            )


SHARING = ("es", "gdes", "none")
