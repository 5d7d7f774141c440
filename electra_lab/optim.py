"""AdamW without decay on biases and normalisation, and the learning-rate schedules as pure functions of the step."""

from collections.abc import Callable, Iterable

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

ParameterGroup = dict[str, object]


def parameter_groups(module: nn.Module, weight_decay: float) -> list[ParameterGroup]:
    """Every trainable parameter once: matrices and tables decay, biases and normalisation weights (1-D) do not.

    google-research/electra model/optimization.py:56 excludes by name (LayerNorm, bias); all of those are 1-D.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def adamw(groups: Iterable[ParameterGroup], learning_rate: float, eps: float = 1e-6) -> AdamW:
    """AdamW with the published betas .9/.999 and eps 1e-6 (electra model/optimization.py:64-70), fused kernels."""
    return AdamW(list(groups), lr=learning_rate, betas=(0.9, 0.999), eps=eps, fused=True)


def linear(step: int, warmup_steps: int, total_steps: int) -> float:
    """Factor that rises to 1 over the warmup and then falls in a line to 0 at `total_steps`."""
    if step < warmup_steps:
        return step / warmup_steps
    return max(0.0, (total_steps - step) / max(1, total_steps - warmup_steps))


def scheduled(optimizer: AdamW, schedule: Callable[[int], float]) -> dict[str, object]:
    """What `configure_optimizers` returns: the optimizer and its learning rate, changed after every step."""
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": LambdaLR(optimizer, schedule), "interval": "step", "name": "learning_rate"},
    }
