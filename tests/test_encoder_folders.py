"""What we pretrain and what KoELECTRA publishes open alike: as encoder, classifier and backbone of a detector."""

import json

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from electra_lab.__main__ import main
from electra_lab.data.synthetic import conversations, documents
from electra_lab.models.backbone import load_backbone
from electra_lab.tokenizer import load_tokenizer

TEXTS = ["오늘 날씨가 정말 좋네요", "주말에 같이 영화 볼까요", "점심은 먹었어요", "내일 학교에서 만나요"]
PRETRAIN = """
model:
  preset: tiny
  sizes: {num_layers: 1, hidden_size: 32, intermediate_size: 64, num_heads: 2, embedding_size: 16}
  warmup_steps: 0
data: {vocabulary_size: 600, max_length: 32, batch_size: 8, validation_share: 0.1}
trainer: {accelerator: cpu, devices: 1, max_steps: 2, num_sanity_val_steps: 0}
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The discriminator that `electra-lab pretrain` leaves."""
    place = tmp_path_factory.mktemp("pretrained")
    text = "\n\n".join("\n".join(document) for document in documents(num_documents=30, seed=1))
    (place / "text.txt").write_text(text, encoding="utf-8")
    (place / "pretrain.yaml").write_text(PRETRAIN)
    given = ["--config", str(place / "pretrain.yaml"), "--run_name", "a", "--output", str(place / "runs")]
    paths = ["--data.paths", str(place / "text.txt"), "--data.cache", str(place / "cache")]
    assert main(["pretrain", *given, *paths]) == 0
    return place / "runs/pretrain/a/discriminator"


@pytest.fixture(params=["exported", "koelectra_folder"])
def folder(request):
    return request.getfixturevalue(request.param)


def encoded(folder):
    return AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")


def test_as_an_encoder_every_weight_is_there(folder):
    _, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"]
    assert all(name.startswith("discriminator_predictions.") for name in report["unexpected_keys"])


def test_as_a_classifier_only_its_head_is_new_and_it_learns(folder):
    torch.manual_seed(0)
    classifier, report = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=2, output_loading_info=True
    )
    assert {name.split(".")[0] for name in report["missing_keys"]} == {"classifier"}
    texts, labels = encoded(folder), torch.tensor([0, 1, 1, 0])
    optimizer = torch.optim.AdamW(classifier.parameters(), 3e-3)
    classifier.train()
    for _ in range(60):
        optimizer.zero_grad()
        classifier(**texts, labels=labels).loss.backward()
        optimizer.step()
    assert classifier.eval()(**texts).logits.argmax(-1).equal(labels)


def test_as_a_backbone_it_gives_what_it_gives_in_transformers(folder):
    """Packed one after another instead of padded."""
    texts = encoded(folder)
    lengths = texts["attention_mask"].sum(1)
    backbone = load_backbone(str(folder), len(load_tokenizer(str(folder)))).eval()
    bounds = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]).int()
    places = torch.cat([torch.arange(length) for length in lengths])
    with torch.no_grad():
        padded = AutoModel.from_pretrained(folder).eval()(**texts).last_hidden_state
        packed = backbone(texts["input_ids"][texts["attention_mask"] == 1], places, bounds, int(lengths.max()))
    torch.testing.assert_close(packed, padded[texts["attention_mask"] == 1], rtol=0, atol=1e-5)


def test_as_a_detectors_backbone_from_the_command_line(folder, tmp_path):
    with (tmp_path / "chats.jsonl").open("w", encoding="utf-8") as file:
        for conversation in conversations(24, seed=3):
            messages = [{"text": m.text, "speaker": m.speaker, "label": m.label} for m in conversation.messages]
            file.write(json.dumps({"id": conversation.id, "messages": messages}, ensure_ascii=False) + "\n")
    (tmp_path / "finetune.yaml").write_text(
        "data: {batch_size: 32, max_length: 128}\n"
        "trainer: {accelerator: cpu, devices: 1, max_epochs: 1, num_sanity_val_steps: 0}\ntest: false\n"
    )
    given = ["--config", str(tmp_path / "finetune.yaml"), "--run_name", "a", "--output", str(tmp_path / "runs")]
    paths = ["--data.paths", str(tmp_path / "chats.jsonl"), "--model.backbone", str(folder)]
    assert main(["finetune", *given, *paths]) == 0
    results = json.loads((tmp_path / "runs/finetune/a/results.json").read_text(encoding="utf-8"))
    assert results["steps"] > 0 and (tmp_path / "runs/finetune/a/detector/model.safetensors").is_file()
