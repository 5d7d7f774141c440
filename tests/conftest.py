"""Fixtures that several folders share: a tiny encoder laid out like KoELECTRA, nothing downloaded."""

import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["OMP_NUM_THREADS"] = "1"  # the order of sums, and so the last bits, do not depend on the machine's cores

from pathlib import Path

import pytest
import torch
from transformers import ElectraConfig, ElectraForPreTraining

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def korean_vocabulary() -> list[str]:
    """Special tokens, ASCII, compatibility jamo and the 2,350 syllables of KS X 1001, each also as a continuation."""
    syllables = [bytes((high, low)).decode("euc-kr") for high in range(0xB0, 0xC9) for low in range(0xA1, 0xFF)]
    characters = [chr(code) for code in range(0x21, 0x7F)] + [chr(code) for code in range(0x3131, 0x3164)] + syllables
    return SPECIAL + characters + ["##" + character for character in characters]


@pytest.fixture(scope="session")
def koelectra_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder of two layers in the files that `monologg/koelectra-base-v3-discriminator` has."""
    folder = tmp_path_factory.mktemp("koelectra")
    vocabulary = korean_vocabulary()
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False, "model_max_length": 128}))
    config = ElectraConfig(
        vocab_size=len(vocabulary),
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    torch.manual_seed(0)
    model = ElectraForPreTraining(config)
    config.architectures = ["ElectraForPreTraining"]
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


@pytest.fixture(scope="session")
def detector_folder(koelectra_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of two layers in the files that `finetune` leaves."""
    from electra_lab.bundle import save_detector
    from electra_lab.models.backbone import load_backbone
    from electra_lab.models.detector import Detector
    from electra_lab.tokenizer import load_tokenizer
    from tests.detector_settings import SETTINGS

    tokenizer = load_tokenizer(str(koelectra_folder), 2)
    torch.manual_seed(3)
    detector = Detector(load_backbone(str(koelectra_folder), len(tokenizer)))
    for parameter in detector.parameters():  # larger than at the start, so that scores differ visibly
        parameter.data.mul_(2.0)
    folder = tmp_path_factory.mktemp("run") / "detector"
    save_detector(detector, tokenizer, SETTINGS, folder)
    return folder
