"""How a run is spread over devices: Lightning's strategies by name, two of them with settings of our own."""

from datetime import timedelta

from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy

PATIENCE = timedelta(minutes=30)  # with a device that does not answer; then the run ends


def make_strategy(name: str, devices: str, num_nodes: int) -> str | Strategy:
    """A strategy for Lightning's Trainer.

    Args:
        name: "ddp"; "fsdp2" (weights, gradients and optimizer spread over all devices, for networks that do not fit
            on one); or any other name that Lightning knows, which is handed on.
        devices: per node, as the Trainer takes it; fsdp2 wants a number.
        num_nodes: machines.
    """
    if name == "ddp":  # our buffers are equal on all devices, so that sending them before every step is for nothing
        return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True, timeout=PATIENCE)
    if name == "fsdp2":
        if not str(devices).isdigit():
            raise ValueError(f"strategy fsdp2 needs trainer.devices as a number of devices a node, got {devices!r}")
        size = int(devices) * num_nodes
        # one file, whole, like every other checkpoint
        return ModelParallelStrategy(data_parallel_size=size, tensor_parallel_size=1, save_distributed_checkpoint=False)
    return name
