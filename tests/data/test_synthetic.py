import re
from collections import Counter

import pytest

from electra_lab.data.conversation import Conversation
from electra_lab.data.particles import final_consonant
from electra_lab.data.synthetic import conversations, documents
from electra_lab.data.synthetic.words import NUMBERS, SCENES

COUNTERS = {thing: counter for scene in SCENES for thing, counter in scene.things.items()}
NUMBER = "|".join(sorted(NUMBERS[1:], key=len, reverse=True))
COUNTER = "|".join(sorted(set(COUNTERS.values()), key=len, reverse=True))
THING = "|".join(sorted(COUNTERS, key=len, reverse=True))
COUNTED = re.compile(rf"\b({THING}) ({NUMBER}) ({COUNTER})(?=\b|[가-힣])")


@pytest.fixture(scope="module")
def text() -> list[str]:
    return [line for document in documents(600) for line in document]


@pytest.fixture(scope="module")
def talks() -> list[Conversation]:
    return conversations()


def test_every_document_depends_on_seed_and_number_alone() -> None:
    assert list(documents(20)) == list(documents(30))[:20]
    assert list(documents(20)) != list(documents(20, seed=1))


def test_all_documents_make_one_to_two_megabytes(text: list[str]) -> None:
    assert 1e6 < 3000 / 600 * sum(len(line.encode()) + 1 for line in text) < 2e6
    assert all(line.strip() == line != "" for line in text)


def test_particles_fit_their_nouns(text: list[str]) -> None:
    found = re.findall(rf"\b({THING})(을|를|은|는|이|가) ", "\n".join(text))
    assert len(found) > 500
    assert all((particle in "을은이") == bool(final_consonant(word)) for word, particle in found)


def test_things_have_their_counters_and_sums_are_right(text: list[str]) -> None:
    found = [match.groups() for line in text for match in COUNTED.finditer(line)]
    assert len(found) > 500
    assert all(COUNTERS[thing] == counter for thing, _, counter in found)
    sums = re.findall(rf"({NUMBER}) \S+에 ({NUMBER}) \S+ 더하면 모두 ({NUMBER}) ", "\n".join(text))
    assert len(sums) > 50
    assert all(NUMBERS.index(first) + NUMBERS.index(second) == NUMBERS.index(total) for first, second, total in sums)


def test_conversations_are_as_promised(talks: list[Conversation]) -> None:
    assert len(talks) == len({talk.id for talk in talks}) == 800
    assert all(12 <= len(talk.messages) <= 45 for talk in talks)
    assert {len({message.speaker for message in talk.messages}) for talk in talks} == {2, 3}
    assert all(talk.is_labelled for talk in talks)
    assert 0.25 < sum(talk.is_anomalous for talk in talks) / 800 < 0.42
    assert conversations(10) == talks[:10] != conversations(10, seed=1)


def test_labels_are_neither_all_nor_nothing_of_a_conversation(talks: list[Conversation]) -> None:
    for talk in talks:
        number = sum(message.label or 0 for message in talk.messages)
        assert 3 <= number <= 6 if talk.is_anomalous else number == 0


def test_coded_messages_and_no_others_count_a_thing_wrongly(talks: list[Conversation]) -> None:
    counted = Counter(
        (message.label, COUNTERS[thing] == counter)
        for talk in talks
        for message in talk.messages
        for thing, _, counter in COUNTED.findall(message.text)
    )
    assert counted[0, False] == counted[1, True] == 0
    assert min(counted[0, True], counted[1, False]) > 50


def test_no_single_word_tells_a_coded_message(talks: list[Conversation]) -> None:
    labels = [(set(message.text.split()), message.label or 0) for talk in talks for message in talk.messages]
    total, anomalous = Counter(), Counter()
    for words, label in labels:
        total.update(words)
        anomalous.update(words if label else ())
    num_anomalous = sum(label for _, label in labels)
    best = max(2 * anomalous[word] / (total[word] + num_anomalous) for word in total)
    assert best < 0.2  # F1 of "this word means it"
    assert all(anomalous[word] <= 0.6 * total[word] for word in total if total[word] >= 10)


def test_no_single_word_tells_an_anomalous_conversation(talks: list[Conversation]) -> None:
    total, anomalous = Counter(), Counter()
    for talk in talks:
        words = {word for message in talk.messages for word in message.text.split()}
        total.update(words)
        anomalous.update(words if talk.is_anomalous else ())
    num_anomalous = sum(talk.is_anomalous for talk in talks)
    all_of_them = 2 * num_anomalous / (240 + num_anomalous)
    assert max(2 * anomalous[word] / (total[word] + num_anomalous) for word in total) < all_of_them + 0.1


def test_what_coded_messages_say_is_also_said_honestly(talks: list[Conversation]) -> None:
    def template(text: str) -> str:
        return re.sub(rf"{THING}|\b({NUMBER})\b|{COUNTER}", "_", text.rstrip("ㅋㅎㅠ~.!?"))

    honest = {template(message.text) for talk in talks for message in talk.messages if message.label == 0}
    coded = [template(message.text) for talk in talks for message in talk.messages if message.label == 1]
    assert sum(line in honest for line in coded) / len(coded) > 0.85  # the rest: dropped spaces and slips


def test_typing_noise_does_not_know_the_label(talks: list[Conversation]) -> None:
    noisy = {
        label: [
            message.text[-1] in "ㅋㅎㅠ~.!" for talk in talks for message in talk.messages if message.label == label
        ]
        for label in (0, 1)
    }
    shares = {label: sum(flags) / len(flags) for label, flags in noisy.items()}
    assert abs(shares[0] - shares[1]) < 0.07  # 3 standard deviations of the coded messages
