"""Which conversations train, validate and test: always whole conversations, decided before any window is cut.

Windows overlap, so a split of windows would put half of each test window into training.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from electra_lab.data.conversation import Conversation
from electra_lab.data.formats.strict_json import decoded, parsed
from electra_lab.data.text import for_model


class Splits(NamedTuple):
    """Indices of conversations; a conversation may be in none."""

    train: list[int]
    validation: list[int]
    test: list[int]


def grouped(conversations: Sequence[Conversation], validation: float, test: float, seed: int) -> Splits:
    """At random, with the same share of anomalous conversations everywhere; equal conversations stay together.

    Raises:
        ValueError: too few conversations for three parts.
    """
    groups: dict[bytes, list[int]] = {}
    for index, conversation in enumerate(conversations):
        groups.setdefault(content_key(conversation), []).append(index)
    rng = np.random.default_rng(seed)
    splits = Splits([], [], [])
    for anomalous in (False, True):
        stratum = [group for group in groups.values() if any(conversations[i].is_anomalous for i in group) is anomalous]
        num_test, num_validation = _counts(len(stratum), validation, test)
        for place, number in enumerate(rng.permutation(len(stratum)).tolist()):
            part = "test" if place < num_test else "validation" if place < num_test + num_validation else "train"
            getattr(splits, part).extend(stratum[number])
    return _complete(Splits(*map(sorted, splits)), len(conversations))


def contiguous(conversations: Sequence[Conversation], validation: float, test: float, gap: int) -> Splits:
    """One run of neighbours each, for files that continue each other; `gap` conversations between are left out.

    A conversation that is word for word in an earlier part is left out as well.

    Raises:
        ValueError: too few conversations for three parts.
    """
    num_test, num_validation = _counts(len(conversations), validation, test)
    first_test = len(conversations) - num_test
    first_validation = first_test - gap - num_validation
    parts = (
        range(max(0, first_validation - gap)),
        range(max(0, first_validation), max(0, first_test - gap)),
        range(first_test, len(conversations)),
    )
    seen: dict[bytes, int] = {}
    splits = Splits([], [], [])
    for number, part in enumerate(parts):
        for index in part:
            if seen.setdefault(content_key(conversations[index]), number) == number:
                splits[number].append(index)
    return _complete(splits, len(conversations))


def content_key(conversation: Conversation) -> bytes:
    """The same for conversations with the same texts, however they are encoded and whoever is said to write."""
    texts = "\0".join(for_model(message.text).strip() for message in conversation.messages)
    return hashlib.blake2b(texts.encode(), digest_size=16).digest()


def assert_no_leakage(splits: Splits, conversations: Sequence[Conversation]) -> None:
    """Refuse splits in which a conversation, by place, id or content, is in two parts.

    Raises:
        ValueError: which one.
    """
    _index_of_id(conversations)
    seen: dict[bytes, tuple[str, str]] = {}
    for name, indices in splits._asdict().items():
        for index in indices:
            conversation = conversations[index]
            other, other_id = seen.setdefault(content_key(conversation), (name, conversation.id))
            if other != name:
                raise ValueError(
                    f"conversation {conversation.id} of {name} is also in {other}, there as {other_id}; "
                    "use the split 'grouped', which keeps equal conversations together, or leave one out"
                )


def save(splits: Splits, conversations: Sequence[Conversation], path: Path) -> None:
    """Write the splits by conversation id, so that they hold wherever the files lie."""
    _index_of_id(conversations)
    ids = {name: [conversations[index].id for index in indices] for name, indices in splits._asdict().items()}
    path.write_text(json.dumps(ids, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def load(path: Path, conversations: Sequence[Conversation]) -> Splits:
    """Read splits that `save` wrote; conversations that are not in them are in no part.

    Raises:
        ValueError: not such a file, or an id that the conversations lack.
    """
    ids = parsed(decoded(path.read_bytes(), path), path)
    if not isinstance(ids, dict) or sorted(ids) != sorted(Splits._fields):
        raise ValueError(f"{path}: expected an object with the keys train, validation and test, each a list of ids")
    index_of_id = _index_of_id(conversations)
    for name in Splits._fields:
        if missing := [identity for identity in ids[name] if identity not in index_of_id]:
            raise ValueError(
                f"{path}: {len(missing)} conversations of {name} are not in the data, the first is {missing[0]}"
            )
    return Splits(*([index_of_id[identity] for identity in ids[name]] for name in Splits._fields))


def _counts(total: int, validation: float, test: float) -> tuple[int, int]:
    """How many of `total` test and validate; of three or more at least one each, of fewer none."""
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise ValueError(
            f"validation_share {validation} and test_share {test} must be above 0 and leave something to train on"
        )
    if total < len(Splits._fields):
        return 0, 0
    return max(1, round(test * total)), max(1, round(validation * total))


def _complete(splits: Splits, num_conversations: int) -> Splits:
    for name, indices in splits._asdict().items():
        if not indices:
            raise ValueError(f"{num_conversations} conversations are too few to split: none is left for {name}")
    return splits


def _index_of_id(conversations: Sequence[Conversation]) -> dict[str, int]:
    index_of_id: dict[str, int] = {}
    for index, conversation in enumerate(conversations):
        first = conversations[index_of_id.setdefault(conversation.id, index)]
        if first is not conversation:
            raise ValueError(
                f"two conversations have the id {conversation.id}: one in {first.path}, one in {conversation.path}; "
                "give each its own, or leave one out"
            )
    return index_of_id
