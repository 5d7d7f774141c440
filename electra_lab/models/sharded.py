"""Networks whose weights are spread over devices (FSDP2), and whole again."""

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers.modeling_layers import GradientCheckpointingLayer


def shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """Spread a model's weights over a one-dimensional mesh, in place, layer by layer.

    What lies outside the layers (embeddings, heads) is one group of the whole model, so that a table which several
    modules share stays one.
    """
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):  # what transformers calls a layer
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)


def is_sharded(model: nn.Module) -> bool:
    """Whether a device holds only its part of the weights."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())
