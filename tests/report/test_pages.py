"""The report as a whole: which pages there are, that they agree with the two files, and that no memory is needed."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from electra_lab.data.exports.chat import FLAGS
from electra_lab.report import pages, site, transcript
from electra_lab.report.pages import write_report
from tests.report.example_results import EXTRA_INPUTS, conversation, message, other, write_example, write_results
from tests.report.page_walk import Page, walk

DEMO = "This is not evidence."


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a hundred times as many conversations."""
    for module in (pages, site):
        monkeypatch.setattr(module, "ROWS_OF_A_PAGE", 3)
    for module in (pages, transcript):
        monkeypatch.setattr(module, "LINES_OF_A_PAGE", 10)
    monkeypatch.setattr(pages, "_CONVERSATIONS_ON_ONE_PAGE", 1)
    monkeypatch.setattr(pages, "_ENTRIES_ON_ONE_PAGE", 10)
    monkeypatch.setattr(pages, "_INPUTS_IN_REPORT", 4)
    monkeypatch.setattr(pages, "INPUTS_OF_A_PAGE", 3)


def many(number: int, messages: int = 2, text: str = "안녕") -> list[dict[str, Any]]:
    return [
        conversation(f"방{at}.txt", [message("A", f"{text} {at}", (at * 7 % number) / number)] * messages)
        for at in range(number)
    ]


def written(folder: Path) -> dict[str, Page]:
    write_report(folder)
    return walk(folder)


def row(page: Page, start: str) -> str:
    """What follows a cell in the text of a page's tables."""
    return page.texts["table"].split(start, 1)[1].split()[0]


def test_a_small_report_is_one_page(tmp_path: Path) -> None:
    found = written(write_example(tmp_path))
    assert list(found) == ["how-to-read.html", "report.html"]
    text = found["report.html"].texts["main"]
    for said in (
        *("2026-0117", "박서연", "Asia/Seoul, stated by the examiner", "2026-03-02 09:14:05 UTC", "no zone stated"),
        *("byte 17 is no text in UTF-8 or CP949", "FORMAT NOT KNOWN", "export heading", "system event", "unparsed"),
        *("Surroundings of an alert: messages 1 to 15", "민수.txt:15–19", "byte 0", "list word", "iced coffee"),
        *("of file 2", FLAGS["ambiguous"], "too long for the detector", "5e" * 32, "ab" * 32),
    ):
        assert said in text, said
    assert sum(len(entry) > 0 for entry in found["report.html"].said) >= 40


def test_counts_add_up(tmp_path: Path) -> None:
    page = written(write_example(tmp_path))["report.html"]
    assert [int(row(page, label)) for label in ("read", "because of a problem", "so not read", "in all")] == [
        5,
        1,
        1,
        7,
    ]
    lines = ("messages", "of the messenger", "names of columns", "continue one of these", "blank", "not judged")
    found = [int(row(page, label)) for label in lines]
    assert found == [39, 1, 4, 4, 8, 1]
    assert int(page.texts["table"].split("in all")[2].split()[0]) == sum(found)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("is_demo", [True, False])
def test_a_demo_says_so_on_every_page_on_screen_and_on_paper(tmp_path: Path, is_demo: bool) -> None:
    found = written(write_example(tmp_path, is_demo=is_demo))
    kinds = {name.split("/")[0] for name in found}
    assert kinds == {"report.html", "how-to-read.html", "ranking", "conversations", "inputs"}
    for page in found.values():
        assert (DEMO in page.texts["header"]) == is_demo
        assert ("DEMO" in page.texts["title"]) == is_demo
        assert ('content:"DEMO' in page.texts["style"]) == is_demo


@pytest.mark.usefixtures("small_pages")
def test_many_conversations_have_a_page_each_and_a_ranking_in_pages(tmp_path: Path) -> None:
    found = written(write_results(tmp_path, many(8)))
    assert [name for name in found if "/" in name and "inputs" not in name] == [
        *(f"conversations/{rank:04}.html" for rank in range(1, 9)),
        *("ranking/0002.html", "ranking/0003.html"),
    ]
    for page, ranks in (("report.html", "123"), ("ranking/0002.html", "456"), ("ranking/0003.html", "78")):
        assert sorted(identifier for identifier in found[page].ids if identifier[1:].isdigit()) == [
            f"r{rank}" for rank in ranks
        ]
    first, last = found["conversations/0001.html"], found["conversations/0008.html"]
    assert "0.875" in first.texts["main"] and "0.000" in last.texts["main"]  # seven of eight, none
    assert "../ranking/0003.html#r8" in last.links and "../report.html#r1" in first.links
    assert "../conversations/0002.html" in first.links and "../conversations/0007.html" in last.links


@pytest.mark.usefixtures("small_pages")
def test_many_files_are_listed_on_pages_of_their_own_the_unread_ones_also_in_the_report(tmp_path: Path) -> None:
    found = written(write_results(tmp_path, many(6), inputs=EXTRA_INPUTS))
    assert [name for name in found if name.startswith("inputs/")] == [f"inputs/{page:04}.html" for page in (1, 2, 3)]
    text = found["report.html"].texts["table"]
    assert [name in text for name in ("broken.txt", "todo.docx", "방0.txt", "방1.txt", "방2.txt")] == [True] * 4 + [
        False
    ]
    listed = "".join(found[f"inputs/{page:04}.html"].texts["table"] for page in (1, 2, 3))
    assert all(name in listed for name in ("broken.txt", "todo.docx", *(f"방{at}.txt" for at in range(6))))


@pytest.mark.usefixtures("small_pages")
def test_a_long_conversation_is_cut_into_pages_and_its_highest_message_is_found(tmp_path: Path) -> None:
    entries = [message("A", f"글 {at}", 0.99 if at == 24 else 0.1) for at in range(25)]
    found = written(write_results(tmp_path, [conversation("a.txt", entries)]))
    names = ["conversations/0001.html", "conversations/0001-2.html", "conversations/0001-3.html"]
    assert sorted(name for name in found if "conversations" in name) == sorted(names)
    assert "conversations/0001-3.html#c1m25" in found["report.html"].links
    parts = [found[name].said[3:] for name in names]  # behind the three highest, which stand on every page
    assert parts == [[f"글 {at}" for at in range(start, min(start + 10, 25))] for start in (0, 10, 20)]


@pytest.mark.usefixtures("small_pages")
def test_everything_of_results_is_on_the_pages(tmp_path: Path) -> None:
    """Every entry of every conversation, in order and whole."""
    entries = [
        other("header", "머리"),
        *[message("A", f"글 {at}\n\n끝") for at in range(7)],
        other("unparsed", "?? 줄"),
    ]
    conversations = [conversation(f"{at}.txt", entries) for at in range(4)]
    found = written(write_results(tmp_path, conversations))
    for rank, one in enumerate(conversations, 1):
        assert found[f"conversations/{rank:04}.html"].said[3:] == [entry["text"] for entry in one["entries"]]


@pytest.mark.usefixtures("small_pages")
def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_report(write_results(tmp_path / name, many(7)))
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in "ab"
    )
    assert first == second and len(first) == 2 + 2 + 2 + 7 + 2 + 3


def test_a_message_without_a_text_and_a_conversation_without_a_score(tmp_path: Path) -> None:
    silent = conversation("s.txt", [message("A", "", None, attention=None)], windows=[], score=None, band=None)
    found = written(write_results(tmp_path, [silent, conversation("e.txt", [])]))
    text = found["report.html"].texts["main"]
    assert "no text,no score" in text and "nothing to score" in text and "none: no message has a text" in text


def test_the_ranking_shows_the_beginning_of_a_long_message(tmp_path: Path) -> None:
    found = written(write_results(tmp_path, [conversation("a.txt", [message("A", "긴 글 " * 100)])]))
    in_ranking, in_head, whole = found["report.html"].said
    assert in_ranking == in_head == ("긴 글 " * 100)[:160] + " [goes on]" and whole == "긴 글 " * 100


def test_no_conversation_at_all(tmp_path: Path) -> None:
    found = written(write_results(tmp_path, []))
    assert "Report on 0 conversations" in found["report.html"].texts["title"]


def test_an_untested_detector_is_said_to_be(tmp_path: Path) -> None:
    found = written(
        write_results(tmp_path, many(1), figures={}, case={"number": None, "examiner": None, "time_zone": None})
    )
    assert "Not measured." in found["how-to-read.html"].texts["strong"]
    assert "no number given" in found["report.html"].texts["main"]


def test_an_unknown_flag_is_shown(tmp_path: Path) -> None:
    found = written(write_results(tmp_path, [conversation("a", [message("A", "네", flags=["new_kind"])])]))
    assert (
        "new kind" in found["report.html"].texts["li"] and "no explanation is known" in found["report.html"].texts["dl"]
    )


def test_every_flag_is_explained(tmp_path: Path) -> None:
    text = written(write_example(tmp_path))["how-to-read.html"].texts["dl"]
    assert all(sentence in text and flag.replace("_", " ") in text for flag, sentence in FLAGS.items())


def test_files_of_two_predictions_are_refused(tmp_path: Path) -> None:
    write_results(tmp_path, many(3))
    lines = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(ValueError, match="score the files again"):
        write_report(tmp_path)
    assert not list(tmp_path.glob("*.html"))


def test_a_report_is_not_written_over(tmp_path: Path) -> None:
    write_report(write_results(tmp_path, many(1)))
    with pytest.raises(FileExistsError, match="another folder"):
        write_report(tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("small_pages")
def test_memory_does_not_grow_with_the_conversations(tmp_path: Path) -> None:
    """Of 25 times as many, 12 MB to read, at most 1 MB more is kept."""

    def peak(number: int) -> int:
        folder = write_results(tmp_path / str(number), many(number, messages=1, text="가나다라" * 5000))
        tracemalloc.start()
        write_report(folder)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    few, more = peak(4), peak(100)
    assert (tmp_path / "100" / "results.jsonl").stat().st_size > 1e7
    assert more < few + 1e6


def test_manifest_and_results_are_left_alone(tmp_path: Path) -> None:
    folder = write_example(tmp_path)
    before = {name: (folder / name).read_bytes() for name in ("results.jsonl", "manifest.json")}
    write_report(folder)
    assert before == {name: (folder / name).read_bytes() for name in before}
    assert json.loads(before["manifest.json"])["deterministic"]["detector"]["is_demo"]
