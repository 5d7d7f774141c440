"""An exported detector says what the detector says, without torch; what cannot be kept is not written."""

import contextlib
import dataclasses
import importlib.util
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from electra_lab import export as export_module
from electra_lab import load_model_for_inference, predict_conversation
from electra_lab.__main__ import main
from electra_lab.bundle import load_detector
from electra_lab.cli import build_parser, parse
from electra_lab.export import OUTPUTS, export
from electra_lab.model_card import onnx_card
from electra_lab.models.classifier import DetectorForSequenceClassification, padded
from electra_lab.models.detector_config import DetectorConfig
from tests import detector_settings
from tests.saved_detectors import batch_of, saved_detector

MESSAGES = ["안녕", "지금 어디야?", "집이야"]  # of the cards
VARIANTS: dict[str, dict[str, Any]] = {
    "electra": {},
    **{
        family: {"family": family} for family in ("bert", "roberta", "distilbert", "albert", "deberta-v2", "modernbert")
    },
    **{pooling: {"pooling": pooling} for pooling in ("gated", "cls", "noisy_or")},
    "n-grams": {"ngrams": True, "pooling": "noisy_or"},
    "messages alone": {"context": "message"},
    "messages alone, n-grams": {"context": "message", "ngrams": True, "pooling": "gated"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_detector(tmp_path_factory.mktemp("run"))


def snippets(folder: Path, language: str) -> list[str]:
    """The code in a folder's card, for the folder."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    return [code.replace("FOLDER", str(folder)) for code in re.findall(rf"```{language}\n(.*?)```", card, re.DOTALL)]


def numbers(code: str) -> list[float]:
    """What a snippet prints."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(code, "card", "exec"), {})
    return [float(number) for number in re.findall(r"\d+\.\d*(?:e-?\d+)?", said.getvalue())]


@pytest.mark.slow  # tens of seconds each, in torch's exporter
@pytest.mark.timeout(900)
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_exported_detector_says_what_it_said_in_torch(variant: str, tmp_path: Path) -> None:
    import onnxruntime

    temperatures = {"window": 1.5, "message": 0.7, "conversation": 1.0}
    folder = saved_detector(tmp_path, temperatures=temperatures, **VARIANTS[variant])
    assert main(["export", "--model", str(folder), "--output", str(tmp_path / "onnx"), "--onnx"]) == 0
    detector, _ = load_model_for_inference(folder)
    config = DetectorConfig.from_pretrained(tmp_path / "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "onnx/model.onnx")
    for counts in ([1], [3, 1], [2, 4, 1, 1, 5]):
        batch = batch_of(detector.encoder, counts)
        inputs = {name: tensor.numpy() for name, tensor in padded(batch, config).items()}
        assert {value.name for value in session.get_inputs()} == inputs.keys()
        with torch.inference_mode():
            expected = detector(batch)
        for name, found in zip(OUTPUTS, session.run(list(OUTPUTS), inputs), strict=True):
            np.testing.assert_allclose(found, getattr(expected, name).numpy(), rtol=0, atol=1e-5)
    prediction = predict_conversation(*load_model_for_inference(folder), MESSAGES)
    window, *rest = numbers(snippets(tmp_path / "onnx", "python")[0])
    assert window == pytest.approx(prediction.score, abs=2e-5)
    of_messages = [m.score for m in prediction.messages] + [m.attention for m in prediction.messages]
    assert rest == pytest.approx(of_messages, abs=2e-5)
    record = json.loads((tmp_path / "onnx/detector.json").read_text(encoding="utf-8"))
    assert record["settings"] == json.loads((folder / "detector.json").read_text(encoding="utf-8"))["settings"]
    assert {"model.onnx", "tokenizer.json", "config.json"} <= record["sha256"].keys()
    with pytest.raises(ValueError, match="is a detector exported to ONNX; give the folder that it was exported from"):
        load_detector(tmp_path / "onnx")


@pytest.mark.parametrize("variant", ["electra", "roberta", "messages alone, n-grams"])
def test_the_code_in_a_detectors_card_runs(variant: str, tmp_path: Path) -> None:
    folder = saved_detector(tmp_path, **VARIANTS[variant])
    ours, with_transformers = snippets(folder, "python")
    loaded = load_model_for_inference(folder)
    assert numbers(ours)[0] == pytest.approx(predict_conversation(*loaded, MESSAGES).score, abs=5e-4)  # three digits
    ((ordinary, anomalous),) = [numbers(with_transformers)]
    assert anomalous == pytest.approx(predict_conversation(*loaded, MESSAGES[:2]).score, abs=5e-4)
    assert ordinary + anomalous == pytest.approx(1, abs=1e-3)


def test_the_commands_in_a_detectors_card_are_understood(folder: Path) -> None:
    (lines,) = snippets(folder, "bash")
    commands = [line.split("#")[0].split() for line in lines.strip().splitlines()]
    assert [command[:2] for command in commands] == [["electra-lab", "predict"], ["electra-lab", "export"]]
    for _, verb, *options in commands:
        assert parse(build_parser(verb), options).model == str(folder)


def test_a_card_of_onnx_names_what_the_network_takes() -> None:
    both = detector_settings.SETTINGS
    plain = onnx_card(dataclasses.asdict(both), {})
    assert "| `input_ids` | (rows, length) int64 | a window a row" in plain and "window_of_row" not in plain
    other = onnx_card(dataclasses.asdict(dataclasses.replace(both, context="message", ngrams=True)), {})
    assert "a message a row" in other and "| `window_of_row` |" in other and "| `ngram_weights` |" in other
    for card in (plain, other):
        assert all(f"| `{name}` |" in card for name in OUTPUTS) and "| temperatures: window | 1 |" in card
        (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        compile(code, "card", "exec")


def test_without_its_packages_it_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["export", "--model", str(folder), "--output", str(tmp_path / "onnx")]) == 1
    said = capsys.readouterr().err
    assert "export needs the package onnx, onnxscript, onnxruntime: pip install 'electra_lab[onnx]'" in said
    assert not (tmp_path / "onnx").exists()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusals need none of the packages."""
    monkeypatch.setattr(export_module, "_assert_installed", lambda: None)


@pytest.mark.parametrize("wrong", [2e-5, float("nan")])
@pytest.mark.usefixtures("installed")
def test_a_network_that_differs_is_not_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    """The check reads shapes that were not traced, and each of the outputs counts."""
    shapes: list[tuple[int, ...]] = []

    def outputs(path: Path, inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
        shapes.append(tuple(inputs["input_ids"].shape))
        found = DetectorForSequenceClassification.from_pretrained(folder).eval()(**inputs)
        values = [found.logits, found.message_logits, found.message_mass + wrong * (len(shapes) == 2)]
        return {name: value.detach().numpy() for name, value in zip(OUTPUTS, values, strict=True)}

    monkeypatch.setattr(export_module, "_write", lambda model, inputs, path: shapes.append(inputs["input_ids"].shape))
    monkeypatch.setattr(export_module, "_run", outputs)
    with pytest.raises(ValueError, match=r"differs from the detector by (2\.0e-05|nan), of which 1e-05 is allowed"):
        export(str(folder), str(tmp_path / "onnx"))
    assert not (tmp_path / "onnx").exists() and len(set(shapes)) == 3


@pytest.mark.usefixtures("installed")
def test_an_encoder_that_torch_cannot_write_is_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*unused: object, **also_unused: object) -> None:
        raise torch.onnx.errors.OnnxExporterError("no such operator\nand forty lines more")

    monkeypatch.setattr(torch.onnx, "export", failing)
    with pytest.raises(ValueError, match=r"cannot write an encoder of the family electra as ONNX: no such operator$"):
        export(str(folder), str(tmp_path / "onnx"))
    assert not (tmp_path / "onnx").exists()


@pytest.mark.usefixtures("installed")
def test_the_detector_itself_is_never_written_over(folder: Path) -> None:
    with pytest.raises(ValueError, match="holds other files; give a folder that is new"):
        export(str(folder), str(folder))
    load_detector(folder)
