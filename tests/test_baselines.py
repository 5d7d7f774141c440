"""Baselines on the splits of a run: what they are fitted on, what they find, and the table."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.parts import Part
from electra_lab.data.splits import grouped, save
from electra_lab.data.synthetic import conversations
from electra_lab.evaluation import Figures, evaluate
from electra_lab.zero_shot import load_zero_shot

pytest.importorskip("sklearn")

from experiments import baselines
from experiments.keywords import KeywordList
from experiments.linear import fitted, highest_message

KEYWORDS = Path(baselines.__file__).with_name("keywords.yaml")


@pytest.fixture
def run(tmp_path: Path, koelectra_folder: Path) -> Path:
    """What `finetune` leaves and the baselines read: data, splits.json, config.yaml."""
    talks = conversations(40)
    lines = [
        {
            "id": talk.id,
            "messages": [{"text": m.text, "speaker": m.speaker, "label": m.label} for m in talk.messages],
        }
        for talk in talks
    ]
    (tmp_path / "talks.jsonl").write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    folder = tmp_path / "run"
    folder.mkdir()
    save(grouped(talks, 0.2, 0.2, seed=0), talks, folder / "splits.json")
    config = {
        "seed": 1,
        "model": {"backbone": str(koelectra_folder), "num_speakers": 2},
        "data": {"paths": [str(tmp_path / "talks.jsonl")], "window": 8, "stride": 4, "max_length": 128},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def part_of(texts: list[str], labels: list[int], size: int = 5, per_conversation: int = 10) -> Part:
    """Messages with windows and conversations of equal sizes, one after another."""
    messages = [Message(text, label=None if label < 0 else label) for text, label in zip(texts, labels, strict=True)]
    spans = [
        np.array([(start, start + step) for start in range(0, len(texts), step)]) for step in (size, per_conversation)
    ]
    talks = [Conversation(str(start), tuple(messages[start:end])) for start, end in spans[1]]
    return Part(talks, messages, np.array(labels), np.zeros(len(texts), dtype=bool), *spans)


def separable(num_messages: int) -> Part:
    labels = [int(index % 14 == 0) for index in range(num_messages)]
    texts = [f"얼음 {index}" if label else f"그래 {index}" for index, label in enumerate(labels)]
    return part_of(texts, labels)


def evaluated(test: Part, baseline: baselines.Baseline) -> dict[str, Figures]:
    return evaluate(test, baseline.scores(test), baseline.thresholds, draws=10)


def test_table_has_the_detectors_figures_and_windows(
    run: Path, koelectra_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--keywords", str(KEYWORDS), "--discriminator", str(koelectra_folder), "--max_length", "64"]
    out = tmp_path / "figures.json"
    baselines.main(["--splits", str(run / "splits.json"), *options, "--draws", "20", "--json", str(out)])
    header, _, *rows = capsys.readouterr().out.strip().split("\n")
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [tuple(row[:2]) for row in cells[:5]] == [
        ("TF-IDF + LR per message", "window"),
        ("TF-IDF + LR per message", "message"),
        ("TF-IDF + LR per message", "conversation"),
        ("TF-IDF + LR per window", "window"),
        ("TF-IDF + LR per window", "conversation"),
    ]
    others = ["keywords", "replaced-token detection, no labels", "length", "random"]
    assert [row[0] for row in cells[5:]] == [name for name in others for _ in range(3)]
    titles = [cell.strip() for cell in header.strip("|").split("|")]
    test_windows = baselines.load_datamodule(run / "splits.json").windows("test")
    assert [row[titles.index("num")] for row in cells[:3]] == [
        str(len(test_windows)),
        str(test_windows.first_message[-1]),
        str(len(test_windows.conversations)),
    ]
    figures = json.loads(out.read_text(encoding="utf-8"))
    low, high = figures["length"]["message"]["interval"]["average_precision"]
    row = next(row for row in cells if row[:2] == ["length", "message"])
    assert row[2] == f"{figures['length']['message']['average_precision']:.3f} [{low:.3f}, {high:.3f}]"


def test_data_may_have_moved(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run.parent / "talks.jsonl").rename(run.parent / "moved.jsonl")
    moved = ["--data", str(run.parent / "moved.jsonl"), "--draws", "10"]
    baselines.main(["--splits", str(run / "splits.json"), *moved])
    assert capsys.readouterr().out.count("\n") == 2 + 5 + 3 + 3


def test_a_word_that_gives_it_away_is_found() -> None:
    test = separable(140)
    found = baselines.baselines(separable(140), separable(70), KeywordList({"얼음": 1.0}))
    figures = {name: evaluated(test, baseline) for name, baseline in found.items()}
    for level in ("message", "window", "conversation"):
        assert figures[baselines.PER_MESSAGE][level]["average_precision"] == 1.0
        assert figures[baselines.PER_MESSAGE][level]["f1"] == figures["keywords"][level]["f1"] == 1.0
    assert figures[baselines.PER_WINDOW]["window"]["average_precision"] == 1.0
    assert figures["random"]["message"]["auroc"] < 0.8


def test_words_of_validation_and_test_are_not_in_the_vocabulary() -> None:
    score = fitted(["얼음", "그래"] * 20, np.array([1, 0] * 20), ["코끼리", "그래"], np.array([1, 0]))
    assert len(set(score(["코끼리", "나비", "좌표"]))) == 1  # nothing of them was seen in training


def test_unknown_labels_are_neither_learned_nor_counted() -> None:
    texts, labels = ["얼음", "그래", "그래", "그래", "?", "그래"], [1, 0, 0, 0, -1, 0]
    part = part_of(texts * 5, labels * 5, size=2, per_conversation=6)
    found = baselines.baselines(part, part)
    assert evaluated(part, found[baselines.PER_MESSAGE])["message"]["num"] == 25
    score = fitted(["얼음", "그래", "비밀"] * 9, np.array([1, 0, -1] * 9), ["얼음", "그래"], np.array([1, 0]))
    assert len(set(score(["비밀", "나비"]))) == 1  # no word of the unlabelled one is known


def test_one_class_gets_a_sentence() -> None:
    part = part_of(["얼음", "그래"] * 10, [1, 0] * 10, size=2)  # every window is anomalous
    with pytest.raises(ValueError, match="one class only"):
        baselines.baselines(part, part)


def test_highest_message_by_hand() -> None:
    scores = highest_message(part_of(["a"] * 4, [0] * 4, size=2, per_conversation=4), np.array([0.1, 0.4, 0.3, 0.2]))
    assert [level.tolist() for level in scores if level is not None] == [[0.1, 0.4, 0.3, 0.2], [0.4, 0.3], [0.4]]


def test_conversation_has_the_highest_window() -> None:
    part = separable(140)
    scores = baselines.baselines(part, part)[baselines.PER_WINDOW].scores(part)
    assert scores.message is None and scores.window is not None and scores.conversation is not None
    assert scores.conversation.tolist() == scores.window.reshape(-1, 2).max(1).tolist()


def test_replaced_tokens_are_scored_a_conversation_at_a_time(koelectra_folder: Path) -> None:
    detector = load_zero_shot(koelectra_folder, 64)
    part = part_of(["안녕", "뭐해", "그래", "내일 봐"], [0] * 4, size=2, per_conversation=2)
    scores = baselines.by_replaced_tokens(part, detector)
    assert scores.message is not None
    expected = [*detector.message_scores(["안녕", "뭐해"]), *detector.message_scores(["그래", "내일 봐"])]
    np.testing.assert_allclose(scores.message, expected, atol=1e-6)


def test_length_by_hand() -> None:
    scores = baselines.by_length(part_of(["가" * 20, "", "가" * 60, ""], [0] * 4, size=2, per_conversation=4))
    assert [level.tolist() for level in scores if level is not None] == [[0.5, 0, 0.75, 0], [0.5, 0.75], [0.75]]


def test_mistakes_get_a_sentence(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"experiments.baselines: .*ghost"):
        baselines.main(["--splits", str(run / "splits.json"), "--keywords", str(tmp_path / "ghost.yaml")])
    (run / "config.yaml").unlink()
    with pytest.raises(SystemExit, match=r"experiments.baselines: .*config\.yaml is missing"):
        baselines.main(["--splits", str(run / "splits.json")])
