"""How fast windows are detected: ours, packed, beside the same encoder on padded windows; same weights, same heads.

    python -m experiments.speed detection --paths FOLDER
    python -m experiments.speed detection --training --precision fp32 --batch 4
    python -m experiments.speed detection --batching --steps 4

The reference is the encoder as Hugging Face has it, `scaled_dot_product_attention` with a mask, on windows padded to
512 tokens, as earlier work had it; padding each batch to its longest window is the better of the usual ways. bf16 is
autocast; a training step is forward, backward and AdamW. W windows, M messages, T tokens of all windows together.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer
from transformers import PreTrainedModel

from electra_lab import optim
from electra_lab.batches import ConversationBatch
from electra_lab.data.encoding import EncodedWindow, pack
from electra_lab.models.attention import PACKED
from electra_lab.models.backbone import Backbone, backbone_from_config
from electra_lab.models.detector import Detection, Detector
from electra_lab.models.sizes import PRESETS, electra_configs, preset_sizes
from electra_lab.tasks.detection import ConversationAnomalyDetection
from experiments.timing import Cost, in_turn, markdown, spread
from experiments.windows_to_time import MESSAGES, STRIDE, made_up_windows, runs, ways, windows_of

DENSE = "sdpa"  # as transformers calls its usual attention
COLUMNS = ("windows", "precision", "windows/s", f"messages/s, stride {STRIDE}", "padding")
TOLERANCE = 1e-4  # of logits in fp32: rounding gives 1e-6 to 1e-5, a window that sees another or its padding 1e-2


class PaddedBackbone(Backbone):
    """The encoder on padded windows, whatever it can do.

    Args:
        encoder: as Hugging Face has it.
        length: tokens of every padded window; None: as many as the longest of the batch has.
    """

    def __init__(self, encoder: PreTrainedModel, length: int | None) -> None:
        encoder.set_attn_implementation(DENSE)
        super().__init__(encoder)
        self.length = length

    def forward(self, input_ids: Tensor, position_ids: Tensor, cu_seq_lens: Tensor, max_length: int) -> Tensor:
        """Hidden states (T, hidden)."""
        return self._padded(input_ids, position_ids, cu_seq_lens, self.length or max_length)


class Variant(NamedTuple):
    """One way to give windows to the encoder."""

    name: str
    precision: str  # fp32 or bf16
    backbone: Backbone  # around the encoder that all share
    attention: str  # as transformers calls it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `experiments.speed detection`."""
    parser.add_argument("--preset", default="base", choices=PRESETS)
    parser.add_argument("--batch", type=int, default=16, help="windows of a batch")
    parser.add_argument("--length", type=int, default=512, help="tokens that windows are padded to")
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--training", action="store_true", help="training steps instead of prediction")
    parser.add_argument("--batching", action="store_true", help="ways to put windows together, instead")
    parser.add_argument("--paths", nargs="+", help="conversations to cut windows from; made up if not given")
    parser.add_argument("--tokenizer", help="for --paths; trained on them if not given")
    parser.add_argument("--vocabulary", type=int, default=35_000, help="of made-up windows, or to train for")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1, help="batches of a variant in a round")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])


def measure(options: argparse.Namespace) -> str:
    """The table.

    Raises:
        ValueError: packed and padded windows do not give the same.
    """
    device = torch.device(options.device)
    number, vocabulary = options.batch * options.steps, options.vocabulary
    if options.paths:
        windows, vocabulary = windows_of(options.paths, options.tokenizer, vocabulary, number, options.length)
    else:
        windows = made_up_windows(number, vocabulary, options.length)
    torch.manual_seed(0)
    config = electra_configs(preset_sizes(options.preset), vocabulary)[1]
    detector = Detector(backbone_from_config(config)).to(device).eval()
    lengths = np.array([len(window.input_ids) for window in windows])
    heading = (
        f"{len(windows)} windows of {lengths.mean():.0f} tokens (95 % have at most {np.quantile(lengths, 0.95):.0f}), "
        f"{options.preset}, V = {vocabulary:,}, {torch.get_num_threads()} threads\n"
    )
    return f"{heading}\n{(_batching if options.batching else _wirings)(detector, windows, options)}"


def variants_of(detector: Detector, precisions: Sequence[str], length: int) -> list[Variant]:
    """Packed, padded to the longest and padded to a fixed length, in every precision; all share the weights."""
    encoder = detector.backbone.encoder
    wirings = (
        ("packed", detector.backbone, PACKED),
        ("padded to the longest", PaddedBackbone(encoder, None), DENSE),
        (f"padded to {length}", PaddedBackbone(encoder, length), DENSE),
    )
    return [
        Variant(name, precision, backbone, attention)
        for precision in precisions
        for name, backbone, attention in wirings
    ]


def predict(detector: Detector, variant: Variant, batches: Sequence[ConversationBatch]) -> list[Detection]:
    """What the detector says about each batch."""
    with torch.inference_mode():
        return [_forward(detector, variant, batch) for batch in batches]


def train(
    task: ConversationAnomalyDetection, optimizer: Optimizer, variant: Variant, batches: Sequence[ConversationBatch]
) -> None:
    """An optimizer step for each batch."""
    assert task.detector is not None
    for batch in batches:
        terms = task.terms(batch, _forward(task.detector, variant, batch))
        torch.stack([values.mean() for values in terms.values()]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def batch_of(windows: Sequence[EncodedWindow], device: torch.device) -> ConversationBatch:
    """The windows packed; every second one has an anomalous message."""
    counts = [int(window.message_of_token.max()) + 1 for window in windows]
    labels = [[number % 2, *[0] * (count - 1)] for number, count in enumerate(counts)]
    batch = pack(windows, labels, labels, range(len(windows)))
    return ConversationBatch._make(part.to(device) if isinstance(part, Tensor) else part for part in batch)


def difference(found: Sequence[Detection], expected: Sequence[Detection]) -> float:
    """The largest of all differences between two sets of logits."""
    pairs = zip(found, expected, strict=True)
    return max(float((a - b).abs().max()) for two in pairs for a, b in zip(*(d[:2] for d in two), strict=True))


def _forward(detector: Detector, variant: Variant, batch: ConversationBatch) -> Detection:
    detector.backbone = variant.backbone
    variant.backbone.encoder.set_attn_implementation(variant.attention)
    with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=variant.precision == "bf16"):
        return detector(batch)


def _wirings(detector: Detector, windows: Sequence[EncodedWindow], options: argparse.Namespace) -> str:
    device = torch.device(options.device)
    variants = variants_of(detector, options.precision, options.length)
    batches = _batches(windows, runs(np.arange(len(windows)), options.batch), device)
    found = [predict(detector, variant, batches) for variant in variants]
    reference = {variant.precision: index for index, variant in enumerate(variants)}  # the last one of each
    apart = [difference(one, found[reference[variant.precision]]) for one, variant in zip(found, variants, strict=True)]
    wrong = [by for by, variant in zip(apart, variants, strict=True) if variant.precision == "fp32" and by > TOLERANCE]
    if wrong:
        raise ValueError(f"fp32 logits differ by {max(wrong):.1e} from those of padded windows: speed means nothing")
    step: Callable[[Variant, Sequence[ConversationBatch]], object] = partial(predict, detector)
    if options.training:
        task = ConversationAnomalyDetection(backbone="")
        task.detector = detector.train()
        step = partial(train, task, optim.adamw(optim.parameter_groups(detector, 0.01), 2e-5))
    costs = in_turn([partial(step, variant, batches) for variant in variants], options.rounds, device)
    num_messages = sum(len(batch.window_of_message) for batch in batches)
    rows = [
        [
            variant.name,
            variant.precision,
            spread([len(windows) / row[index].seconds for row in costs], ".2f"),
            f"{num_messages * STRIDE / MESSAGES / median(row[index].seconds for row in costs):.1f}",
            f"{padding(variant, batches):.0%}",
            _times_as_fast(costs, index, reference[variant.precision]),
            _times_as_fast(costs, index, reference.get("fp32", index)),
            "" if index == reference[variant.precision] else f"{apart[index]:.1e}",
            f"{max(row[index].memory for row in costs) / 2**30:.2f}",
        ]
        for index, variant in enumerate(variants)
    ]
    fixed = f"padded to {options.length}"
    columns = [*COLUMNS, f"times {fixed}", f"times {fixed}, fp32", "largest difference", "memory beyond weights, GiB"]
    return markdown(columns, rows)


def _batching(detector: Detector, windows: Sequence[EncodedWindow], options: argparse.Namespace) -> str:
    """Prediction with the same windows in other company; all beside packed batches of a fixed number, as they come."""
    device = torch.device(options.device)
    lengths = np.array([len(window.input_ids) for window in windows])
    packed, longest, _ = variants_of(detector, options.precision[:1], options.length)
    put = ways(lengths, options.batch)
    rows = [(packed, name) for name in put] + [(longest, name) for name in list(put)[:2]]
    works = [partial(predict, detector, variant, _batches(windows, put[name], device)) for variant, name in rows]
    costs = in_turn(works, options.rounds, device)
    cells = [
        [
            name,
            variant.name,
            variant.precision,
            spread([len(windows) / row[index].seconds for row in costs], ".2f"),
            _times_as_fast(costs, index, 0),
        ]
        for index, (variant, name) in enumerate(rows)
    ]
    return markdown(["a batch", "windows", "precision", "windows/s", f"times {rows[0][1]}"], cells)


def _batches(
    windows: Sequence[EncodedWindow], together: Sequence[NDArray[np.int64]], device: torch.device
) -> list[ConversationBatch]:
    return [batch_of([windows[index] for index in indices.tolist()], device) for indices in together]


def padding(variant: Variant, batches: Sequence[ConversationBatch]) -> float:
    """The share of all places that holds no token."""
    if not isinstance(variant.backbone, PaddedBackbone):
        return 0.0
    length = variant.backbone.length
    places = sum(len(batch.window_labels) * (length or batch.max_length) for batch in batches)
    return 1 - sum(len(batch.input_ids) for batch in batches) / places


def _times_as_fast(costs: Sequence[Sequence[Cost]], index: int, other: int) -> str:
    return "" if index == other else spread([row[other].seconds / row[index].seconds for row in costs], ".2f")
