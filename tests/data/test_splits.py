import json
import unicodedata
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.splits import Splits, assert_no_leakage, contiguous, grouped, load, save


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
@settings(derandomize=True, max_examples=40, deadline=None)
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


def test_contiguous_leaves_out_copies_from_an_earlier_part() -> None:
    conversations = [*MANY[:99], conversation("copy", "c0")]
    splits = contiguous(conversations, 0.2, 0.2, gap=0)
    assert 99 not in splits.test and len(splits.test) == 19
    assert_no_leakage(splits, conversations)


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
    path.write_text(json.dumps({"train": []}))
    with pytest.raises(ValueError, match="expected an object"):
        load(path, MANY)
