import random
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.near_duplicates import near_duplicates, shingles
from electra_lab.data.related import related
from electra_lab.data.synthetic import conversations


def runs(text: str) -> set[str]:
    return {text[place : place + 5] for place in range(len(text) - 4)} or {text}


def similarity(one: str, other: str) -> float:
    return len(runs(one) & runs(other)) / len(runs(one) | runs(other))


def test_shingles_are_the_different_runs_of_five_characters() -> None:
    assert len(shingles("가나다라마바가나다라마")) == len(runs("가나다라마바가나다라마")) == 6
    assert len(shingles("가")) == len(shingles("")) == 1
    assert shingles("가").tolist() != shingles("나").tolist()


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.lists(st.text("가나", min_size=0, max_size=40), max_size=20),
    st.sampled_from([0.3, 0.5, 0.8, 1.0]),
)
def test_the_pairs_are_those_of_comparing_all(texts: list[str], threshold: float) -> None:
    texts = list({text.ljust(5, "나"): text for text in texts}.values())  # padding is not what is tested here
    first: dict[frozenset[str], int] = {}
    for place, text in enumerate(texts):
        first.setdefault(frozenset(runs(text)), place)
    expected = {
        (one, other) for one, other in combinations(sorted(first.values()), 2)
        if similarity(texts[one], texts[other]) >= threshold
    }  # fmt: skip
    expected |= {(first[frozenset(runs(text))], place) for place, text in enumerate(texts)}
    expected -= {(place, place) for place in range(len(texts))}
    assert set(near_duplicates(texts, threshold)) == expected


def test_a_conversation_with_one_word_changed_is_related() -> None:
    talks = [talk for talk in conversations(80, seed=4) if len(talk.messages) >= 20][:50]
    rng = random.Random(0)
    changed = []
    for talk in talks:
        messages = list(talk.messages)
        place = rng.randrange(len(messages))
        _, *rest = messages[place].text.split()
        messages[place] = Message(" ".join(["다른말", *rest]), "someone else")
        changed.append(Conversation(talk.id + "x", tuple(messages)))
    groups = related([*talks, *changed])
    assert groups == list(range(50)) * 2  # each with its copy, and with no other


def test_conversations_that_share_a_source_are_related_also_by_way_of_a_third() -> None:
    def talk(name: str, *sources: str) -> Conversation:
        messages = [Message(f"{source} {name}", source=source) for source in sources]
        return Conversation(name, (Message(f"{name} " * 9), *messages))

    talks = [talk("가", "x"), talk("나"), talk("다", "y"), talk("라", "z"), talk("마", "x", "y"), talk("바")]
    assert related(talks) == [0, 1, 0, 3, 0, 5]
    assert related([]) == []
