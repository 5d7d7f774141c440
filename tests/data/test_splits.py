import json
import unicodedata
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.splits import (
    Splits,
    assert_no_leakage,
    contiguous,
    fold_of,
    grouped,
    hold_out,
    load,
    save,
    shuffled,
    windows_of,
)


def conversation(identity: str, text: str | None = None, label: int = 0) -> Conversation:
    return Conversation(identity, (Message("안녕", "a", 0), Message(text or identity, "b", label)), f"{identity}.json")


MANY = [conversation(f"c{number}", label=int(number % 4 == 0)) for number in range(100)]


def test_grouped_has_the_shares_and_the_strata() -> None:
    splits = grouped(MANY, validation=0.15, test=0.15, seed=0)
    assert [len(part) for part in splits] == [70, 15, 15]
    assert sorted(chain(*splits)) == list(range(100))
    # a quarter is anomalous: round(.15 * 25) = 4 of each 15
    assert [sum(MANY[index].is_anomalous for index in part) for part in splits] == [17, 4, 4]


def test_grouped_depends_on_the_seed_only() -> None:
    assert grouped(MANY, 0.15, 0.15, seed=1) == grouped(MANY, 0.15, 0.15, seed=1) != grouped(MANY, 0.15, 0.15, seed=2)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=20, max_size=60), st.integers(0, 99))
@settings(derandomize=True, max_examples=25, deadline=None)
def test_equal_conversations_stay_together(contents: list[tuple[int, int]], seed: int) -> None:
    conversations = [conversation(f"c{n}", f"text {text}", label) for n, (text, label) in enumerate(contents)]
    try:
        splits = grouped(conversations, 0.2, 0.2, seed)
    except ValueError:
        assert len({text for text, _ in contents}) < 6  # fewer than three of either kind
        return
    assert_no_leakage(splits, conversations)
    assert sorted(chain(*splits)) == list(range(len(conversations)))


def test_contiguous_leaves_gaps() -> None:
    splits = contiguous(MANY, validation=0.2, test=0.2, gap=1)
    assert splits == Splits(list(range(58)), list(range(59, 79)), list(range(80, 100)))


SENTENCE = (
    "처음부터 끝까지 지어낸 꽤 긴 문장이고 아무런 뜻도 없으며 다만 길어야 한다는 조건만 만족하면 충분합니다 "
    "그리고 여기서 이만 끝납니다 안녕히 계십시오"
)


def inserted(identity: str, source: str, kind: str = "threat", label: int = 1) -> Conversation:
    """A conversation with a foreign message."""
    host = conversation(identity)
    return Conversation(identity, (*host.messages, Message(f"{identity} {source}", "a", label, None, source, kind)))


def test_contiguous_leaves_copies_of_the_test_out_of_the_rest() -> None:
    conversations = [
        *(conversation("first", SENTENCE), inserted("second", "x"), conversation("third", SENTENCE[5:])),
        *MANY[3:70],
        *(conversation("copy", "c5"), inserted("validating", "y")),
        *MANY[72:98],
        *(inserted("testing", "x"), conversation("last", SENTENCE.replace("아무런", "어떠한"))),
    ]
    splits = contiguous(conversations, 0.2, 0.2, gap=0)
    assert splits == Splits([3, 4, *range(6, 60)], list(range(60, 80)), list(range(80, 100)))
    assert_no_leakage(splits, conversations)


def test_grouped_keeps_near_copies_and_shared_sources_together() -> None:
    conversations = [
        *MANY,
        *(conversation(f"near{word}", SENTENCE.replace("아무런", word)) for word in ("아무런", "어떠한", "그어떤")),
        *(inserted(f"host{number}", "x") for number in range(3)),
    ]
    for seed in range(10):
        splits = grouped(conversations, 0.3, 0.3, seed)
        assert sorted(chain(*splits)) == list(range(106))
        for together in (range(100, 103), range(103, 106)):
            assert sum(not set(part).isdisjoint(together) for part in splits) == 1


@given(st.integers(3, 9), st.integers(0, 2), st.integers(30, 70))
@settings(derandomize=True, max_examples=15, deadline=None)
def test_folds_cover_everything_once_and_keep_their_distance(num_folds: int, gap: int, number: int) -> None:
    conversations = MANY[:number]
    everything = [fold_of(conversations, fold, num_folds, gap) for fold in range(num_folds)]
    assert sorted(chain(*(splits.test for splits in everything))) == list(range(number))
    for fold, splits in enumerate(everything):
        assert_no_leakage(splits, conversations)
        assert splits.test == list(range(splits.test[0], splits.test[-1] + 1))
        for one, other in ((splits.test, splits.validation), (splits.test + splits.validation, splits.train)):
            assert min(abs(first - second) for first in one for second in other) > gap
        following = everything[(fold + 1) % num_folds].test
        assert set(splits.validation) <= set(following) and len(splits.validation) >= len(following) - 2 * gap


def test_fold_by_hand() -> None:
    assert fold_of(MANY[:10], 4, 5, gap=1) == Splits([3, 4, 5, 6], [0, 1], [8, 9])  # the ends are no neighbours
    assert fold_of(MANY[:10], 1, 5, gap=1) == Splits([0, 7, 8, 9], [5], [2, 3])


@pytest.mark.parametrize(("fold", "num_folds"), [(5, 5), (-1, 5), (0, 2)])
def test_folds_that_are_none_are_refused(fold: int, num_folds: int) -> None:
    with pytest.raises(ValueError, match=f"fold {fold} of {num_folds}"):
        fold_of(MANY, fold, num_folds, 1)


def test_held_out_kinds_are_in_the_test_only() -> None:
    kinds = ("threat", "curse", "benign")
    conversations = [*MANY[:30], *(inserted(f"h{n}", f"s{n}", kinds[n % 3]) for n in range(60))]
    splits = grouped(conversations, 0.3, 0.3, seed=0)
    held = hold_out(splits, conversations, ["curse", "benign"])
    for part, before in zip(held, splits, strict=True):
        there = {message.kind for index in part for message in conversations[index].messages} - {None}
        assert there == (set(kinds) if part == splits.test else {"threat"})
        assert set(part) <= set(before)
    assert held.test == splits.test and len(held.train) < len(splits.train)
    assert hold_out(splits, conversations, []) == splits
    with pytest.raises(ValueError, match="no message is of kind 'curses'; there are 'benign', 'curse', 'threat'"):
        hold_out(splits, conversations, ["curses"])


def test_windows_leak_as_in_the_earlier_work() -> None:
    """Defect 1: windows split at random; here nine of ten test windows repeat messages of the training."""
    talks = [Conversation(f"c{n}", tuple(Message(f"{n} {i}", label=int(i == 7)) for i in range(50))) for n in range(20)]
    windows = windows_of(talks, size=10, stride=5)
    assert [window.id for window in windows[8:10]] == ["c0.w9", "c1.w1"] and len(windows) == 180
    splits = shuffled(len(windows), 0.15, 0.15, seed=0)
    assert sorted(chain(*splits)) == list(range(180))
    trained = {message.text for index in splits.train for message in windows[index].messages}
    repeated = [any(m.text in trained for m in windows[index].messages) for index in splits.test]
    assert sum(repeated) / len(repeated) > 0.8
    honest = grouped(talks, 0.15, 0.15, seed=0)
    trained = {message.text for index in honest.train for message in talks[index].messages}
    assert not any(message.text in trained for index in honest.test for message in talks[index].messages)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_too_few_conversations_are_refused(number: int) -> None:
    for splits in (lambda c: grouped(c, 0.2, 0.2, 0), lambda c: contiguous(c, 0.2, 0.2, 1)):
        with pytest.raises(ValueError, match="too few"):
            splits(MANY[:number])


@pytest.mark.parametrize(("validation", "test"), [(0, 0.1), (0.1, 0), (0.5, 0.5)])
def test_shares_that_leave_a_part_empty_are_refused(validation: float, test: float) -> None:
    with pytest.raises(ValueError, match="share"):
        grouped(MANY, validation, test, 0)


def test_leakage_is_found_by_place_content_and_id() -> None:
    with pytest.raises(ValueError, match="c1 of test is also in train"):
        assert_no_leakage(Splits([0, 1], [2], [1]), MANY)
    decomposed = conversation("d", unicodedata.normalize("NFD", "가나\u200b다"))
    with pytest.raises(ValueError, match="d of test is also in validation, there as c"):
        assert_no_leakage(Splits([0], [1], [2]), [MANY[0], conversation("c", "가나다"), decomposed])
    near = [conversation("a", SENTENCE), MANY[1], conversation("b", SENTENCE.replace("아무런", "어떠한"))]
    with pytest.raises(ValueError, match="b of test is also in train, there as a: equal, nearly equal"):
        assert_no_leakage(Splits([0], [1], [2]), near)
    with pytest.raises(ValueError, match=r"b of validation is also in train, there as a: .* from the same source"):
        assert_no_leakage(Splits([0], [1], [2]), [inserted("a", "x"), inserted("b", "x"), inserted("c", "y")])
    with pytest.raises(ValueError, match=r"the id c0: one in c0\.json"):
        assert_no_leakage(Splits([0], [1], [2]), [MANY[0], MANY[1], conversation("c0", "another")])


def test_saved_splits_hold_in_another_order_and_place(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    splits = contiguous(MANY, 0.2, 0.2, gap=3)
    save(splits, MANY, path)
    assert ".json" not in path.read_text()  # ids, no paths
    again = load(path, MANY[::-1])
    assert [[99 - index for index in part] for part in again] == list(splits)


def test_splits_of_other_data_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    save(grouped(MANY, 0.2, 0.2, 0), MANY, path)
    with pytest.raises(ValueError, match="not in the data"):
        load(path, MANY[:50])
    for other in (
        {"train": []},
        {"train": 3, "validation": [], "test": []},
        {"train": [["c0"]], "validation": [], "test": []},
    ):
        path.write_text(json.dumps(other))
        with pytest.raises(ValueError, match="expected an object"):
            load(path, MANY)
    with pytest.raises(FileNotFoundError, match=r"ghost\.json: no such file of splits"):
        load(tmp_path / "ghost.json", MANY)
