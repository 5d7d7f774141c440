import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.korean import COPULA, PARTICLE, Noun
from electra_lab.data.modified_writer import ModifiedConversation, write_modified
from electra_lab.data.nouns import modify, replaced

NOUNS = ["배추", "사탕", "우산", "기차", "달력", "노래", "연필", "구름", "의자", "호박", "안경", "바다"]
PATTERN = re.compile(rf"({'|'.join(NOUNS)})(은|는|이|가|을|를|으로|로|에서|도)?(?:(예요|이에요|였어|이었어))?(?!\w)")


def by_hand(texts: Iterable[str]) -> Iterator[list[Noun]]:
    """An analyser that knows twelve nouns and a few particles."""
    for text in texts:
        nouns = []
        for match in PATTERN.finditer(text):
            follows = COPULA if match[3] else PARTICLE if match[2] else ""
            nouns.append(Noun(match[1], match.start(1), match.end(1), follows, match[2] or ""))
        yield nouns


def corpus() -> list[Conversation]:
    """Twelve conversations; conversation k speaks most of noun k, and a little of the next two."""
    conversations = []
    for index in range(12):
        own, second, third = (NOUNS[(index + step) % 12] for step in range(3))
        texts = [f"{own}에서 봤어", f"{own}도 있고", "그래 알았어", f"{second}도 봤어", f"{third}도?", f"오 {own}도"]
        messages = tuple(Message(text, f"P{number % 3}", time="20260101 10:00") for number, text in enumerate(texts))
        conversations.append(Conversation(f"talk{index}", messages, f"folder/talk{index}.json"))
    return conversations


def modified(**options: object) -> list[ModifiedConversation]:
    return list(modify(corpus(), analyse=by_hand, **options))  # type: ignore[arg-type]


def test_label_1_exactly_where_the_text_changed() -> None:
    result = modified(share=0.75)
    for before, after in zip(corpus(), result, strict=True):
        assert (before.id, before.path) == (after.conversation.id, after.conversation.path)
        for old, new, spans in zip(before.messages, after.conversation.messages, after.spans, strict=True):
            assert new.label == int(old.text != new.text) == int(bool(spans))
            assert (new.speaker, new.time) == (old.speaker, old.time)
    assert sum(after.conversation.is_anomalous for after in result) == 9  # .75 of 12
    assert all(after.conversation.is_labelled for after in result)


def test_spans_are_the_replacements_in_the_new_text() -> None:
    for before, after in zip(corpus(), modified(share=1.0), strict=True):
        for old, new, spans in zip(before.messages, after.conversation.messages, after.spans, strict=True):
            back = new.text
            for span in reversed(spans):
                assert new.text[span.start : span.end] == span.replacement
                back = back[: span.start] + span.original + back[span.end :]
            assert back == old.text  # these particles have one form


def test_replacements_are_foreign_to_the_conversation_and_as_frequent() -> None:
    for before, after in zip(corpus(), modified(share=1.0, nouns_per_conversation=2), strict=True):
        said = " ".join(message.text for message in before.messages)
        exchanges = after.provenance["exchanges"]
        assert isinstance(exchanges, list)
        assert len(exchanges) == 2
        assert exchanges[0]["original"] in before.messages[0].text  # the noun it is most about comes first
        for exchange in exchanges:
            assert exchange["replacement"] not in said
            assert exchange["original_count"] == exchange["replacement_count"] == 5  # 3 + 1 + 1 in this corpus


def test_a_rare_noun_becomes_a_rare_one_and_a_common_one_stays_common() -> None:
    """30 nouns that are said twice and 30 that are said forty times, each in two conversations."""
    syllables = "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허고노"
    times = {**{"구" + syllable: 1 for syllable in syllables}, **{"모" + syllable: 20 for syllable in syllables}}
    conversations = [
        Conversation(f"{noun}{part}", (Message(f"{noun}도"),) * number)
        for noun, number in times.items()
        for part in range(2)
    ]

    def first_two_syllables(texts: Iterable[str]) -> Iterator[list[Noun]]:
        return ([Noun(text[:2], 0, 2, PARTICLE, "도")] for text in texts)

    replacements = set()
    for after in modify(conversations, share=1.0, nouns_per_conversation=1, analyse=first_two_syllables):
        (exchange,) = after.provenance["exchanges"]  # type: ignore[misc]
        assert exchange["original"][0] == exchange["replacement"][0]
        assert exchange["original_count"] == exchange["replacement_count"]
        replacements.add(exchange["replacement"])
    assert len(replacements) > 20  # drawn, not always the same


def test_nouns_of_one_conversation_only_are_neither_replaced_nor_used() -> None:
    conversations = [*corpus(), Conversation("odd", (Message("나침반을 봤어"),) * 5)]

    def also_the_odd_one(texts: Iterable[str]) -> Iterator[list[Noun]]:
        for text in texts:
            (nouns,) = by_hand([text])
            yield [Noun("나침반", 0, 3, PARTICLE, "을")] if text.startswith("나침반") else nouns

    result = list(modify(conversations, share=1.0, analyse=also_the_odd_one))
    assert not result[-1].conversation.is_anomalous
    assert not any("나침반" in message.text for after in result[:-1] for message in after.conversation.messages)


def test_words_without_particles_are_no_nouns() -> None:
    """What an analyser takes for a noun but never carries a particle is a cry, not a thing."""
    conversations = [
        Conversation(f"{index}", (Message("배추 배추"), Message("사탕은 우산에서"), Message("기차가")))
        for index in range(4)
    ]
    conversations += [
        Conversation("other", (Message("구름이 호박을"),)),
        Conversation("more", (Message("호박은 구름을"),)),
    ]
    for after in modify(conversations, share=1.0, nouns_per_conversation=5, analyse=by_hand):
        assert not any(span.original == "배추" for spans in after.spans for span in spans)


def test_same_seed_same_result_another_seed_another() -> None:
    assert modified(seed=3) == modified(seed=3)
    assert modified(seed=3) != modified(seed=4)


def test_given_words_with_their_particles() -> None:
    conversations = [
        Conversation("a", (Message("배추는 우산이 사탕으로"), Message("배추예요"), Message("사탕이었어"))),
        Conversation("b", (Message("배추가 우산을 사탕을"),)),
        Conversation("c", (Message("구름이"),)),
    ]
    first, *_ = modify(conversations, share=1.0, words=["얼음"], nouns_per_conversation=1, analyse=by_hand)
    texts = [message.text for message in first.conversation.messages]
    assert texts in (
        ["얼음은 우산이 사탕으로", "얼음이에요", "사탕이었어"],
        ["배추는 우산이 얼음으로", "배추예요", "얼음이었어"],
    )


def test_particles_of_several_nouns_in_one_message() -> None:
    text = "배추는 기차로 가서 사탕을"
    (nouns,) = by_hand([text])
    new, spans = replaced(text, nouns, {"배추": "얼음", "기차": "지하철", "사탕": "과자"})
    assert new == "얼음은 지하철로 가서 과자를"
    assert [new[span.start : span.end] for span in spans] == ["얼음", "지하철", "과자"]


def test_a_share_outside_0_to_1_and_an_empty_list_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        modified(share=70)
    with pytest.raises(ValueError, match="empty"):
        modified(words=[])


def test_written_form(tmp_path: Path) -> None:
    result = modified(share=0.5)
    numbers = write_modified(result, tmp_path / "new")
    assert len(list((tmp_path / "new").iterdir())) == numbers["conversations"] == 12
    assert numbers["anomalous_conversations"] == 6
    assert numbers["anomalous_messages"] == sum(m.label for after in result for m in after.conversation.messages)
    for after in result:
        (content,) = json.loads((tmp_path / "new" / f"{after.conversation.id}.json").read_text(encoding="utf-8"))
        assert content["id"] == after.conversation.id
        assert [u["original_form"] for u in content["utterance"]] == [m.text for m in after.conversation.messages]
        assert [u["label"] for u in content["utterance"]] == [m.label for m in after.conversation.messages]
        assert [u["speaker_id"] for u in content["utterance"]] == [m.speaker for m in after.conversation.messages]
        for utterance in content["utterance"]:
            for span in utterance.get("spans", []):
                assert utterance["original_form"][span["start"] : span["end"]] == span["replacement"]


def test_never_writes_over_anything_nor_outside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.json").write_text("[]")
    with pytest.raises(ValueError, match="not empty"):
        write_modified(modified(), tmp_path / "full")
    twice = modified()[:1] * 2
    with pytest.raises(ValueError, match="talk0"):
        write_modified(twice, tmp_path / "twice")
    escaping = ModifiedConversation(Conversation("../../escaped", (Message("응", label=0),)), ((),), {})
    write_modified([escaping], tmp_path / "inside")
    assert [path.parent for path in tmp_path.rglob("*escaped*")] == [tmp_path / "inside"]
