"""Configurations, addresses and lists made to run code, to reach elsewhere or never to end: each is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from electra_lab.__main__ import main
from electra_lab.data.lexicon import read_lexicon
from electra_lab.data.splits import load as load_splits
from electra_lab.models.backbone import load_backbone
from electra_lab.tokenizer import load_tokenizer
from tests.hostile import refused, watched

ADDRESSES = ["https://example.com/a", "file:///etc/passwd", "hf://evil/model", "s3://bucket/a"]


@pytest.fixture(autouse=True)
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from watched(tmp_path, monkeypatch)


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_are_no_models(address: str) -> None:
    refused(lambda: load_backbone(address, 10), "is an address")
    refused(lambda: load_tokenizer(address), "is an address")


@pytest.mark.parametrize("address", ADDRESSES[:2])
@pytest.mark.parametrize("option", ["--resume", "--checkpoint", "--model.backbone", "--config", "--data.paths+"])
def test_addresses_on_the_command_line(
    option: str, address: str, tmp_path: Path, koelectra_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--model.backbone": str(koelectra_folder), "--run_name": "x", "--output": str(tmp_path / "runs")}
    if option == "--checkpoint":
        given |= {"--data.max_length": "64"}
    verb = "test" if option == "--checkpoint" else "finetune"
    arguments = [word for pair in (given | {option: address}).items() for word in pair]
    assert main([verb, *arguments, "--trainer.accelerator", "cpu"]) != 0
    said = capsys.readouterr().err
    assert "Traceback" not in said and "root:" not in said  # of a file that is none of ours nothing is shown
    assert address.split("/")[-1] in said or option == "--config"


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
CONFIGURATIONS = {
    "a call": 'run_name: !!python/object/apply:os.mkdir ["{ran}"]',
    "an object": "run_name: !!python/object/new:evil.Evil []",
    "a name": "run_name: !!python/name:evil.make",
    "a module": "run_name: !!python/module:evil",
    "a call for a list": 'data: {{paths: !!python/object/apply:os.mkdir ["{ran}"]}}',
    "a callback's class": "trainer: {{callbacks: [{{class_path: evil.Evil}}]}}",
    "a logger's class": "logger: {{class_path: evil.Evil}}",
    "a plugin's class": "trainer: {{plugins: evil.Evil}}",
    "a model's class": "model: {{class_path: evil.Evil}}",
    "a class for a number": "seed: {{class_path: evil.Evil}}",
    "references without end": BOMB + "data: {{paths: *i}}",
    "a reference to itself": "data: &a {{paths: *a}}",
    "nesting without end": "data: " + "[" * 50_000,
    "objects without end": "data: " + "{{a: " * 50_000,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("content", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_configurations(content: str, tmp_path: Path, ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(content.format(ran=ran), encoding="utf-8")
    arguments = ["--run_name", "x", "--output", str(tmp_path / "runs"), "--model.preset", "none"]
    assert main(["pretrain", *arguments, "--config", str(path)]) in (1, 2)
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "runs").exists() or "logger" in content


def test_a_lexicon(tmp_path: Path, ran: Path) -> None:
    (tmp_path / "words.yaml").write_text(f'- !!python/object/apply:os.mkdir ["{ran}"]\n', encoding="utf-8")
    refused(lambda: read_lexicon(tmp_path / "words.yaml"), "words.yaml")


def test_splits(tmp_path: Path, ran: Path) -> None:
    (tmp_path / "splits.json").write_bytes(b"cos\nmkdir\n(V" + str(ran).encode() + b"\ntR.")
    refused(lambda: load_splits(tmp_path / "splits.json", []), "splits.json")
