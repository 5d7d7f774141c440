import builtins

import pytest

from electra_lab.data import korean
from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.korean import Analyser, Noun
from electra_lab.data.nouns import modify


@pytest.fixture(scope="module")
def analyse() -> Analyser:
    pytest.importorskip("kiwipiepy")
    return korean.kiwi_analyser()


def test_finds_nouns_and_what_hangs_on_them(analyse: Analyser) -> None:
    text = "어제 시골에서 본 영화가 수상소감이랑 배추였어"
    (nouns,) = analyse([text])
    assert nouns == [
        Noun("시골", 3, 5, "particle", "에서"),
        Noun("영화", 10, 12, "particle", "가"),
        Noun("수상소감", 14, 18, "particle", "이랑"),
        Noun("배추", 21, 23, "copula"),
    ]
    assert all(text[noun.start : noun.end] == noun.text for noun in nouns)


@pytest.mark.parametrize(
    "text",
    [
        "같이 공부했어",  # root of a verb
        "긍정적이야",  # with a suffix
        "송강호 나와?",  # a name
        "영활 봤어",  # grown together with its particle
        "그영화",  # no word's beginning
        "오늘 진짜 정도",  # nouns by their tag only
        "상 받았어",  # one syllable
        "{emoji} PC방",
    ],
)
def test_leaves_out_what_another_noun_cannot_replace(analyse: Analyser, text: str) -> None:
    assert list(analyse([text])) == [[]]


def test_counts_characters_not_utf16_units(analyse: Analyser) -> None:
    assert list(analyse(["😀 영화는 별로", "🎬영화들이 좋아"])) == [
        [Noun("영화", 2, 4, "particle", "는")],
        [Noun("영화", 1, 3)],
    ]


def test_modify_with_the_real_analyser(analyse: Analyser) -> None:
    conversations = [
        Conversation("a", (Message("초콜릿이 맛있어"), Message("그 초콜릿은 시골에서 샀어"), Message("공부했어"))),
        Conversation("b", (Message("초콜릿을 봤어"), Message("우산이 없어"), Message("고양이가 우산을 봐"))),
        Conversation("c", (Message("시골에 고양이가 있어"), Message("우산은 어디 있어"), Message("시골이 좋아"))),
    ]
    first, *_ = modify(conversations, share=1.0, words=["바다"], nouns_per_conversation=1, analyse=analyse)
    texts = [message.text for message in first.conversation.messages]
    assert texts == ["바다가 맛있어", "그 바다는 시골에서 샀어", "공부했어"]
    assert [message.label for message in first.conversation.messages] == [1, 1, 0]


def test_names_the_extra_where_kiwipiepy_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_kiwi(name: str, *args: object, **kwargs: object) -> object:
        if name == "kiwipiepy":
            raise ImportError(name)
        return original(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_kiwi)
    with pytest.raises(ValueError, match=r"pip install electra_lab\[korean\]"):
        korean.kiwi_analyser()
