"""Without names: neither people, rooms nor files can be told from what is left."""

import time

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
        "",
        "",
    ]
    assert [entry.speaker for entry in second.messages] == ["person 2", "person 3"]  # the same person as before
    assert second.messages[1].text == "A는 한 글자"
    assert second.files == ("file 2",) and redaction.file("b.txt") == "file 2"
    assert "민지" not in repr(first) and "수호" not in repr((first, second))


def test_who_is_only_invited_and_an_owner_who_only_reads_are_not_named_either() -> None:
    names = Redaction("나은").chat(
        chat("x", "y", (SYSTEM, None, "민지님이 수호님을 초대했습니다."), (MESSAGE, "민지", "나은아"))
    )
    assert [entry.text for entry in names.entries] == ["", "person 1아"]


def test_the_longer_of_two_names_is_found_first() -> None:
    names = Redaction().chat(chat("x", "y", (MESSAGE, "민지", "민지수 봤어?"), (MESSAGE, "민지수", "응 민지")))
    assert [entry.text for entry in names.entries] == ["person 2 봤어?", "응 person 1"]


def test_many_people_cost_no_more_time_each() -> None:
    def seconds(num_people: int) -> float:
        speech = [(MESSAGE, f"{number}이름", "1이름아 점심 뭐 먹을까 오늘") for number in range(num_people)]
        begun = time.process_time()
        Redaction().chat(chat("x", "y", *speech))
        return time.process_time() - begun

    assert seconds(8000) < 16 * min(seconds(1000) for _ in range(3))  # 64 if each text were compared with each name
