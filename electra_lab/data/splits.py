"""Which conversations train, validate and test: always whole conversations, decided before any window is cut.

Windows overlap, so a split of windows would put half of each test window into training; `windows` does so all the
same, to show what figures that gives.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from electra_lab.data.conversation import Conversation
from electra_lab.data.formats.strict_json import read_json
from electra_lab.data.related import related
from electra_lab.data.windows import window_bounds


class Splits(NamedTuple):
    """Indices of conversations; a conversation may be in none."""

    train: list[int]
    validation: list[int]
    test: list[int]


def grouped(
    conversations: Sequence[Conversation],
    validation: float,
    test: float,
    seed: int,
    groups: Sequence[int] | None = None,
) -> Splits:
    """At random, with the same share of anomalous conversations everywhere; related conversations stay together.

    Args:
        conversations: All of them.
        validation: Share of the conversations.
        test: Share of the conversations.
        seed: The same seed gives the same parts.
        groups: What `related` says of the conversations, if that is known already.

    Raises:
        ValueError: too few conversations for three parts.
    """
    members: dict[int, list[int]] = {}
    for index, group in enumerate(related(conversations) if groups is None else groups):
        members.setdefault(group, []).append(index)
    rng = np.random.default_rng(seed)
    splits = Splits([], [], [])
    for anomalous in (False, True):
        stratum = [some for some in members.values() if any(conversations[i].is_anomalous for i in some) is anomalous]
        num_test, num_validation = _counts(len(stratum), validation, test)
        for place, number in enumerate(rng.permutation(len(stratum)).tolist()):
            part = "test" if place < num_test else "validation" if place < num_test + num_validation else "train"
            getattr(splits, part).extend(stratum[number])
    return _complete(Splits(*map(sorted, splits)), len(conversations))


def contiguous(
    conversations: Sequence[Conversation],
    validation: float,
    test: float,
    gap: int,
    groups: Sequence[int] | None = None,
) -> Splits:
    """One run of neighbours each, for files that continue each other; `gap` conversations between are left out.

    Conversations related to one of the test are left out of the rest, those related to validation out of training.

    Raises:
        ValueError: too few conversations for three parts.
    """
    number = len(conversations)
    num_test, num_validation = _counts(number, validation, test)
    first_test = number - num_test
    first_validation = max(0, first_test - gap - num_validation)
    blocks = range(first_validation, max(0, first_test - gap)), range(first_test, number)
    return _apart(conversations, *blocks, gap, groups)


def fold_of(
    conversations: Sequence[Conversation], fold: int, num_folds: int, gap: int, groups: Sequence[int] | None = None
) -> Splits:
    """A contiguous split of cross-validation: block `fold` of `num_folds` is the test, the next validates.

    The block after the last is the first. Every conversation is in the test of one fold.

    Raises:
        ValueError: no such fold, or too few conversations for three parts.
    """
    if not (num_folds >= len(Splits._fields) and 0 <= fold < num_folds):
        raise ValueError(f"fold {fold} of {num_folds}: there must be 3 folds or more, counted from 0")
    bounds = [round(block * len(conversations) / num_folds) for block in range(num_folds + 1)]
    after = (fold + 1) % num_folds
    validation, test = (range(bounds[block], bounds[block + 1]) for block in (after, fold))
    return _apart(conversations, validation, test, gap, groups)


def shuffled(number: int, validation: float, test: float, seed: int) -> Splits:
    """Anything at random, whatever it shares with others: for windows, as the earlier work had it. It leaks."""
    order = np.random.default_rng(seed).permutation(number).tolist()
    num_test, num_validation = _counts(number, validation, test)
    parts = order[num_test + num_validation :], order[num_test : num_test + num_validation], order[:num_test]
    return _complete(Splits(*map(sorted, parts)), number)


def windows_of(conversations: Iterable[Conversation], size: int, stride: int) -> list[Conversation]:
    """Every window as a conversation of its own, `ID.w1`, `ID.w2`, ...: what `shuffled` is for."""
    return [
        replace(conversation, id=f"{conversation.id}.w{number}", messages=conversation.messages[start:end])
        for conversation in conversations
        for number, (start, end) in enumerate(window_bounds(len(conversation.messages), size, stride), start=1)
    ]


def hold_out(splits: Splits, conversations: Sequence[Conversation], kinds: Iterable[str]) -> Splits:
    """The splits without the conversations that have an inserted message of these kinds, but for those of the test.

    Raises:
        ValueError: a kind that no message is of, or nothing is left of a part.
    """
    held_out = set(kinds)
    kinds_of = [{message.kind for message in conversation.messages} - {None} for conversation in conversations]
    known = set().union(*kinds_of)
    if unknown := held_out - known:
        there = ", ".join(sorted(map(repr, known))) or "none; `electra-lab modify --sources` makes some"
        raise ValueError(f"held_out_kinds: no message is of kind {min(unknown)!r}; there are {there}")
    train, validation = (
        [index for index in part if held_out.isdisjoint(kinds_of[index])] for part in (splits.train, splits.validation)
    )
    return _complete(Splits(train, validation, splits.test), len(conversations))


def assert_no_leakage(
    splits: Splits, conversations: Sequence[Conversation], groups: Sequence[int] | None = None
) -> None:
    """Check that no conversation, by place, id, content or inserted source, is in two parts.

    Raises:
        ValueError: which one.
    """
    _index_of_id(conversations)
    groups = related(conversations) if groups is None else groups
    seen: dict[int, tuple[str, str]] = {}
    for name, indices in splits._asdict().items():
        for index in indices:
            identity = conversations[index].id
            other, other_id = seen.setdefault(groups[index], (name, identity))
            if other != name:
                raise ValueError(
                    f"conversation {identity} of {name} is also in {other}, there as {other_id}: equal, nearly equal "
                    "or with messages from the same source; use the split 'grouped', which keeps such conversations "
                    "together, or leave one out (E120)"
                )


def save(splits: Splits, conversations: Sequence[Conversation], path: Path) -> None:
    """Write the splits by conversation id, so that they hold wherever the files lie."""
    _index_of_id(conversations)
    ids = {name: [conversations[index].id for index in indices] for name, indices in splits._asdict().items()}
    path.write_text(json.dumps(ids, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def load(path: Path, conversations: Sequence[Conversation]) -> Splits:
    """Read splits that `save` wrote; conversations that are not in them are in no part.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, or an id that the conversations lack.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of splits")
    ids = read_json(path)
    if not isinstance(ids, dict) or sorted(ids) != sorted(Splits._fields) or not all(map(_are_ids, ids.values())):
        raise ValueError(f"{path}: expected an object with the keys train, validation and test, each a list of ids")
    index_of_id = _index_of_id(conversations)
    for name in Splits._fields:
        if missing := [identity for identity in ids[name] if identity not in index_of_id]:
            raise ValueError(
                f"{path}: {len(missing)} conversations of {name} are not in the data, the first is {missing[0]}"
            )
    return Splits(*([index_of_id[identity] for identity in ids[name]] for name in Splits._fields))


def _are_ids(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(identity, str) for identity in value)


def _counts(total: int, validation: float, test: float) -> tuple[int, int]:
    """How many of `total` test and validate; of three or more at least one each, of fewer none."""
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise ValueError(
            f"validation_share {validation} and test_share {test} must be above 0 and leave something to train on"
        )
    if total < len(Splits._fields):
        return 0, 0
    return max(1, round(test * total)), max(1, round(validation * total))


def _apart(
    conversations: Sequence[Conversation], validation: range, test: range, gap: int, groups: Sequence[int] | None
) -> Splits:
    """Two runs as they are and all else for training, without what is near to, or related to, what comes before."""
    groups = related(conversations) if groups is None else groups
    splits = Splits([], [], list(test))
    taken, near = {groups[index] for index in test}, _near(test, gap)
    for part, indices in ((splits.validation, validation), (splits.train, range(len(conversations)))):
        part += [index for index in indices if index not in near and groups[index] not in taken]
        taken |= {groups[index] for index in part}
        near |= _near(indices, gap)
    return _complete(splits, len(conversations))


def _near(run: range, gap: int) -> set[int]:
    return set(range(run.start - gap, run.stop + gap))


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
