"""The short probe: it learns what can be learned, and looks at the test texts only when it is told to."""

import json
import random
import shutil
from pathlib import Path

import pytest
import torch

from experiments import probe_score
from experiments.classifier import Fitted, Texts

WORDS = ["영화", "배우", "감독", "음악"]


def test_it_learns_and_tests_only_if_told(
    tmp_path: Path,
    koelectra_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(koelectra_folder, tmp_path / "discriminator")
    (tmp_path / "results.json").write_text('{"tokens": 1000}')
    chance = random.Random(0)
    rows = [(" ".join([chance.choice(WORDS), ["나쁨", "좋음"][row % 2]]), row % 2) for row in range(800)]
    lines = [f"{row}\t{text}\t{label}\n" for row, (text, label) in enumerate(rows)]
    (tmp_path / "table.tsv").write_text("id\tdocument\tlabel\n" + "".join(lines), encoding="utf-8")
    words = [str(tmp_path), "--table", str(tmp_path / "table.tsv")]
    probe_score.main([*words, "--test"])
    found = json.loads((tmp_path / "probe.json").read_text())
    assert found["validation"]["accuracy"] > 0.9 and found["test"]["accuracy"] > 0.9
    monkeypatch.setattr(probe_score, "fit", lambda *_: Fitted(torch.nn.Identity(), 1, 0.625))
    probe_score.main(words)
    assert json.loads((tmp_path / "probe.json").read_text()) == {"validation": {"accuracy": 0.625}}
    assert not any(word in capsys.readouterr().out for word in WORDS)


def test_no_row_is_in_two_parts() -> None:
    texts = Texts([str(row) for row in range(100)], [0] * 100)
    train, validation, test = (set(part.texts) for part in probe_score.parts(texts))
    assert (len(train), len(validation), len(test)) == (50, 25, 25)
    assert not train & validation and not train & test and not validation & test
    with pytest.raises(ValueError, match="40 labelled texts or more, there are 8"):
        probe_score.parts(texts.at(range(8)))


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"experiments\.probe_score: .*discriminator: expected a folder"):
        probe_score.main([str(tmp_path), "--table", "ratings.tsv"])
