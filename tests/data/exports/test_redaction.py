"""Without names: neither people, rooms nor files can be told from what is left."""

from electra_lab.data.exports.chat import HEADER, MESSAGE, SYSTEM, UNPARSED, Chat, Entry
from electra_lab.data.exports.redaction import Redaction


def chat(name: str, title: str, *entries: tuple[str, str | None, str]) -> Chat:
    made = tuple(Entry(kind, text, n, 1, n, 1, speaker) for n, (kind, speaker, text) in enumerate(entries, start=1))
    return Chat(name, "kakaotalk-android-ko", title, (name.split("#")[0],), made)


def test_names_become_numbers_everywhere() -> None:
    redaction = Redaction()
    first = redaction.chat(
        chat(
            "민지.txt#2",
            "김민지",
            (HEADER, None, "김민지 님과 카카오톡 대화"),
            (MESSAGE, "민지", "나 민지야, 수호야 어디?"),
            (MESSAGE, "수호", "여기"),
            (SYSTEM, None, "수호님이 나갔습니다."),
            (UNPARSED, None, "??민지"),
        )
    )
    second = redaction.chat(chat("b.txt", "c", (MESSAGE, "수호", "다시"), (MESSAGE, "A", "A는 한 글자")))
    assert (first.id, first.files, first.title) == ("file 1#2", ("file 1",), None)
    assert [entry.text for entry in first.entries] == [
        "",
        "나 person 1야, person 2야 어디?",
        "여기",
        "person 2님이 나갔습니다.",
        "??person 1",
    ]
    assert [entry.speaker for entry in second.messages] == ["person 2", "person 3"]  # the same person as before
    assert second.messages[1].text == "A는 한 글자"
    assert second.files == ("file 2",) and redaction.file("b.txt") == "file 2"
    assert "민지" not in repr(first) and "수호" not in repr((first, second))


def test_the_longer_of_two_names_is_found_first() -> None:
    names = Redaction().chat(chat("x", "y", (MESSAGE, "민지", "민지수 봤어?"), (MESSAGE, "민지수", "응 민지")))
    assert [entry.text for entry in names.entries] == ["person 2 봤어?", "응 person 1"]
