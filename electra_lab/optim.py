"""AdamW without decay on biases and normalisation, and learning-rate schedules as pure functions of the step."""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

ParameterGroup = dict[str, object]
Schedule = Callable[[int, int, int], float]  # (step, warmup_steps, total_steps) -> factor of the learning rate

# A step so late that Adam's bias corrections 1 - .9^t and 1 - .999^t are exactly 1 in floating point: counting from
# here switches them off, in any kernel. Early enough to count on exactly in float32 for 15 million steps.
LONG_AGO = 2**20


def parameter_groups(module: nn.Module, weight_decay: float) -> list[ParameterGroup]:
    """Every trainable parameter once: matrices and tables decay, biases and normalisation weights (1-D) do not.

    google-research/electra model/optimization.py:56 excludes by name (LayerNorm, bias); all of those are 1-D.
    """
    return _by_dimensions([parameter for parameter in module.parameters() if parameter.requires_grad], weight_decay)


def layerwise_groups(
    module: nn.Module,
    encoder: nn.Module,
    weight_decay: float,
    learning_rate: float,
    layer_decay: float,
    rates: Mapping[nn.Parameter, float] | None = None,
) -> list[ParameterGroup]:
    """The same with a learning rate for each layer, the highest first: the nearer to the input, the lower.

    What is not the encoder's has the learning rate itself, the encoder's last layer `layer_decay` times that, each
    layer below `layer_decay` times the one above, and all else of the encoder (tables, norms) that once more.
    ELECTRA does it so (google-research/electra model/optimization.py, `_get_layer_lrs`), but leaves one more factor
    under the head. Layers that share their weights (ALBERT) are one layer. What is in `rates` has that rate.

    Raises:
        ValueError: the factor is not above 0 and at most 1, or the encoder keeps its layers in no list.
    """
    if not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay is a factor above 0 and at most 1, got {layer_decay}")
    layers = list(_layers(encoder)) if layer_decay < 1 else []
    above = {id(parameter): len(layers) + 1 for parameter in encoder.parameters()}  # how many factors apply
    for number, layer in enumerate(layers):
        above |= {id(parameter): len(layers) - number for parameter in layer.parameters()}
    by_rate: dict[float, list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            rate = learning_rate * layer_decay ** above.get(id(parameter), 0)
            rate = (rates or {}).get(parameter, rate)
            by_rate.setdefault(rate, []).append(parameter)
    return [
        {**group, "lr": rate}
        for rate in sorted(by_rate, reverse=True)
        for group in _by_dimensions(by_rate[rate], weight_decay)
        if group["params"]
    ]


def adamw(
    groups: Iterable[ParameterGroup],
    learning_rate: float,
    bias_correction: bool = True,
    eps: float = 1e-6,
    precision: str = "32-true",
) -> AdamW:
    """AdamW with the published betas .9/.999 and eps 1e-6 (electra model/optimization.py:64-70), fused kernels.

    Without bias correction it is the published optimizer (:113-133): the first updates are up to 6.6 times as large,
    which is safe behind a warmup only. In the Trainer's precision 16-mixed the kernels are not fused, because the fused
    ones undo the scaling of the gradients themselves, and Lightning could not clip them before.
    """
    fused = precision != "16-mixed"
    optimizer = AdamW(list(groups), lr=learning_rate, betas=(0.9, 0.999), eps=eps, fused=fused)
    # bf16 scales nothing; Lightning 2.6 refuses to clip where scaling could be undone (plugins/precision/amp.py)
    optimizer._step_supports_amp_scaling = fused and precision != "bf16-mixed"
    if not bias_correction:
        _count_from(optimizer, LONG_AGO)
    return optimizer


def linear(step: int, warmup_steps: int, total_steps: int) -> float:
    """Factor that rises to 1 over the warmup and then falls in a line to 0 at `total_steps`."""
    if step < warmup_steps:
        return step / warmup_steps
    return max(0.0, (total_steps - step) / max(1, total_steps - warmup_steps))


def google_linear(step: int, warmup_steps: int, total_steps: int) -> float:
    """Warmup times a fall that begins at step 0 (electra model/optimization.py:36-45), so that it never reaches 1.

    Its highest value is 1 - warmup_steps / total_steps: .99 for the published small model, .95 for 500 of 10,000.
    """
    warmup = min(1.0, step / warmup_steps) if warmup_steps else 1.0
    return warmup * max(0.0, 1 - step / total_steps)


def warmup_stable_decay(step: int, warmup_steps: int, total_steps: int) -> float:
    """Factor that rises to 1 over the warmup, stays there, and falls to 0 as 1 - sqrt over the last tenth of the steps.

    The plateau and the tenth: Hu et al. 2024, https://arxiv.org/abs/2404.06395, section 4. The 1 - sqrt shape:
    Haegele et al. 2024, https://arxiv.org/abs/2405.18392; ModernBERT uses it too, https://arxiv.org/abs/2412.13663.
    """
    decay_from = max(warmup_steps, total_steps * 9 // 10)
    if step < warmup_steps:
        return step / warmup_steps
    if step < decay_from:
        return 1.0
    return max(0.0, 1 - math.sqrt((step - decay_from) / max(1, total_steps - decay_from)))


def schedule(name: str) -> Schedule:
    """The schedule of this name: a function (step, warmup_steps, total_steps) -> factor of the learning rate.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {name!r}")
    return SCHEDULES[name]


def scheduled(optimizer: AdamW, factor: Callable[[int], float]) -> dict[str, object]:
    """What `configure_optimizers` returns: the optimizer and its learning rate, changed after every step."""
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step", "name": "learning_rate"},
    }


def _by_dimensions(parameters: list[nn.Parameter], weight_decay: float) -> list[ParameterGroup]:
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _layers(encoder: nn.Module) -> nn.ModuleList:
    """The encoder's layers from below: its list of modules with the most weights, the outermost of equals."""
    lists = [module for module in encoder.modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise ValueError(
            f"{type(encoder).__name__} keeps its layers in no list, so they have no order: set layer_decay to 1"
        )
    return max(lists, key=lambda layers: sum(parameter.numel() for parameter in layers.parameters()))


def _count_from(optimizer: AdamW, step: int) -> None:
    """Write the state of a first step, which torch would make itself, with the step counter already at `step`."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }


SCHEDULES: dict[str, Schedule] = {
    "linear": linear,
    "google-linear": google_linear,
    "warmup-stable-decay": warmup_stable_decay,
}
