"""Settings of a detector that tests save and load, and the batch fields of one that reads no n-grams."""

import torch

from electra_lab.bundle import DetectorSettings

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
