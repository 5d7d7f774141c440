"""How fast a pretraining step is, beside the usual wiring in the same process: variants in turn, medians with spread.

    python -m experiments.speed pretraining --preset small --length 128 --batch 16 --precision bf16

prints a Markdown table. Ours is the model, losses, optimizer and clipping of `electra-lab pretrain`; the reference is
`reference_step.py` in fp32 and, where ours is bf16, in bf16 too. Made-up token ids: the time does not depend on them.
The matmul peak is what one large matrix product reaches in the same round, precision and process; MFU is the share of
the datasheet's peak, where the device has one (electra_lab.models.flops). `--profile` prints where our time goes.
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.profiler import ProfilerActivity, profile
from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining

from electra_lab import optim
from electra_lab.batches import PretrainingBatch
from electra_lab.data.masking import max_masked
from electra_lab.models.electra import Electra
from electra_lab.models.flops import peak_flops, training_flops
from electra_lab.models.sizes import PRESETS, electra_configs, preset_sizes
from electra_lab.tasks.pretraining import ReplacedTokenDetection
from experiments.reference_step import ReferencePair, default_adamw
from experiments.timing import markdown, seconds_of, spread

LEARNING_RATE, WEIGHT_DECAY, LAMBDA, CLIP = 5e-4, 0.01, 50.0, 1.0
MATMUL_SIZE = {"cpu": 2048, "cuda": 8192}  # rows and columns of the product that the peak is measured with
COLUMNS = (
    *("step", "precision", "tokens/s", "ours is times as fast", "share of the matmul peak", "MFU"),
    "peak memory, GiB",
)
_FIRST_TEXT_ID = 5  # behind [PAD] [UNK] [CLS] [SEP] [MASK]
_SHOWN_OPERATIONS = 20

# Where an operation belongs: the first group one of whose words is in its name.
GROUPS = {
    "activation": ("gelu",),
    "matrix products": ("mm", "addmm", "linear", "gemm"),
    "dropout": ("dropout", "bernoulli", "random_", "aten::ge"),
    "attention kernels": ("attention",),
    "softmax and draw": ("softmax", "exp", "cumsum", "searchsorted", "amax", "argmax", "scatter", "gather"),
    "normalisation": ("norm",),
    "optimizer": ("adam", "_foreach"),
    "embeddings": ("embedding", "index"),
    "copies and casts": ("copy", "memcpy", "fill", "zero", "cat"),
    "additions, products, sums": ("add", "mul", "sum", "div", "sub", "where", "mask"),
    "compiled": ("triton", "graph"),
}

Configs = tuple[ElectraConfig, ElectraConfig]
Losses = Callable[[PretrainingBatch], tuple[Tensor, Tensor]]


class Variant(NamedTuple):
    """One way to take a training step."""

    name: str
    precision: str  # fp32 or bf16
    module: nn.Module
    losses: Losses  # masked-LM and discriminator
    optimizer: Optimizer


class Round(NamedTuple):
    """What one round of one variant measured."""

    seconds: float  # a step
    matmul: float  # FLOP/s of a large matrix product
    memory: int  # bytes at the peak, of this variant alone; 0 on the CPU


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `experiments.speed pretraining`."""
    parser.add_argument("--preset", default="small", choices=PRESETS)
    parser.add_argument("--length", type=int, default=128, help="tokens of an example")
    parser.add_argument("--batch", type=int, default=16, help="examples of a step")
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--compile", action="store_true", help="ours through torch.compile")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of a variant in a round")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--profile", action="store_true", help="where the time of our step goes, instead")


def measure(options: argparse.Namespace) -> str:
    """The table."""
    device = torch.device(options.device)
    torch.manual_seed(0)
    configs = electra_configs(preset_sizes(options.preset), options.vocabulary)
    batches = [made_up_batch(options.batch, options.length, options.vocabulary, seed, device) for seed in range(2)]
    ours = our_step(configs, options.precision, device, options.compile)
    if options.profile:
        return _profile(ours, batches)
    variants = [ours, *(reference_step(configs, p, device) for p in dict.fromkeys(("fp32", options.precision)))]
    for variant in variants:  # allocations, compilation, the optimizer's state
        _steps(variant, batches, 2)
    measured = [[one_round(variant, batches, options.steps) for variant in variants] for _ in range(options.rounds)]
    flops = training_flops(*configs, options.batch, options.length, max_masked(options.length, 0.15))
    return _table(variants, measured, options.batch * options.length, flops, device)


def our_step(configs: Configs, precision: str, device: torch.device, compiled: bool = False) -> Variant:
    """The step of `electra-lab pretrain`."""
    task = ReplacedTokenDetection(tokenizer="", discriminator_weight=LAMBDA)
    task.electra = Electra(ElectraForMaskedLM(configs[0]), ElectraForPreTraining(configs[1]))
    task.to(device).train()
    if compiled:
        task.electra.compile()
    optimizer = optim.adamw(optim.parameter_groups(task, WEIGHT_DECAY), LEARNING_RATE)
    name = "ours, compiled" if compiled else "ours"
    return Variant(name, precision, task, lambda batch: task.losses(batch, task(batch)), optimizer)


def reference_step(configs: Configs, precision: str, device: torch.device) -> Variant:
    """The step of the usual wiring."""
    pair = ReferencePair(*configs).to(device).train()
    return Variant("reference", precision, pair, pair, default_adamw(pair, LEARNING_RATE, WEIGHT_DECAY))


def take_step(variant: Variant, batch: PretrainingBatch) -> Tensor:
    """One optimizer step; the total loss."""
    device = batch.input_ids.device.type
    mixed = torch.autocast(device, torch.bfloat16) if variant.precision == "bf16" else nullcontext()
    with mixed:
        masked_lm, discriminator = variant.losses(batch)
        loss = masked_lm + LAMBDA * discriminator
    loss.backward()
    clip_grad_norm_(variant.module.parameters(), CLIP)
    variant.optimizer.step()
    variant.optimizer.zero_grad()
    return loss.detach()


def one_round(variant: Variant, batches: Sequence[PretrainingBatch], steps: int) -> Round:
    """Time some steps, and a large matrix product in the same precision right after."""
    device = batches[0].input_ids.device
    before = 0
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    seconds = _steps(variant, batches, steps) / steps
    memory = 0
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated() - before + _state_bytes(variant)
    return Round(seconds, _matmul_flops(variant.precision, device), memory)


def made_up_batch(batch: int, length: int, vocabulary: int, seed: int, device: torch.device) -> PretrainingBatch:
    """Examples of two segments, the last one a quarter shorter; 15 % are chosen, of these 85 % read [MASK]."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.full((batch,), length)
    lengths[-1] = length * 3 // 4
    columns = torch.arange(length)
    attention_mask = (columns < lengths[:, None]).long()
    input_ids = torch.randint(_FIRST_TEXT_ID, vocabulary, (batch, length), generator=generator) * attention_mask
    num_masked = max_masked(length, 0.15)
    order = torch.rand((batch, length), generator=generator).masked_fill((attention_mask == 0) | (columns == 0), 2.0)
    positions = order.argsort(1)[:, :num_masked]
    weights = (torch.arange(num_masked) < (lengths[:, None] * 0.15)).float()
    positions = positions * weights.long()  # unused slots point at position 0
    masked = torch.where(torch.rand(positions.shape, generator=generator) < 0.85, 4, input_ids.gather(1, positions))
    masked = torch.where(weights > 0, masked, input_ids[:, :1])
    return PretrainingBatch(
        input_ids=input_ids.to(device),
        masked_input_ids=input_ids.scatter(1, positions, masked).to(device),
        token_type_ids=((columns >= length // 2).long() * attention_mask).to(device),
        attention_mask=attention_mask.to(device),
        masked_positions=positions.to(device),
        masked_weights=weights.to(device),
        num_masked=weights.sum().to(device),
        num_tokens=attention_mask.sum().float().to(device),
        position=(0, seed),
    )


def _steps(variant: Variant, batches: Sequence[PretrainingBatch], steps: int) -> float:
    def work() -> None:
        for step in range(steps):
            take_step(variant, batches[step % len(batches)])

    return seconds_of(work, batches[0].input_ids.device)


def _matmul_flops(precision: str, device: torch.device) -> float:
    """FLOP/s of the best of a few large products."""
    size = MATMUL_SIZE[device.type]
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    product = left @ right
    best = min(seconds_of(lambda: torch.mm(left, right, out=product), device) for _ in range(3))
    return 2 * size**3 / best


def _state_bytes(variant: Variant) -> int:
    """Parameters and the optimizer's state: there before a round begins."""
    tensors = [*variant.module.parameters()]
    tensors += [value for state in variant.optimizer.state.values() for value in state.values() if value.is_cuda]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _table(
    variants: Sequence[Variant], measured: Sequence[Sequence[Round]], tokens: int, flops: int, device: torch.device
) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    rows = []
    for index, variant in enumerate(variants):
        rounds = [row[index] for row in measured]
        speed = [tokens / one.seconds for one in rounds]
        ratios = [row[index].seconds / row[0].seconds for row in measured]
        share = [flops / one.seconds / one.matmul for one in rounds]
        peak = peak_flops(name, variant.precision)
        mfu = "" if peak is None else f"{median(flops / one.seconds for one in rounds) / peak:.1%}"
        memory = max(one.memory for one in rounds)
        rows.append(
            [
                variant.name,
                variant.precision,
                spread(speed, ",.0f"),
                spread(ratios, ".2f") if index else "",
                spread(share, ".1%"),
                mfu,
                f"{memory / 2**30:.2f}" if memory else "",
            ]
        )
    return markdown(COLUMNS, rows)


def _profile(variant: Variant, batches: Sequence[PretrainingBatch]) -> str:
    """Time of three steps by group and by operation: on the device where there is one, else on the CPU."""
    on_gpu = batches[0].input_ids.is_cuda
    _steps(variant, batches, 2)
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as profiler:
        _steps(variant, batches, 3)
    times = {
        event.key: event.self_device_time_total if on_gpu else event.self_cpu_time_total
        for event in profiler.key_averages()
        if event.device_type == DeviceType.CPU  # kernels count for the operation that launched them
    }
    groups: dict[str, float] = {}
    for name, spent in times.items():
        group = next((group for group, words in GROUPS.items() if any(word in name for word in words)), "other")
        groups[group] = groups.get(group, 0.0) + spent
    shown = sorted(times.items(), key=lambda item: -item[1])[:_SHOWN_OPERATIONS]
    total = sum(times.values())
    lines = [f"| where {total / 3000:,.0f} ms a step go | share |", "| --- | ---: |"]
    lines += [f"| {name} | {spent / total:.1%} |" for name, spent in sorted(groups.items(), key=lambda item: -item[1])]
    return "\n".join([*lines, *(f"| `{name}` | {spent / total:.1%} |" for name, spent in shown)])
