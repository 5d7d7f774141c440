"""transformers opens a detector folder by itself after `import electra_lab`, and it says what the detector says."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

from electra_lab import load_model_for_inference, predict_conversation
from electra_lab.models.classifier import DetectorForSequenceClassification, padded
from electra_lab.models.pooling import POOLINGS
from tests.saved_detectors import TEXTS, batch_of, saved_detector
from tests.test_public_names import ROOT

COUNTS = [3, 1, 7, 2]  # messages of the windows
FAMILIES = ["bert", "roberta", "distilbert", "albert", "deberta-v2", "modernbert"]
VARIANTS: dict[str, dict[str, Any]] = {
    **{family: {"family": family} for family in FAMILIES},
    **{pooling: {"pooling": pooling} for pooling in POOLINGS},
    "n-grams": {"ngrams": True, "pooling": "noisy_or"},
    "messages alone": {"context": "message"},
    "messages alone, n-grams": {"context": "message", "ngrams": True, "pooling": "gated"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_detector(tmp_path_factory.mktemp("run"))


def opened(folder: Path) -> DetectorForSequenceClassification:
    model, report = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    return model


@pytest.mark.parametrize("variant", VARIANTS)
@torch.inference_mode()
def test_every_detector_gives_the_logits_it_gives_in_a_prediction(variant: str, tmp_path: Path) -> None:
    folder = saved_detector(tmp_path, **VARIANTS[variant])
    reference, _ = load_model_for_inference(folder)
    batch = batch_of(reference.encoder, COUNTS)
    expected = reference(batch)
    model = opened(folder)
    found = model(**padded(batch, model.config))
    for name in ("message_logits", "message_mass"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=0, atol=2e-6)
    torch.testing.assert_close(found.logits, expected.window_logits, rtol=0, atol=2e-6)
    assert found.logits.shape == (4, 2) and expected.window_logits.std(0).min() > 1e-4  # they do differ


@torch.inference_mode()
def test_what_was_saved_again_is_opened_again(folder: Path, tmp_path: Path) -> None:
    model = opened(folder)
    model.save_pretrained(tmp_path)
    again = opened(tmp_path)
    assert again.config.encoder.to_dict() == model.config.encoder.to_dict()
    assert again.config.message_token_id == model.config.message_token_id
    ids = torch.randint(5, 400, (2, 9), generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(ids).logits, model(ids).logits)


def test_config_and_tokenizer_are_opened_too(folder: Path) -> None:
    config = AutoConfig.from_pretrained(folder)
    assert config.encoder.model_type == "electra" and config.num_labels == 2
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.get_vocab() == load_model_for_inference(folder)[1].get_vocab()
    assert config.message_token_id == tokenizer.convert_tokens_to_ids("[MSG]")
    assert "auto_map" not in (folder / "config.json").read_text() + (folder / "tokenizer_config.json").read_text()


def test_transformers_own_pipeline_takes_it(folder: Path) -> None:
    classify = pipeline("text-classification", model=str(folder), tokenizer=str(folder), top_k=None)
    window = f"[CLS][MSG][SPEAKER_0]{TEXTS[0]}[SEP][MSG][SPEAKER_1]{TEXTS[1]}[SEP]"
    scores = {entry["label"]: entry["score"] for entry in classify([window], add_special_tokens=False)[0]}
    expected = predict_conversation(*load_model_for_inference(folder), TEXTS[:2]).score
    assert scores["anomalous"] == pytest.approx(expected, abs=1e-6)
    assert scores["ordinary"] == pytest.approx(1 - expected, abs=1e-6)


def test_missing_ngrams_are_one_sentence(tmp_path: Path) -> None:
    model = opened(saved_detector(tmp_path, ngrams=True))
    with pytest.raises(ValueError, match="reads the messages' character n-grams too: give ngram_ids"):
        model(torch.tensor([[2, 3]]))


IMPORTS = {
    "ours first": "import electra_lab; from transformers import {}",
    "transformers first": "from transformers import {}; import electra_lab",
    "transformers, nothing of it yet": "import transformers, electra_lab; from transformers import {}",
    "through one of our modules": "import electra_lab.models.backbone; from transformers import {}",
    "through our configuration": "import electra_lab.models.detector_config; from transformers import {}",
    "through our model": "import electra_lab.models.classifier; from transformers import {}",
    "through its models": "import electra_lab, transformers.modeling_utils; from transformers import {}",
}
SCRIPT = """
import sys
{imports}
opened = {{name: getattr(sys.modules["transformers"], name).from_pretrained({folder!r}) for name in {names}}}
print(*(type(value).__name__ for value in opened.values()))
"""
NAMES = ["AutoConfig", "AutoTokenizer", "AutoModelForSequenceClassification"]


@pytest.mark.slow  # an interpreter each
@pytest.mark.parametrize("order", IMPORTS)
def test_the_order_of_imports_is_of_no_matter(order: str, folder: Path) -> None:
    imports = IMPORTS[order].format(", ".join(NAMES))
    script = SCRIPT.format(imports=imports, folder=str(folder), names=NAMES)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "DetectorConfig" in done.stdout and "DetectorForSequenceClassification" in done.stdout, done.stderr
