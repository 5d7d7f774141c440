"""A keyword list: its scores by hand, what it finds inside words, and what its file may look like."""

from pathlib import Path

import numpy as np
import pytest

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.parts import Part
from experiments.keywords import KeywordList, read_keywords

SHIPPED = Path(__file__).parent.parent / "experiments" / "keywords.yaml"


def part(texts: list[str], windows: list[tuple[int, int]], bounds: list[tuple[int, int]]) -> Part:
    messages = [Message(text) for text in texts]
    conversations = [Conversation(str(start), tuple(messages[start:end])) for start, end in bounds]
    nobody = np.zeros(len(texts), dtype=bool)
    return Part(conversations, messages, np.full(len(texts), -1), nobody, np.array(windows), np.array(bounds))


def test_scores_by_hand() -> None:
    found = KeywordList({"얼음": 1.0, "작대기": 0.5}).scores(
        part(["얼음 얼음", "없다", "작대기", "얼음"], [(0, 2), (1, 3), (3, 4)], [(0, 3), (3, 4)])
    )
    assert found.message is not None and found.window is not None and found.conversation is not None
    assert found.message.tolist() == pytest.approx([2 / 3, 0, 0.5 / 1.5, 1 / 2])
    assert found.window.tolist() == pytest.approx([2 / 3, 0.5 / 1.5, 1 / 2])
    assert found.conversation.tolist() == pytest.approx([2.5 / 3.5, 1 / 2])


def test_no_hit_is_exactly_zero_however_many_came_before() -> None:
    """Windows are differences of running sums, in which .1 + .2 - .3 is not 0."""
    texts = ["얼음"] * 50 + ["없다"] * 50
    found = KeywordList({"얼음": 0.1}).scores(part(texts, [(start, start + 1) for start in range(100)], [(0, 100)]))
    assert found.window is not None and found.message is not None
    assert (found.window[50:] == 0).all()
    np.testing.assert_allclose(found.window, found.message)


@pytest.mark.parametrize(
    ("term", "text", "hits"),
    [
        ("얼음", "얼음은 얼음땡이랑", 2),  # particles, and words that begin alike
        ("뽕", "짬뽕", 1),  # within a word, as documented
        ("차가운 술", "차가운술 차가운  술", 2),  # spaces may be missing or more
        ("얼음", "얼 음", 0),  # but none is looked through
        ("GHB", "ghb? GhB를", 2),
        ("GHB", "aghb ghb1", 0),
        ("나비", "\u1102\u1161\u1107\u1175", 1),  # decomposed, as macOS writes it
        ("a.b", "axb", 0),  # a term is no pattern
    ],
)
def test_what_is_found(term: str, text: str, hits: int) -> None:
    assert KeywordList({term: 1.0}).hits(text) == hits


def test_of_overlapping_terms_the_longest_counts() -> None:
    assert KeywordList({"뽕": 1.0, "히로뽕": 3.0}).hits("히로뽕 뽕") == 4.0


def test_the_shipped_list_is_read() -> None:
    keywords = read_keywords(SHIPPED)
    assert keywords.hits("GHB 뽕") == 1.5


@pytest.mark.parametrize(
    "text",
    [
        "terms: [a]",
        "- 3",
        "- a: b: c",
        "- a: -1",
        "- a: [1]",
        "- ''",
        "- '\u200b'",
        "- {a: 1, b: 2}",
        "",
        "- [",
        "- a: .nan",
    ],
)
def test_other_files_get_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keywords.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"keywords\.yaml"):
        read_keywords(path)
