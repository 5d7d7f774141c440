"""How fast chat exports become a report, stage by stage, beside their windows padded to 512 tokens, 16 at once.

    python -m experiments.speed prediction --paths FOLDER --tokenizer ENCODER --rounds 3

The stages are those of `electra-lab predict`; the detector has an encoder of a preset's shape with random weights, on
which the time does not depend. The reference is that encoder on padded windows alone, nothing read and nothing written.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from electra_lab.bundle import MADE_UP, DetectorSettings
from electra_lab.data.conversation import Conversation, speaker_indices
from electra_lab.data.encoding import EncodedWindow
from electra_lab.data.exports import read_files
from electra_lab.data.exports.chat import Chat, Options
from electra_lab.decisions import LEVELS
from electra_lab.inference import ConversationPrediction, TrainedDetector
from electra_lab.models.backbone import backbone_from_config
from electra_lab.models.detector import Detector
from electra_lab.models.sizes import PRESETS, electra_configs, preset_sizes
from electra_lab.results import judged, result
from electra_lab.serving import scored
from electra_lab.tokenizer import load_tokenizer
from experiments.detection_speed import batch_of, predict, variants_of
from experiments.timing import markdown, seconds_of, spread

LENGTH, AT_ONCE = 512, 16  # tokens and windows of the reference's batches


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `experiments.speed prediction`."""
    parser.add_argument("--paths", nargs="+", required=True, help="chat exports")
    parser.add_argument("--tokenizer", required=True, help="name or folder")
    parser.add_argument("--preset", default="base", choices=PRESETS)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])


def measure(options: argparse.Namespace) -> str:
    """The table."""
    device = torch.device(options.device)
    model = random_detector(options.tokenizer, options.preset).to(device).eval()
    readings = list(read_files(options.paths, Options()))
    chats = [chat for reading in readings for chat in reading.chats]
    predictions = [prediction for _, prediction in scored(model, _pairs(chats), [device], options.precision)]
    num_messages = sum(len(chat.messages) for chat in chats)
    windows = _windows(model, chats)
    num_tokens = sum(len(window.input_ids) for window in windows) / len(windows)

    with tempfile.TemporaryDirectory() as folder:
        stages: dict[str, Callable[[], object]] = {
            "read": lambda: list(read_files(options.paths, Options())),
            "score": lambda: list(scored(model, _pairs(chats), [device], options.precision)),
            "write the results": lambda: _write(Path(folder), chats, predictions),
            f"reference: padded to {LENGTH}, {AT_ONCE} windows at once": _padded(model, windows, options.precision),
        }
        rounds = [[seconds_of(stage, device) for stage in stages.values()] for _ in range(options.rounds)]
    *ours, reference = zip(*rounds, strict=True)
    together = [sum(seconds) for seconds in zip(*ours, strict=True)]
    times = [slow / fast for slow, fast in zip(reference, together, strict=True)]
    rows = [
        (name, spread(seconds, ".2f"), f"{num_messages / median(seconds):.0f}")
        for name, seconds in zip([*stages, "ours together"], [*ours, reference, together], strict=True)
    ]
    heading = (
        f"{len(chats)} conversations, {num_messages} messages, {len(windows)} windows of {num_tokens:.0f} tokens, "
        f"{options.preset}, {options.precision}, {torch.get_num_threads()} threads; "
        f"ours is {spread(times, '.2f')} times the reference\n"
    )
    return f"{heading}\n{markdown(('stage', 'seconds', 'messages/s'), rows)}"


def random_detector(tokenizer_name: str, preset: str) -> TrainedDetector:
    """A detector of random weights, with the settings that `finetune` has by default."""
    torch.manual_seed(0)
    tokenizer = load_tokenizer(tokenizer_name, 2)
    config = electra_configs(preset_sizes(preset), len(tokenizer))[1]
    settings = DetectorSettings(
        window=10,
        stride=5,
        max_length=LENGTH,
        context="window",
        num_speakers=2,
        dropout=0.0,
        pooling="attention",
        ngrams=False,
        temperatures=dict.fromkeys(LEVELS, 1.0),
        thresholds=dict.fromkeys(LEVELS, 0.5),
        review_thresholds=dict.fromkeys(LEVELS, 0.4),
        threshold_policy="max_f1",
        decision="max",
        trained_on=MADE_UP,
        backbone=preset,
        steps=1,
    )
    return TrainedDetector(Detector(backbone_from_config(config)), tokenizer, settings)


def _pairs(chats: list[Chat]) -> list[tuple[Chat, Conversation]]:
    return [(chat, judged(chat)) for chat in chats]


def _write(folder: Path, chats: list[Chat], predictions: list[ConversationPrediction | None]) -> None:
    with (folder / "results.jsonl").open("w", encoding="utf-8") as file:
        for chat, prediction in zip(chats, predictions, strict=True):
            file.write(json.dumps(result(chat, prediction), ensure_ascii=False) + "\n")


def _windows(model: TrainedDetector, chats: list[Chat]) -> list[EncodedWindow]:
    windows = []
    for _, conversation in _pairs(chats):
        ids = model.encoder.encode_texts([message.text for message in conversation.messages])
        speakers = speaker_indices(conversation)
        bounds = model.encoder.windows(ids)
        windows += [model.encoder.encode_window(ids[start:end], speakers[start:end]) for start, end in bounds]
    return windows


def _padded(model: TrainedDetector, windows: list[EncodedWindow], precision: str) -> Callable[[], object]:
    """All windows of all conversations, as earlier work had them."""
    device = next(model.parameters()).device
    batches = [batch_of(windows[first : first + AT_ONCE], device) for first in range(0, len(windows), AT_ONCE)]

    def work() -> None:
        packed, _, padded = variants_of(model.detector, [precision], LENGTH)
        predict(model.detector, padded, batches)
        model.detector.backbone = packed.backbone
        packed.backbone.encoder.set_attn_implementation(packed.attention)

    return work
