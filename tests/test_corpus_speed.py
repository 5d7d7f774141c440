"""The made-up corpus has the asked size and no relatives, and every stage of every size is in the table."""

import json
from pathlib import Path

import pytest

from electra_lab.data import synthetic
from electra_lab.data.formats import read_conversations
from electra_lab.data.related import related
from electra_lab.data.wordpiece import train_wordpiece
from experiments import corpus_speed, speed

TEXTS = [message.text for one in synthetic.conversations(60) for message in one.messages]


def test_conversations_are_made_of_the_words_and_are_no_relatives() -> None:
    made = corpus_speed.made_up(TEXTS, 40, 4010)
    assert [len(conversation.messages) for conversation in made].count(100) == 30
    assert sum(len(conversation.messages) for conversation in made) == 4010
    words = {word for text in TEXTS for word in text.split()}
    assert all(word in words for word in made[7].messages[3].text.split())
    mean = sum(len(text.split()) for text in TEXTS) / len(TEXTS)
    drawn = [len(message.text.split()) for conversation in made for message in conversation.messages]
    assert sum(drawn) / len(drawn) == pytest.approx(mean, rel=0.05)
    labels = [message.label for conversation in made for message in conversation.messages]
    assert labels.count(0) + labels.count(1) == 4010 and labels.count(1) == pytest.approx(40, abs=20)
    assert related(made) == list(range(40))
    whole = [synthetic.conversations(1)[0]] * 2
    assert related(whole) == [0, 0]  # what repeating the same would be


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = corpus_speed.made_up(TEXTS, 3, 20)
    paths = [corpus_speed.written(conversation, tmp_path) for conversation in made]
    read = list(read_conversations(paths))
    assert [conversation.id for conversation in read] == [conversation.id for conversation in made]
    assert [[(m.text, m.speaker, m.label) for m in c.messages] for c in read] == [
        [(m.text, m.speaker, m.label) for m in c.messages] for c in made
    ]
    assert {"form", "original_form", "speaker_id", "time"} < json.loads(Path(paths[0]).read_text())["document"][0][
        "utterance"
    ][0].keys()


def test_every_stage_of_every_size_is_in_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    train_wordpiece(TEXTS, 300, tmp_path / "tokenizer")
    monkeypatch.setattr(corpus_speed, "_alone", corpus_speed.stages)
    options = ["--conversations", "80", "--messages", "1600", "--tokenizer", str(tmp_path / "tokenizer")]
    heading, _, columns, _, *rows = speed.main(["corpus", *options]).splitlines()
    assert heading.startswith("80 conversations, 1,600 messages, 0 MB")
    assert [cell.strip() for cell in columns.split("|")][2:5] == ["400 messages", "800 messages", "1,600 messages"]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == [
        "read",
        "split",
        "tokenise, cut into windows",
        "make batches",
        corpus_speed.SCORING,
        "all before the detector",
    ]
    for row in cells:
        assert all(float(seconds) >= 0 for seconds in row[1:4])
        assert len(row[4].split()) == 2 and all(float(ratio) > 0 for ratio in row[4].split())
        assert float(row[5]) >= 0
    assert float(cells[-1][3]) == pytest.approx(sum(float(row[3]) for row in cells[:4]), abs=0.2)


@pytest.mark.slow
def test_every_size_has_a_process_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    table = speed.main(["corpus", "--conversations", "60", "--messages", "900"])
    assert "| read |" in table
