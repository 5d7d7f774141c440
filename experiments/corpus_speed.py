"""What a corpus costs before a detector sees it, and in a tiny detector: seconds of every stage, memory, growth.

    python -m experiments.speed corpus --paths FOLDER

As many conversations as the NIKL Messenger corpus has (version 2: 3,836 of 691,535 messages) are made up of the words
of `--paths`, or of synthetic ones, written in its schema and then taken the way `finetune` takes them. A quarter, half
and all of them, each in a process of its own, so that the memory is that of one size; twice the messages should take
twice the time.
"""

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from electra_lab.data import synthetic
from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.encoding import ConversationEncoder
from electra_lab.data.formats import read_conversations
from electra_lab.data.labelled_windows import LabelledWindows
from electra_lab.data.order import in_order
from electra_lab.data.related import related
from electra_lab.data.splits import assert_no_leakage, grouped
from electra_lab.data.wordpiece import NUM_SPEAKERS, train_wordpiece
from electra_lab.models.backbone import backbone_from_config
from electra_lab.models.detector import Detector
from electra_lab.models.sizes import electra_configs, preset_sizes
from electra_lab.tokenizer import load_tokenizer
from experiments.timing import markdown, resident

CONVERSATIONS, MESSAGES = 3_836, 691_535  # of NIKL Messenger, version 2
NARROW: dict[str, float] = {
    "num_layers": 1,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "embedding_size": 32,
}
SCORING = "make batches, score with one layer of 32"
PARTS = 4  # the smallest size is all / PARTS
_WINDOWS = 32  # of a batch
_ANOMALOUS = 0.01  # of the messages

Stages = dict[str, tuple[float, int]]  # seconds, and bytes at the peak so far


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `experiments.speed corpus`."""
    parser.add_argument("--paths", nargs="+", help="conversations to take words from; made up if not given")
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS)
    parser.add_argument("--messages", type=int, default=MESSAGES, help="in all of them")
    parser.add_argument("--tokenizer", help="trained on --paths if not given")
    parser.add_argument("--vocabulary", type=int, default=35_000, help="to train for")


def measure(options: argparse.Namespace) -> str:
    """The table."""
    known = list(read_conversations(options.paths)) if options.paths else synthetic.conversations()
    texts = [message.text for conversation in known for message in conversation.messages]
    with TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = options.tokenizer or str(folder / "tokenizer")
        if not options.tokenizer:
            train_wordpiece(texts, options.vocabulary, Path(tokenizer))
        made = made_up(texts, options.conversations, options.messages)
        files = [written(conversation, folder) for conversation in made]
        sizes = [len(files) * share // PARTS for share in (1, 2, PARTS)]
        measured = [_alone(files[:size], tokenizer) for size in sizes]
        megabytes = sum(Path(file).stat().st_size for file in files) / 1e6
    messages = [sum(len(conversation.messages) for conversation in made[:size]) for size in sizes]
    heading = f"{len(files):,} conversations, {messages[-1]:,} messages, {megabytes:.0f} MB in files\n"
    return f"{heading}\n{_table(messages, measured)}"


def made_up(texts: Sequence[str], num_conversations: int, num_messages: int) -> list[Conversation]:
    """Conversations of equal lengths, of messages as long as these texts and of their words, in any order.

    Whole texts again and again would make every conversation the relative of every other.
    """
    rng = np.random.default_rng(0)
    words = np.array([word for text in texts for word in text.split()], dtype=object)
    lengths = np.array([len(text.split()) for text in texts if text.strip()])
    ends = np.linspace(0, num_messages, num_conversations + 1).round().astype(int)
    made = []
    for number, count in enumerate(np.diff(ends).tolist()):
        counts = rng.choice(lengths, count)
        drawn = np.split(rng.choice(words, counts.sum()), np.cumsum(counts)[:-1])
        labels = (rng.random(count) < _ANOMALOUS).astype(int).tolist()
        messages = (
            Message(" ".join(some), str(index % 2 + 1), label)
            for index, (some, label) in enumerate(zip(drawn, labels, strict=True))
        )
        made.append(Conversation(f"made-up-{number:06d}", tuple(messages)))
    return made


def stages(files: Sequence[str], tokenizer_name: str) -> Stages:
    """Do everything with these files, and say what it took."""
    done: Stages = {}
    start = time.perf_counter()

    def finished(stage: str) -> None:
        nonlocal start
        done[stage] = time.perf_counter() - start, resident()
        start = time.perf_counter()

    conversations = list(read_conversations(list(files)))
    finished("read")
    groups = related(conversations)
    splits = grouped(conversations, 0.15, 0.15, 0, groups)
    assert_no_leakage(splits, conversations, groups)
    finished("split")
    tokenizer = load_tokenizer(tokenizer_name, NUM_SPEAKERS)
    encoder = ConversationEncoder(tokenizer, num_speakers=NUM_SPEAKERS)
    parts = [LabelledWindows([conversations[index] for index in indices], encoder) for indices in splits]
    finished("tokenise, cut into windows")
    for windows in parts:
        for key in in_order(len(windows), _WINDOWS):
            windows[key]
    finished("make batches")
    config = electra_configs(preset_sizes("tiny", NARROW), len(tokenizer))[1]
    detector = Detector(backbone_from_config(config)).eval()
    with torch.inference_mode():
        logits = [
            detector(windows[key]).message_logits for windows in parts for key in in_order(len(windows), _WINDOWS)
        ]
    assert sum(map(len, logits)) >= sum(len(conversation.messages) for conversation in conversations)
    finished(SCORING)
    return done


def written(conversation: Conversation, folder: Path) -> str:
    """A file with the keys of the NIKL Messenger corpus and a label on every message; its path."""
    utterances = [
        {
            "id": f"{conversation.id}.1.{number}",
            "form": message.text,
            "original_form": message.text,
            "speaker_id": message.speaker,
            "time": "2021-01-01 00:00",
            "label": message.label,
        }
        for number, message in enumerate(conversation.messages, start=1)
    ]
    content = {"id": conversation.id, "document": [{"id": f"{conversation.id}.1", "utterance": utterances}]}
    path = folder / f"{conversation.id}.json"
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    return str(path)


def _alone(files: Sequence[str], tokenizer: str) -> Stages:
    """In a new process: the largest memory of a process never falls again."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(stages, files, tokenizer).result()


def _table(messages: Sequence[int], measured: Sequence[Stages]) -> str:
    """A row for every stage, and for all before the detector."""
    before = [stage for stage in measured[0] if stage != SCORING]
    seconds = {stage: [sizes[stage][0] for sizes in measured] for stage in measured[0]}
    seconds["all before the detector"] = [sum(sizes[stage][0] for stage in before) for sizes in measured]
    peaks = {stage: peak for stage, (_, peak) in measured[-1].items()}
    rows = [
        [
            stage,
            *(f"{value:.1f}" for value in values),
            " ".join(f"{more / less:.2f}" for less, more in pairwise(values)),
            f"{peaks.get(stage, peaks[before[-1]]) / 2**30:.2f}",
        ]
        for stage, values in seconds.items()
    ]
    columns = ["seconds", *(f"{number:,} messages" for number in messages), "for twice as many, times"]
    return markdown([*columns, "memory at the peak so far, GiB"], rows)
