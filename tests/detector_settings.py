"""Settings of a detector that tests save, load and change, and the batch fields of one that reads no n-grams."""

import hashlib
import json
from pathlib import Path

import torch

from electra_lab.bundle import SETTINGS_FILE, DetectorSettings

SETTINGS = DetectorSettings(
    window=10,
    stride=5,
    max_length=128,
    context="window",
    num_speakers=2,
    dropout=0.3,
    pooling="attention",
    ngrams=False,
    temperatures={"window": 1.0, "message": 1.0, "conversation": 1.0},
    thresholds={"window": 0.5, "message": 0.45, "conversation": 0.55},
    review_thresholds={"window": 0.5, "message": 0.4, "conversation": 0.5},
    threshold_policy="max_f1",
    decision="max",
    trained_on="made-up conversations",
    backbone="tiny",
    steps=5,
)

NO_NGRAMS = {
    "ngram_ids": torch.zeros(0, dtype=torch.int64),
    "ngram_weights": torch.zeros(0),
    "message_of_ngram": torch.zeros(0, dtype=torch.int64),
}


def change_record(folder: Path, **settings: object) -> None:
    """Change settings of a detector folder, and make the hashes fit what lies there: a folder put together wrongly."""
    record = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    record["settings"].update(settings)
    record["sha256"] = {name: sha256_of(folder / name) for name in record["sha256"]}
    (folder / SETTINGS_FILE).write_text(json.dumps(record), encoding="utf-8")


def sha256_of(path: Path) -> str:
    """In hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
