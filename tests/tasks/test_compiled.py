"""What a GPU wants of a training step: one graph that is compiled once, and no waiting of the host for the device."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from electra_lab.models.electra import Electra
from tests.models.test_sharing import FAMILIES, make_pair
from tests.tasks.test_pretraining import corpus, make, train  # noqa: F401  # a fixture

_WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique")  # operators whose result the host must see


class CountWaits(TorchDispatchMode):
    """Counts the operators for which the host waits on a GPU."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if any(name in function.__name__ for name in _WAITS):
            self.names.append(function.__name__)
        return function(*args, **(kwargs or {}))


@pytest.fixture
def batches(corpus):  # noqa: F811
    _, datamodule = make(corpus)
    datamodule.prepare_data()
    loaded = iter(datamodule.train_dataloader())
    return [next(loaded) for _ in range(4)]


def test_the_step_is_one_graph_and_is_compiled_once(batches):
    """The batches differ in their text, masks and place; a graph break would show as a second graph."""
    graphs = []

    def count(graph, example_inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    for sharing in ("es", "gdes"):
        graphs.clear()
        electra = Electra(*make_pair(FAMILIES["electra"]), sharing)
        compiled = torch.compile(electra, backend=count, fullgraph=True)
        for batch in batches:
            inside = batch._replace(
                input_ids=batch.input_ids.clamp(max=60), masked_input_ids=batch.masked_input_ids.clamp(max=60)
            )
            output = compiled(inside)
            (output.masked_nll.mean() + output.discriminator_logits.mean()).backward()
        assert len(graphs) == 1
    for temperature in (2.0, 1.5, 1.2):  # a schedule must not compile anew for every value
        compiled(inside, torch.tensor(temperature))
    assert len(graphs) == 2


@pytest.mark.parametrize("train_generator", [True, False])
def test_the_host_waits_for_nothing(batches, train_generator):
    electra = Electra(*make_pair(FAMILIES["electra"]), "gdes", train_generator=train_generator).train()
    optimizer = torch.optim.AdamW([p for p in electra.parameters() if p.requires_grad], fused=True)
    with CountWaits() as waits:
        for batch in batches:
            inside = batch._replace(
                input_ids=batch.input_ids.clamp(max=60), masked_input_ids=batch.masked_input_ids.clamp(max=60)
            )
            output = electra(inside)
            (output.masked_nll.mean() + output.discriminator_logits.mean()).backward()
            torch.nn.utils.clip_grad_norm_(electra.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    assert waits.names == []


def test_counting_waits_sees_one(batches):
    with CountWaits() as waits:
        batches[0].attention_mask.all().item()
    assert waits.names == ["_local_scalar_dense.default"]
