from pathlib import Path

import pytest

from electra_lab.data import synthetic
from electra_lab.data.errors import IngestError
from electra_lab.data.sources import Source, read_sources
from tests.made_up_files import write_lines


def test_sources(tmp_path: Path) -> None:
    first = write_lines(
        tmp_path / "threats.jsonl",
        {"id": "t0", "kind": "threat", "source": "somewhere", "licence": "MIT", "messages": ["하나", " ", "둘"]},
        {"messages": ["셋"]},
    )
    second = write_lines(tmp_path / "more.jsonl", {"id": "m", "kind": "other", "messages": ["넷"]})
    assert read_sources([first, str(second)]) == [
        Source("t0", "threat", ("하나", "둘")),
        Source("threats.2", "threats", ("셋",)),
        Source("m", "other", ("넷",)),
    ]


def test_copies_are_kept_once(tmp_path: Path) -> None:
    long = (
        "이것은 거의 같은 글을 찾기 위하여 지어낸 꽤 긴 문장이고 아무런 뜻도 없으며 다만 길어야 한다는 조건만 있습니다"
    )
    texts = ["가나다", "가\u200b나다 ", long, long.replace("문장이고", "문장이며"), "다른 글"]
    path = write_lines(
        tmp_path / "x.jsonl", *({"id": str(place), "messages": [text]} for place, text in enumerate(texts))
    )
    assert [source.id for source in read_sources([path])] == ["0", "2", "4"]


@pytest.mark.parametrize(
    ("line", "code", "place"),
    [
        ({"id": "a"}, "E108", "line 2/messages"),
        ({"id": "a", "messages": [["비밀"]]}, "E108", "line 2/messages/0"),
        ({"id": "a", "messages": [" "]}, "E109", "line 2/messages"),
        ({"id": 7, "messages": ["비밀"]}, "E108", "line 2/id"),
        ({"kind": ["비밀"], "messages": ["비밀"]}, "E108", "line 2/kind"),
        (["비밀"], "E108", "line 2"),
    ],
)
def test_errors_name_file_and_line(line: object, code: str, place: str, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.jsonl", {"id": "ok", "messages": ["응"]}, line)
    with pytest.raises(IngestError) as caught:
        read_sources([path])
    assert (caught.value.code, caught.value.pointer) == (code, place)
    assert str(path) in str(caught.value) and "비밀" not in str(caught.value)


def test_an_id_twice_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    one = write_lines(tmp_path / "one.jsonl", {"id": "a", "messages": ["하나"]})
    two = write_lines(tmp_path / "two.jsonl", {"id": "a", "messages": ["둘"]})
    with pytest.raises(ValueError, match="two sources have the id a"):
        read_sources([one, two])
    with pytest.raises(FileNotFoundError, match="no such file of sources"):
        read_sources([tmp_path / "none.jsonl"])


def test_synthetic_sources() -> None:
    positives, harmless = synthetic.sources(seed=1)
    assert {source.kind for source in positives} == {"threat", "coded"}
    assert {source.kind for source in harmless} == {"everyday", "narrative"}
    assert len({source.id for source in positives + harmless}) == 600
    assert all(len(source.messages) >= 3 for source in positives)
    assert all(len(source.messages) >= 4 for source in harmless)  # any insertion can be matched
    assert not {source.messages for source in positives} & {source.messages for source in harmless}
    assert synthetic.sources(seed=1, number=5)[0][:5] == positives[:5]
    assert synthetic.sources(seed=2) != (positives, harmless)
