"""A text classifier fine-tuned from an encoder as published: dropout and one linear layer on [CLS].

google-research/electra finetune/classification/classification_tasks.py:218-275 (the head), configure_finetuning.py
(warmup over a tenth of the steps, then linear decay; dropout .1). B texts, L tokens.
"""

import copy
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from electra_lab import optim
from electra_lab.data.documents import open_text
from electra_lab.data.text import for_model

DROPOUT = 0.1  # of the head; the encoder brings its own
_POOL = 50  # batches that are sorted by length together


class Texts(NamedTuple):
    """Labelled texts as they are in a file."""

    texts: list[str]
    labels: list[int]  # 0 or 1

    def at(self, rows: Sequence[int]) -> "Texts":
        """Some of them, in this order."""
        return Texts([self.texts[row] for row in rows], [self.labels[row] for row in rows])


class Examples(NamedTuple):
    """The same as token ids with [CLS] and [SEP]."""

    input_ids: list[list[int]]
    labels: list[int]
    pad: int  # id of [PAD]


class Fitted(NamedTuple):
    """A classifier at its best epoch."""

    classifier: "Classifier"
    epoch: int  # from 1
    accuracy: float  # on the validation examples


class Classifier(nn.Module):
    """An encoder with dropout and one linear layer on the state of [CLS]; gives (B, 2)."""

    def __init__(self, encoder: PreTrainedModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(encoder.config.hidden_size, 2)
        nn.init.trunc_normal_(self.output.weight, std=0.02, a=-0.04, b=0.04)
        nn.init.zeros_(self.output.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Both (B, L)."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (B, L, hidden)
        return self.output(self.dropout(hidden[:, 0]))


def read_texts(path: Path) -> Texts:
    """A table with tabs between its columns id, document and label (0 or 1), named in the first line; .gz and .xz too.

    Raises:
        ValueError: a row that cannot be used, with its line; never with its text.
    """
    texts, labels = [], []
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            cells = line.rstrip("\r\n").split("\t")
            if number == 1:
                if cells != ["id", "document", "label"]:
                    raise ValueError(f"{path}, line 1: expected the column names id, document, label with tabs between")
                continue
            if len(cells) != 3:
                raise ValueError(f"{path}, line {number}: expected 3 columns (id, document, label), found {len(cells)}")
            if cells[2] not in ("0", "1"):
                raise ValueError(f"{path}, line {number}: the label, the third column, must be 0 or 1")
            texts.append(for_model(cells[1]))
            labels.append(int(cells[2]))
    return Texts(texts, labels)


def encode(texts: Texts, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Examples:
    """Token ids with [CLS] and [SEP], cut to `max_length`."""
    ids = tokenizer(texts.texts, truncation=True, max_length=max_length, add_special_tokens=True)["input_ids"]
    return Examples(ids, texts.labels, int(tokenizer.pad_token_id))


def fit(
    encoder: PreTrainedModel,
    train: Examples,
    validation: Examples,
    learning_rate: float,
    epochs: int,
    batch_size: int,
    seed: int,
) -> Fitted:
    """Fine-tune a copy of the encoder; the epoch with the best validation accuracy is kept.

    The same seed gives the same head, order and dropout for every encoder of the same sizes.
    """
    torch.manual_seed(seed)
    classifier = Classifier(copy.deepcopy(encoder))
    optimizer = optim.adamw(optim.parameter_groups(classifier, 0.01), learning_rate)
    total = epochs * math.ceil(len(train.labels) / batch_size)
    schedule = LambdaLR(optimizer, lambda step: optim.linear(step, total // 10, total))
    order = random.Random(seed)
    best: tuple[float, int, dict[str, Tensor]] = (-1.0, 0, {})
    for epoch in range(1, epochs + 1):
        classifier.train()
        for rows in _training_batches(train, batch_size, order):
            loss = cross_entropy(classifier(*_padded(train, rows)), torch.tensor([train.labels[row] for row in rows]))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(classifier.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        reached = accuracy(classifier, validation)
        if reached > best[0]:
            best = (reached, epoch, copy.deepcopy(classifier.state_dict()))
    classifier.load_state_dict(best[2])
    return Fitted(classifier, best[1], best[0])


def accuracy(classifier: Classifier, examples: Examples, batch_size: int = 128) -> float:
    """Share of the examples that are classified rightly."""
    classifier.eval()
    by_length = sorted(range(len(examples.labels)), key=lambda row: len(examples.input_ids[row]))
    right = 0
    with torch.inference_mode():
        for rows in _cut(by_length, batch_size):
            labels = torch.tensor([examples.labels[row] for row in rows])
            right += int((classifier(*_padded(examples, rows)).argmax(dim=-1) == labels).sum())
    return right / len(examples.labels)


def _training_batches(examples: Examples, batch_size: int, order: random.Random) -> Iterator[list[int]]:
    """Shuffled batches of texts of similar length: shuffled, sorted within pools, shuffled again as batches."""
    rows = list(range(len(examples.labels)))
    order.shuffle(rows)
    batches = []
    for pool in _cut(rows, _POOL * batch_size):
        batches += _cut(sorted(pool, key=lambda row: len(examples.input_ids[row])), batch_size)
    order.shuffle(batches)
    yield from batches


def _padded(examples: Examples, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Ids and attention mask, (B, L) with the L of the longest."""
    ids = [examples.input_ids[row] for row in rows]
    length = max(map(len, ids))
    padded = torch.tensor([row + [examples.pad] * (length - len(row)) for row in ids])
    return padded, (torch.arange(length) < torch.tensor([len(row) for row in ids])[:, None]).long()


def _cut(rows: list[int], size: int) -> list[list[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
