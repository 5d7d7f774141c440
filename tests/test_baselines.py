import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from electra_lab.data.splits import grouped, save
from electra_lab.data.synthetic import conversations

pytest.importorskip("sklearn")

from experiments import baselines


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


def test_table_has_the_detectors_figures_and_windows(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    baselines.main(["--splits", str(run / "splits.json")])
    header, _, *rows = capsys.readouterr().out.strip().split("\n")
    assert "average_precision" in header
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [tuple(row[:2]) for row in cells] == [
        ("TF-IDF + LR per message", "message"),
        ("TF-IDF + LR per message", "window"),
        ("TF-IDF + LR per message", "conversation"),
        ("TF-IDF + LR per window", "window"),
        ("TF-IDF + LR per window", "conversation"),
    ]
    test_windows = baselines.load_datamodule(run / "splits.json").windows("test")
    number = 2 + baselines.COLUMNS.index("num")
    assert [row[number] for row in cells] == [
        str(test_windows.first_message[-1]),
        *[str(len(test_windows)), str(len(test_windows.conversations))] * 2,
    ]


def test_data_may_have_moved(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run.parent / "talks.jsonl").rename(run.parent / "moved.jsonl")
    baselines.main(["--splits", str(run / "splits.json"), "--data", str(run.parent / "moved.jsonl")])
    assert capsys.readouterr().out.count("\n") == 7


def test_a_word_that_gives_it_away_is_found() -> None:
    def part(num_messages: int) -> baselines.Part:
        labels = np.arange(num_messages) % 7 == 0
        texts = [f"얼음 {index}" if label else f"그래 {index}" for index, label in enumerate(labels)]
        windows = [(start, start + 5) for start in range(0, num_messages - 4, 5)]
        return baselines.Part(texts, labels.astype(np.int64), windows, [(0, 10), (10, num_messages)])

    figures = baselines.baselines(part(70), part(35), part(40))
    assert figures["TF-IDF + LR per message", "message"]["f1"] == 1.0
    assert figures["TF-IDF + LR per message", "window"]["average_precision"] == 1.0
    assert figures["TF-IDF + LR per window", "window"]["average_precision"] > 0.9


def test_unknown_labels_are_neither_learned_nor_counted() -> None:
    part = baselines.Part(
        ["얼음", "그래", "얼음", "?"] * 5, np.array([1, 0, 1, -1] * 5), [(0, 2), (1, 2)], [(0, 2), (1, 2), (0, 20)]
    )
    assert part.labels([(1, 2), (0, 4), (3, 4)]).tolist() == [0, 1, -1]
    figures = baselines.baselines(part, part, part)
    assert figures["TF-IDF + LR per message", "message"]["num"] == 15


def test_without_the_runs_settings_it_says_so(run: Path) -> None:
    (run / "config.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.yaml"):
        baselines.load_datamodule(run / "splits.json")
