"""What pretraining takes before it is begun: tokens, FLOPs, hours and disk, as Markdown tables.

    python -m experiments.arithmetic --utilisation 0.4

Settings are those of `pretrain-*.yaml` (the paper's), FLOPs those of `electra_lab.models.flops`, peaks the datasheets'
for bf16. Several GPUs are taken to be as many times as fast; published: 7.9 times on 8 A100 (NVIDIA's
DeepLearningExamples, ELECTRA).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import yaml

from electra_lab.data.masking import max_masked
from electra_lab.models.flops import peak_flops, training_flops
from electra_lab.models.sizes import electra_configs, preset_sizes

PAPER = ("small", "small++", "base", "large")
GPUS = {"H100": "NVIDIA H100 80GB HBM3", "A100": "NVIDIA A100-SXM4-80GB"}
COUNTS = (1, 8, 64)
TOKENS = (10**9, 10**10, 10**11)
LENGTHS = (128, 512)
VOCABULARY = 30_522
TOKENS_A_LINE = 25  # sentences of news and encyclopaedias


def main(arguments: Sequence[str] | None = None) -> str:
    """The tables of training and of disk."""
    parser = argparse.ArgumentParser("experiments.arithmetic", description=__doc__.split("\n")[0])
    parser.add_argument("--utilisation", type=float, default=0.4, help="share of the peak that is reached")
    options = parser.parse_args(arguments)
    return f"{training_table(options.utilisation)}\n\n{store_table()}"


def training_table(utilisation: float) -> str:
    """Tokens, FLOPs and hours of the published settings at a share of the datasheet's peak."""
    machines = [(count, gpu) for gpu in GPUS for count in COUNTS]
    heads = ["preset", "length x batch x steps", "tokens, 1e9", "MFLOPs a token", "FLOPs"]
    rows = [[*heads, *(f"h, {count} x {gpu}" for count, gpu in machines)]]
    for preset in PAPER:
        tokens, flops, settings = budget(preset)
        hours = [flops / (utilisation * _peak(gpu) * count) / 3600 for count, gpu in machines]
        figures = [f"{tokens / 1e9:,.1f}", f"{flops / tokens / 1e6:,.0f}", f"{flops:.2e}".replace("e+", "e")]
        rows.append(
            [preset, settings, *figures, *(f"{value:,.3g}" if value < 100 else f"{value:,.0f}" for value in hours)]
        )
    return _markdown(rows, 2)


def store_table() -> str:
    """Size of the token store."""
    rows = [["tokens", *(f"GB, V <= 65,536, L = {n}" for n in LENGTHS), *(f"GB, larger V, L = {n}" for n in LENGTHS)]]
    for tokens in TOKENS:
        sizes = [store_bytes(tokens, n, large) / 1e9 for large in (False, True) for n in LENGTHS]
        rows.append([f"{tokens:.0e}".replace("e+", "e"), *(f"{size:,.3g}" for size in sizes)])
    return _markdown(rows, 1)


def budget(preset: str) -> tuple[int, int, str]:
    """Tokens and FLOPs of the published settings of a preset, and the settings."""
    settings = yaml.safe_load((Path(__file__).parent / f"pretrain-{preset}.yaml").read_text(encoding="utf-8"))
    data, steps = settings["data"], settings["trainer"]["max_steps"]
    length, batch = data["max_length"], data["batch_size"]
    configs = electra_configs(preset_sizes(preset), VOCABULARY)
    num_masked = max_masked(length, data["mask_probability"])
    flops = training_flops(*configs, batch, length, num_masked) * steps
    return length * batch * steps, flops, f"{length} x {batch:,} x {steps:,}"


def store_bytes(tokens: int, length: int, large_vocabulary: bool = False) -> float:
    """Bytes of a token store: ids, eight bytes where a line starts, three times eight for each example of the index."""
    return tokens * ((4 if large_vocabulary else 2) + 8 / TOKENS_A_LINE + 24 / length)


def _peak(gpu: str) -> float:
    peak = peak_flops(GPUS[gpu], "bf16")
    assert peak is not None
    return peak


def _markdown(rows: Sequence[Sequence[str]], num_words: int) -> str:
    """A table whose first columns are words and the others numbers."""
    rule = ["---"] * num_words + ["---:"] * (len(rows[0]) - num_words)
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])


if __name__ == "__main__":
    print(main())
