"""Folders of tiny random detectors, and windows of made-up messages that they read."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import torch

from electra_lab.batches import ConversationBatch
from electra_lab.bundle import save_detector
from electra_lab.data.encoding import ConversationEncoder, pack_unlabelled
from electra_lab.data.synthetic import conversations
from electra_lab.models.backbone import backbone_from_config
from electra_lab.models.detector import Detector
from electra_lab.tokenizer import load_tokenizer
from tests.detector_settings import SETTINGS
from tests.test_families import config_of, tokenizer_of

TEXTS = [message.text for conversation in conversations(24, seed=3) for message in conversation.messages]


def saved_detector(folder: Path, family: str = "electra", pooling: str = "attention", **settings: object) -> Path:
    """The folder of an untrained detector that says it was trained; one of its family, with these settings."""
    tokenizer_of(family, TEXTS).save_pretrained(folder / "tokenizer")
    tokenizer = load_tokenizer(str(folder / "tokenizer"), 2)
    wanted = dataclasses.replace(SETTINGS, pooling=pooling, **settings)  # type: ignore[arg-type]
    torch.manual_seed(0)
    detector = Detector(backbone_from_config(config_of(family, len(tokenizer))), 0.3, pooling, wanted.ngrams)
    with torch.no_grad():
        for parameter in detector.parameters():  # large enough that a mistake is no rounding
            parameter.mul_(3 if parameter.dim() > 1 else 1)
        if detector.ngrams is not None:
            detector.ngrams.weight.normal_()
    save_detector(detector.eval(), tokenizer, wanted, folder / "detector")
    return folder / "detector"


def batch_of(encoder: ConversationEncoder, counts: list[int]) -> ConversationBatch:
    """Windows of so many messages each, the speakers in turn."""
    ends = torch.tensor([0, *counts]).cumsum(0).tolist()
    texts = TEXTS[: ends[-1]]
    ids = encoder.encode_texts(texts)
    return pack_unlabelled(encoder, texts, ids, [place % 2 for place in range(len(texts))], list(pairwise(ends)))
