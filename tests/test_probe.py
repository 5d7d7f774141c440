"""The probe: it learns what can be learned, nothing where there is nothing, repeats itself, says what is wrong."""

import json
import lzma
import random
import shutil
from pathlib import Path

import pytest
import torch

from experiments import probe, probe_report
from experiments.classifier import Texts, read_texts

pytest.importorskip("matplotlib")

WORDS = ["영화", "배우", "감독", "음악", "장면", "이야기"]


def write_table(path: Path, number: int, seed: int, shuffled: bool = False) -> Path:
    """Texts in which one word says the label, or, shuffled, none does."""
    chance = random.Random(seed)
    labels = [row % 2 for row in range(number)]
    texts = [" ".join([*chance.choices(WORDS, k=chance.randint(1, 4)), ["나쁨", "좋음"][label]]) for label in labels]
    if shuffled:
        chance.shuffle(labels)
    lines = [f"{row}\t{text}\t{label}\n" for row, (text, label) in enumerate(zip(texts, labels, strict=True))]
    path.write_text("id\tdocument\tlabel\n" + "".join(lines), encoding="utf-8")
    return path


def run(folder: Path, encoders: list[str], shuffled: bool = False, labels: str = "64", epochs: str = "4") -> str:
    train = write_table(folder / "train.tsv", 300, 0, shuffled)
    test = write_table(folder / "test.tsv", 300, 1, shuffled)
    files = ["--train", str(train), "--test", str(test), "--output", str(folder / "out"), "--encoders", *encoders]
    sizes = ["--labels", labels, "--epochs", epochs, "--seeds", "2", "--batch_size", "8", "--validation_rows", "60"]
    probe.main([*files, *sizes, "--learning_rates", "3e-3", "1e-2", "--test_rows", "200"])
    return (folder / "out" / "results.json").read_text()


@pytest.fixture(scope="module")
def pretrained(koelectra_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported encoder in the folder of its run."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copytree(koelectra_folder, folder / "discriminator")
    (folder / "results.json").write_text('{"tokens": 2000000}')
    return folder / "discriminator"


def test_it_learns_and_repeats_itself(pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(run(tmp_path, [f"random={pretrained}", f"rtd={pretrained}"]))["rows"]
    assert [(row["name"], row["tokens"], row["seed"]) for row in rows] == [
        *(("random", 0, seed) for seed in (0, 1)),
        *(("rtd", 2_000_000, seed) for seed in (0, 1)),
    ]
    assert min(row["test"] for row in rows) > 0.9
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.json", "table.md", "probe.png"}
    assert not any(word in capsys.readouterr().out for word in WORDS)
    (tmp_path / "again").mkdir()
    assert json.loads(run(tmp_path / "again", [f"rtd={pretrained}"]))["rows"] == rows[2:]


def test_chance_where_there_is_nothing_to_learn(pretrained: Path, tmp_path: Path) -> None:
    rows = json.loads(run(tmp_path, [f"rtd={pretrained}"], shuffled=True, epochs="3"))["rows"]
    assert all(0.36 < row["test"] < 0.64 for row in rows)  # 4 standard errors of 200 throws of a coin


def test_what_is_done_is_not_done_again(pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fake(source: probe.Source, *_: object) -> dict[str, object]:
        calls.append(source.name)
        return {"learning_rate": 1e-3, "epoch": 1, "validation": 0.5, "test": 0.5}

    monkeypatch.setattr(probe, "probe", fake)
    run(tmp_path, [f"rtd={pretrained}"])
    run(tmp_path, [f"rtd={pretrained}", f"random={pretrained}"])
    assert calls == ["rtd", "rtd", "random", "random"]
    with pytest.raises(SystemExit, match="other settings"):
        run(tmp_path, [f"rtd={pretrained}"], epochs="2")


def test_random_is_drawn_anew_and_the_others_are_not(pretrained: Path) -> None:
    def weights(name: str, seed: int) -> torch.Tensor:
        encoder = probe.load_encoder(probe.find_source(name, str(pretrained)), seed)
        assert encoder.config.hidden_dropout_prob == 0.1
        return encoder.embeddings.word_embeddings.weight

    assert weights("rtd", 0).equal(weights("rtd", 1))
    assert weights("random", 1).equal(weights("random", 1))
    assert not weights("random", 0).equal(weights("random", 1))
    assert not weights("random", 1).equal(weights("rtd", 1))
    assert weights("random", 0).std().item() == pytest.approx(0.02, rel=0.1)  # the configuration's


def test_validation_and_training_never_share_a_text() -> None:
    texts = Texts([str(row) for row in range(100)], [0] * 100)
    validation, pools = probe.split(texts, 20, 50, seeds=3)
    again = probe.split(texts, 20, 50, seeds=3)
    assert (validation, pools) == again
    assert all(not set(validation.texts) & set(pool.texts) and len(set(pool.texts)) == 50 for pool in pools)
    assert pools[0] != pools[1]
    with pytest.raises(ValueError, match="20 \\+ 90 training texts are needed, there are 100"):
        probe.split(texts, 20, 90, seeds=1)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [("2\t둘", "line 3: expected 3 columns (id, document, label), found 2"), ("2\t둘\t3", "line 3: the label")],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, row: str, complaint: str) -> None:
    path = tmp_path / "bad.tsv.xz"
    path.write_bytes(lzma.compress(f"id\tdocument\tlabel\n1\t하나\t0\n{row}\n".encode()))
    with pytest.raises(ValueError) as error:
        read_texts(path)
    assert complaint in str(error.value) and "\n" not in str(error.value) and "둘" not in str(error.value)


def test_a_folder_of_no_run_is_refused(koelectra_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"results\.json"):
        probe.find_source("rtd", str(koelectra_folder))


def rows_of(reached: dict[tuple[str, int], list[float]]) -> list[probe_report.Row]:
    return [
        {"name": name, "tokens": tokens, "labels": 1000, "seed": seed, "test": test}
        for (name, tokens), tests in reached.items()
        for seed, test in enumerate(tests)
    ]


def test_table_and_verdict() -> None:
    """It pays from the first point after which every worst seed is above the best random one."""
    rows = rows_of(
        {
            ("random", 0): [0.60, 0.62],
            ("rtd", 1_000_000): [0.63, 0.64],
            ("rtd", 2_000_000): [0.61, 0.65],
            ("rtd", 3_000_000): [0.66, 0.68],
            ("mlm", 4_000_000): [0.62, 0.7],
        }
    )
    assert probe_report.table(rows, {"mlm": 0.5}).split("\n")[2:] == [
        "| random | 0.0 | 0.0 | 61.0 ± 1.4 |",
        "| mlm | 4.0 | 2.0 | 66.0 ± 5.7 |",
        "| rtd | 1.0 | 1.0 | 63.5 ± 0.7 * |",
        "| rtd | 2.0 | 2.0 | 63.0 ± 2.8 |",
        "| rtd | 3.0 | 3.0 | 67.0 ± 1.4 * |",
    ]
    assert probe_report.verdicts(rows) == [
        "- mlm, 1,000 labels: pays not by 4.0 million tokens",
        "- rtd, 1,000 labels: pays from 3.0 million tokens",
    ]


def test_every_encoder_is_in_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig",
        lambda figure, path: shown.extend(text.get_text() for text in figure.legends[0].get_texts()),
    )
    names = [f"encoder {number}" for number in range(9)]
    probe_report.picture(rows_of({(name, 10): [0.7, 0.8] for name in names}), {}, tmp_path / "probe.png")
    assert shown == names


def test_without_random_weights_nothing_is_said_to_pay_or_not() -> None:
    assert probe_report.verdicts(rows_of({("rtd", 1_000_000): [0.6, 0.7]})) == []
