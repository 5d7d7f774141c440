from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.formats import read_conversations
from electra_lab.data.injection import blocks, inject
from electra_lab.data.modified_writer import ModifiedConversation, prevalence, write_modified
from electra_lab.data.sources import Source


def host(name: str, num_messages: int = 20, num_speakers: int = 2) -> Conversation:
    speakers = [f"P{(place * 7 // 3) % num_speakers}" for place in range(num_messages)]
    messages = tuple(Message(f"{name} {place}", speakers[place], None, f"t{place}") for place in range(num_messages))
    return Conversation(name, messages, f"{name}.json")


def sources(kind: str, number: int, length: int = 6) -> list[Source]:
    return [
        Source(f"{kind}{index}", kind, tuple(f"{kind}{index} turn {turn}" for turn in range(length)))
        for index in range(number)
    ]


HOSTS = [host(f"h{number:03d}", 12 + number % 30, 2 + number % 2) for number in range(100)]
POSITIVES, HARMLESS = sources("threat", 40), sources("weather", 50, 4)


def inserted(modified: ModifiedConversation, label: int) -> list[int]:
    """Places of the messages that were put in with this label."""
    messages = modified.conversation.messages
    return [place for place, message in enumerate(messages) if message.source is not None and message.label == label]


@settings(derandomize=True, max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    share=st.sampled_from([0.02, 0.15, 0.3]),
    both=st.sampled_from([0.0, 0.5, 1.0]),
    placement=st.sampled_from(["together", "scattered", "mixed"]),
    most=st.integers(1, 5),
)
def test_nothing_is_lost_and_each_source_is_used_once(
    seed: int, share: float, both: float, placement: str, most: int
) -> None:
    harmless = sources("weather", 50, most)
    result = inject(HOSTS, POSITIVES, harmless, share, None, both, most, placement, seed)
    uses: Counter[str] = Counter()
    for before, after in zip(HOSTS, result, strict=True):
        kept = [message for message in after.conversation.messages if message.source is None]
        assert kept == [replace(message, label=0) for message in before.messages]
        assert (after.conversation.id, after.conversation.path) == (before.id, before.path)
        assert after.conversation.is_labelled and len(after.spans) == len(after.conversation.messages)
        uses.update({message.source for message in after.conversation.messages} - {None})
        for label, kind in ((1, "threat"), (0, "weather")):
            messages = [after.conversation.messages[place] for place in inserted(after, label)]
            assert len({message.source for message in messages}) <= 1 and {m.kind for m in messages} <= {kind}
            turns = [int(message.text.split()[-1]) for message in messages]
            assert len(turns) <= most and turns == list(range(turns[0], turns[0] + len(turns)) if turns else [])
    assert set(uses.values()) == {1} and len(uses) == 2 * round(share * 100)


def test_share_is_the_prevalence_of_conversations() -> None:
    for share in (0.1, 0.15, 0.33):
        anomalous = [after.conversation.is_anomalous for after in inject(HOSTS, POSITIVES, HARMLESS, share)]
        assert sum(anomalous) == round(100 * share)


def look(modified: ModifiedConversation, label: int) -> tuple[object, ...]:
    """All that can be seen of an insertion but its text, apart from the host's length."""
    messages, places = modified.conversation.messages, inserted(modified, label)
    together = places[-1] - places[0] + 1 == len(places)
    speakers = [messages[place].speaker for place in places]
    goes_on = speakers[0] == messages[places[0] - 1].speaker
    return len(places), together, goes_on, len(set(speakers))


@pytest.mark.parametrize("placement", ["together", "scattered", "mixed"])
def test_only_the_text_tells_harmless_insertions(placement: str) -> None:
    hosts = [host(f"h{number:03d}") for number in range(100)]
    result = inject(hosts, POSITIVES, HARMLESS, 0.3, placement=placement, seed=5)
    looks, places = {}, {}
    for label in (0, 1):
        some = [after for after in result if inserted(after, label)]
        looks[label] = Counter(look(after, label) for after in some)
        places[label] = sorted(inserted(after, label) for after in some)
    assert looks[0] == looks[1] and places[0] == places[1]  # in hosts of one length the very same places
    assert sum(looks[1].values()) == 30 and len({size for size, *_ in looks[1]}) == 4
    if placement != "mixed":
        assert {together for size, together, *_ in looks[1] if size > 1} == {placement == "together"}


def test_scattered_messages_have_the_hosts_words_between_them() -> None:
    for after in inject(HOSTS, POSITIVES, HARMLESS, 0.3, placement="scattered"):
        for label in (0, 1):
            assert all(step > 1 for step in np.diff(inserted(after, label)))


def test_speakers_and_times_are_the_hosts() -> None:
    for before, after in zip(HOSTS, inject(HOSTS, POSITIVES, HARMLESS, 0.3, both_share=0.5, seed=3), strict=True):
        messages = after.conversation.messages
        for label in (0, 1):
            places = inserted(after, label)
            speakers = [messages[place].speaker for place in places]
            assert set(speakers) <= {message.speaker for message in before.messages}
            assert all(one != other for one, other in pairwise(speakers))  # turn by turn
            if len(places) == 1:
                assert speakers == [messages[places[0] - 1].speaker]
            for place in places:
                earlier = [message for message in messages[:place] if message.source is None]
                assert messages[place].time == earlier[-1].time


def test_hosts_without_speakers_and_with_one() -> None:
    silent = [Conversation(f"{n}", tuple(Message(f"{n} {i}") for i in range(9))) for n in range(10)]
    for after in inject(silent, POSITIVES, HARMLESS, 0.5):
        assert {message.speaker for message in after.conversation.messages} == {None}
    alone = [host(f"{n}", num_speakers=1) for n in range(10)]
    for after in inject(alone, POSITIVES, HARMLESS, 0.5):
        assert {message.speaker for message in after.conversation.messages} == {"P0"}


def test_harmless_insertions_go_to_other_hosts_unless_asked() -> None:
    def numbers(**options: float) -> tuple[int, int, int]:
        result = inject(HOSTS, POSITIVES, HARMLESS, 0.2, **options)  # type: ignore[arg-type]
        has = [(bool(inserted(after, 1)), bool(inserted(after, 0))) for after in result]
        return sum(one for one, _ in has), sum(other for _, other in has), has.count((True, True))

    assert numbers() == (20, 20, 0)
    assert numbers(both_share=0.5) == (20, 20, 10)
    assert numbers(harmless_share=0.4, both_share=0.25) == (20, 40, 10)
    assert numbers(harmless_share=0.0) == (20, 0, 0)


def test_no_harmless_insertions_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    inject(HOSTS, POSITIVES, [], harmless_share=0.0)
    assert "what is foreign is anomalous" in caplog.text


def test_same_seed_same_result_another_seed_another() -> None:
    assert inject(HOSTS, POSITIVES, HARMLESS, seed=1) == inject(HOSTS, POSITIVES, HARMLESS, seed=1)
    assert inject(HOSTS, POSITIVES, HARMLESS, seed=1) != inject(HOSTS, POSITIVES, HARMLESS, seed=2)


def test_single_texts_are_matched_by_single_texts() -> None:
    result = inject(HOSTS, sources("curse", 20, length=1), HARMLESS, 0.2)
    for label in (0, 1):
        assert Counter(len(inserted(after, label)) for after in result) == {0: 80, 1: 20}


def test_provenance_says_what_went_where() -> None:
    for after in inject(HOSTS, POSITIVES, HARMLESS, 0.2, both_share=0.5, seed=9):
        assert (after.provenance["kind"], after.provenance["seed"]) == ("injection", 9)
        for insertion in after.provenance["insertions"]:  # type: ignore[attr-defined]
            assert insertion["places"] == inserted(after, insertion["label"])
            assert {after.conversation.messages[place].source for place in insertion["places"]} == {insertion["source"]}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"share": 0.5}, "50 anomalous insertions need as many different sources; there are 40"),
        ({"harmless": HARMLESS[:3]}, "15 harmless insertions .* of them with . or more messages; there are 3"),
        ({"harmless": sources("weather", 50, 1)}, "there are 50, 0 of them so long"),
        (
            {"share": 0.4, "most": 30, "harmless": sources("weather", 40)},
            "80 conversations of 30 or more messages; there are",
        ),
        ({"placement": "anywhere"}, "no placement is called 'anywhere'; there are together, scattered, mixed"),
        ({"share": 0.0}, "share"),
        ({"share": 0.004, "harmless_share": 0.2}, "a share of 0.004 of 100 conversations is none"),
        ({"harmless": [*HARMLESS, POSITIVES[0]]}, "threat0 is both"),
    ],
)
def test_what_cannot_be_injected_is_refused(changes: dict[str, object], sentence: str) -> None:
    options = {"positives": POSITIVES, "harmless": HARMLESS} | changes
    with pytest.raises(ValueError, match=sentence):
        inject(HOSTS, **options)  # type: ignore[arg-type]


def test_written_and_read_again(tmp_path: Path) -> None:
    result = inject(HOSTS, POSITIVES, HARMLESS, 0.2, seed=4)
    numbers = write_modified(result, tmp_path / "new")
    read = list(read_conversations([tmp_path / "new"]))
    assert [(c.id, c.messages) for c in read] == [(a.conversation.id, a.conversation.messages) for a in result]
    assert prevalence(numbers).startswith("100 conversations, 20 anomalous (20.00 %), ")


def test_blocks() -> None:
    cut = blocks([host("a", 50), host("b", 59), host("c", 60), host("d", 15), host("e", 200)], 20)
    lengths = {conversation.id: len(conversation.messages) for conversation in cut}
    assert {k: v for k, v in lengths.items() if k[0] != "e"} == {
        **{"a.1": 20, "a.2": 20, "a.3": 10},  # half a block stands alone
        **{"b.1": 20, "b.2": 20, "b.3": 19},
        **{"c.1": 20, "c.2": 20, "c.3": 20},
        "d": 15,
    }
    assert [key for key in lengths if key[0] == "e"] == [f"e.{number:02d}" for number in range(1, 11)]
    assert [len(c.messages) for c in blocks([host("f", 49), host("g", 29)], 20)] == [20, 29, 29]
    with pytest.raises(ValueError, match="at least 1"):
        blocks(HOSTS, 0)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 30))
def test_blocks_hold_every_message_once_in_the_order_of_their_names(length: int, size: int) -> None:
    cut = blocks([host("a", length)], size)
    assert sum((conversation.messages for conversation in cut), ()) == host("a", length).messages
    assert sorted(conversation.id for conversation in cut) == [conversation.id for conversation in cut]
    assert len(cut) == 1 or all(2 * len(conversation.messages) >= size for conversation in cut)


def test_a_file_is_no_folder_to_write_to(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ValueError, match="taken is not empty: name a new folder"):
        write_modified([], tmp_path / "taken")
