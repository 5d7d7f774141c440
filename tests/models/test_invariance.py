"""What stands beside an example changes nothing: padding, order, packing, neighbours; the same input, the same bytes.

That a window scores the same alone and in company is in test_detector.py, packed windows of every family in
test_backbone.py.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import ElectraForMaskedLM, ElectraForPreTraining

from electra_lab.batches import PretrainingBatch
from electra_lab.models import electra as electra_module
from electra_lab.models.electra import Electra, ElectraOutput
from electra_lab.models.pooling import POOLINGS
from electra_lab.models.sizes import electra_configs
from tests.models.test_detector import WINDOWS, batch_of, detector_of
from tests.models.test_electra import PROJECTED, VOCABULARY, make_batch

TOLERANCE = 2e-6  # of scores in fp32


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Callable[[PretrainingBatch], ElectraOutput]:
    """A pair that puts in the likeliest token, so that its result is a function of the batch."""
    monkeypatch.setattr(electra_module, "draw", lambda likelihoods: likelihoods.argmax(-1))
    torch.manual_seed(0)
    generator, discriminator = electra_configs(PROJECTED, VOCABULARY)
    network = Electra(ElectraForMaskedLM(generator), ElectraForPreTraining(discriminator)).eval()
    return torch.no_grad()(network)


def results(output: ElectraOutput, batch: PretrainingBatch) -> list[tuple[Tensor, Tensor]]:
    """Of each example what the generator loses at the chosen positions, and the logits of the real tokens."""
    chosen, real = batch.masked_weights.bool(), batch.attention_mask.bool()
    return [
        (nll[is_chosen], logits[is_real])
        for nll, is_chosen, logits, is_real in zip(
            output.masked_nll, chosen, output.discriminator_logits, real, strict=True
        )
    ]


def difference(these: list[tuple[Tensor, ...]], those: list[tuple[Tensor, ...]]) -> float:
    pairs = zip(sum(these, ()), sum(those, ()), strict=True)
    return max(float((one - other).abs().max()) for one, other in pairs if one.numel())


def rows(batch: PretrainingBatch, chosen: list[int]) -> PretrainingBatch:
    return batch._replace(**{name: getattr(batch, name)[chosen] for name in PretrainingBatch._fields[:6]})


def test_the_pair_and_the_order_of_examples(pair: Callable) -> None:
    batch = make_batch()
    turned = rows(batch, [2, 0, 1])
    here, there = results(pair(batch), batch), results(pair(turned), turned)
    assert difference(here, [there[1], there[2], there[0]]) <= TOLERANCE


def test_the_pair_and_the_neighbours_of_an_example(pair: Callable) -> None:
    batch = make_batch()
    alone = [results(pair(rows(batch, [row])), rows(batch, [row]))[0] for row in range(3)]
    assert difference(results(pair(batch), batch), alone) <= TOLERANCE


def test_the_pair_and_padding(pair: Callable) -> None:
    batch = make_batch()
    longer = batch._replace(
        **{name: torch.nn.functional.pad(getattr(batch, name), (0, 8)) for name in PretrainingBatch._fields[:4]}
    )
    assert longer.input_ids.shape == (3, 24)
    assert difference(results(pair(batch), batch), results(pair(longer), longer)) <= TOLERANCE


def test_the_pair_does_not_read_what_stands_in_the_padding(pair: Callable) -> None:
    batch = make_batch()
    is_padding = batch.attention_mask == 0
    garbage = torch.randint(5, VOCABULARY, batch.input_ids.shape, generator=torch.Generator().manual_seed(1))
    dirty = batch._replace(
        input_ids=torch.where(is_padding, garbage, batch.input_ids),
        masked_input_ids=torch.where(is_padding, garbage, batch.masked_input_ids),
        token_type_ids=torch.where(is_padding, 1, batch.token_type_ids),
    )
    assert is_padding.any()
    assert difference(results(pair(batch), batch), results(pair(dirty), batch)) == 0


def test_the_pair_gives_the_same_bytes_again(pair: Callable) -> None:
    batch = make_batch()
    assert all(torch.equal(one, other) for one, other in zip(pair(batch), pair(batch), strict=True))


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_a_detector_and_the_order_of_windows(pooling: str) -> None:
    detector = detector_of(pooling)
    here, there = detector(batch_of(WINDOWS)), detector(batch_of(WINDOWS[::-1]))
    messages = [5, 3, 4, 0, 1, 2]  # where those of the windows, turned, were before
    assert (here.window_logits - there.window_logits.flip(0)).abs().max() <= TOLERANCE
    assert (here.message_logits[messages] - there.message_logits).abs().max() <= TOLERANCE
    assert (here.message_mass[messages] - there.message_mass).abs().max() <= TOLERANCE


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_a_detector_that_packs_and_one_that_pads(pooling: str) -> None:
    packs, pads = detector_of(pooling), detector_of(pooling)
    assert packs.backbone.is_packed
    pads.backbone.is_packed = False
    pads.backbone.encoder.set_attn_implementation("sdpa")
    here, there = packs(batch_of(WINDOWS)), pads(batch_of(WINDOWS))
    assert (here.window_logits - there.window_logits).abs().max() <= TOLERANCE
    assert (here.message_logits - there.message_logits).abs().max() <= TOLERANCE


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_a_detector_gives_the_same_bytes_again(pooling: str) -> None:
    detector, again = detector_of(pooling), detector_of(pooling)
    for other in (detector, again):
        for one, two in zip(detector(batch_of(WINDOWS)), other(batch_of(WINDOWS)), strict=True):
            assert not isinstance(one, Tensor) or torch.equal(one, two)
