"""The command line from end to end on a tiny configuration, and one sentence for every mistake."""

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, ElectraForPreTraining

from electra_lab import load_model_for_inference, predict_conversation, runs, verbs
from electra_lab.__main__ import main
from electra_lab.calibration import Calibration
from electra_lab.data.formats import read_conversations
from electra_lab.data.synthetic import conversations, documents

TINY = """
model:
  preset: tiny
  sizes: {num_layers: 1, hidden_size: 32, intermediate_size: 64, num_heads: 2, embedding_size: 16}
  warmup_steps: 2
data:
  vocabulary_size: 600
  max_length: 32
  batch_size: 8
  micro_batch_size: 4
  validation_share: 0.1
trainer:
  {accelerator: cpu, devices: 1, max_steps: 6, check_val_every_n_epoch: null, val_check_interval: 3,
   log_every_n_steps: 2}
checkpoint_every: 4
"""
DETECTOR = """
data: {batch_size: 16, micro_batch_size: 8, max_length: 256}
trainer: {accelerator: cpu, devices: 1, max_epochs: 2, log_every_n_steps: 1}
model: {learning_rate: 1.0e-3}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a text, labelled conversations and two configurations, as a user would have it."""
    folder = tmp_path_factory.mktemp("place")
    text = "\n\n".join("\n".join(document) for document in documents(num_documents=60, seed=1))
    (folder / "text.txt").write_text(text, encoding="utf-8")
    write_conversations(folder / "chats.jsonl")
    (folder / "one.jsonl").write_text('{"messages": ["give me the money"]}')
    (folder / "pretrain.yaml").write_text(TINY)
    (folder / "finetune.yaml").write_text(DETECTOR)
    return folder


def write_conversations(path, number=24, label=lambda message: message.label):
    with path.open("w", encoding="utf-8") as file:
        for conversation in conversations(number, seed=3):
            messages = [{"text": m.text, "speaker": m.speaker, "label": label(m)} for m in conversation.messages]
            file.write(json.dumps({"id": conversation.id, "messages": messages}, ensure_ascii=False) + "\n")


def pretrain(place, run_name, *options):
    output = ["--output", str(place / "runs"), "--data.cache", str(place / "cache")]
    config = ["--config", str(place / "pretrain.yaml"), "--run_name", run_name]
    return main(["pretrain", *config, "--data.paths+", str(place / "text.txt"), *output, *options])


def finetune(place, run_name, *options):
    given = ["--config", str(place / "finetune.yaml"), "--run_name", run_name, "--output", str(place / "runs")]
    encoder = ["--model.backbone", str(place / "runs/pretrain/a/discriminator")]
    return main(["finetune", *given, *encoder, "--data.paths+", str(place / "chats.jsonl"), *options])


@pytest.fixture(scope="module")
def pretrained(place):
    assert pretrain(place, "a") == 0
    return place / "runs/pretrain/a"


@pytest.fixture(scope="module")
def finetuned(place, pretrained):
    assert finetune(place, "b") == 0
    return place / "runs/finetune/b"


def test_pretraining_leaves_everything_that_is_promised(pretrained):
    names = {path.name for path in pretrained.iterdir()}
    files = {"config.yaml", "train.log", "training_log.csv", "loss_curve.png", "results.json"}
    assert names == files | {"checkpoints", "generator", "discriminator"}
    results = json.loads((pretrained / "results.json").read_text())
    assert results["steps"] == 6 and results["tokens"] > 6 * 8 * 10
    assert 5 < results["validation"]["masked_lm_loss"] < np.log(600) + 1
    assert results["parameters"] == sum(p.numel() for p in torch_parameters(pretrained))
    assert {path.name for path in (pretrained / "checkpoints").iterdir()} == {"step=4.ckpt", "last.ckpt"}
    lines = (pretrained / "train.log").read_text(encoding="utf-8").splitlines()
    assert any("step 6/6" in line and "tokens/s" in line for line in lines)


def torch_parameters(folder):
    """The parameters of the checkpoint, shared ones once."""
    state = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    tensors = {value.data_ptr(): value for name, value in state.items() if name.startswith("electra.")}
    return [value for value in tensors.values() if value.dtype == torch.float32]


def test_the_exported_encoder_loads_in_transformers(pretrained):
    folder = pretrained / "discriminator"
    model, report = ElectraForPreTraining.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    _, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == model.config.vocab_size
    assert (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")[:5] == [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
    ]


def test_a_saved_configuration_makes_the_same_run(place, pretrained):
    """config.yaml alone, with another name: the same weights, bit for bit."""
    assert main(["pretrain", "--config", str(pretrained / "config.yaml"), "--run_name", "again"]) == 0
    states = [
        ElectraForPreTraining.from_pretrained(folder / "discriminator").state_dict()
        for folder in (pretrained, pretrained.with_name("again"))
    ]
    assert all(states[1][name].equal(value) for name, value in states[0].items())


def test_finetuning_leaves_everything_that_is_promised(finetuned):
    names = {path.name for path in finetuned.iterdir()}
    files = {"config.yaml", "train.log", "training_log.csv", "loss_curve.png", "results.json", "splits.json"}
    files.add("ingest_report.json")
    figures = {f"confusion_matrix_{level}.png" for level in ("window", "message", "conversation")}
    assert names == files | figures | {"precision_recall.png", "roc.png", "checkpoints", "detector"}
    results = json.loads((finetuned / "results.json").read_text(encoding="utf-8"))
    for level in ("window", "message", "conversation"):
        values = results["test"][level]
        assert {
            "accuracy",
            "precision",
            "recall",
            "f1",
            "auroc",
            "average_precision",
            "confusion",
            "prevalence",
        } <= set(values)
        assert sum(map(sum, values["confusion"])) == values["num"]
        assert {"ece", "ece_unscaled", "brier", "brier_unscaled", "recall_at_fpr_1", "f2"} <= set(values)
        low, high = values["interval"]["average_precision"]
        assert low <= values["average_precision"] <= high
        assert values["threshold"] == results["calibration"][level]["threshold"]
        assert 0.05 <= results["calibration"][level]["temperature"] <= 20
    assert results["data"]["test"]["messages"] == results["test"]["message"]["num"]
    assert set(results["examples"]) == {"found", "missed", "false_alarms", "left_alone"}
    checkpoint = results["best_checkpoint"]
    assert checkpoint.startswith("epoch=") and "-f1=0." in checkpoint
    assert (finetuned / "checkpoints" / checkpoint).is_file()


def test_the_detector_scores_any_number_of_messages(finetuned):
    model, tokenizer = load_model_for_inference(str(finetuned / "detector"))
    for number in (1, 3, 13):
        prediction = predict_conversation(model, tokenizer, ["안녕하세요"] * number, "cpu")
        assert len(prediction.messages) == number
        assert {m for w in prediction.windows for m in range(w.start, w.end)} == set(range(number))


def test_a_checkpoint_is_tested_again_with_the_same_figures(place, finetuned):
    results = json.loads((finetuned / "results.json").read_text(encoding="utf-8"))
    checkpoint = finetuned / "checkpoints" / results["best_checkpoint"]
    options = ["--config", str(finetuned / "config.yaml"), "--run_name", "c", "--checkpoint", str(checkpoint)]
    assert main(["test", *options]) == 0
    again = json.loads((place / "runs/test/c/results.json").read_text(encoding="utf-8"))
    assert again["test"] == results["test"]


def test_without_the_test_there_are_no_test_figures(place, pretrained):
    assert finetune(place, "untested", "--test", "false", "--trainer.max_epochs", "1") == 0
    results = json.loads((place / "runs/finetune/untested/results.json").read_text())
    assert "test" not in results and results["validation"]["average_precision"] > 0


def test_a_run_without_a_validation_has_no_best_detector(place, pretrained, capsys):
    assert finetune(place, "short", "--trainer.max_steps", "1") == 1
    assert "the run ended before its first validation" in capsys.readouterr().err


def test_where_all_windows_are_anomalous_training_goes_on(place, pretrained, capsys):
    """Average precision is not defined there; the first epoch without it once ended the training without a word."""
    write_conversations(place / "all.jsonl", label=lambda message: len(message.text) % 2)
    long = ("--data.window", "99", "--data.stride", "50", "--data.augmentation", "0", "--test", "false")
    assert finetune(place, "all", "--data.paths", str(place / "all.jsonl"), *long) == 0
    results = json.loads((place / "runs/finetune/all/results.json").read_text())
    assert results["data"]["validation"]["anomalous_windows"] == 1 and results["epochs"] == 2
    assert "no epoch is the best, the first is kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("chats.jsonl", [], "chats.jsonl is not a checkpoint; look into the checkpoints/"),
        ("BEST", ["--model.pooling", "gated"], "the checkpoint is of pooling attention, not gated: give attention"),
        ("BEST", ["--data.splits_file", "no.json"], "no.json: no such file of splits"),
    ],
)
def test_what_cannot_be_tested_is_one_sentence(place, finetuned, capsys, name, options, says):
    best = next((finetuned / "checkpoints").iterdir())
    checkpoint = str(best if name == "BEST" else place / name)
    given = ["--config", str(finetuned / "config.yaml"), "--run_name", "bad", "--checkpoint", checkpoint]
    assert main(["test", *given, *options]) == 1
    error = capsys.readouterr().err
    assert says in error.splitlines()[-1] and "Traceback" not in error


def test_a_policy_that_cannot_be_kept_is_said_as_it_is(caplog, monkeypatch):
    """One class only: the threshold is .5, and not above every score."""
    monkeypatch.setattr(runs.log, "propagate", True)
    one_class = Calibration(is_met=False)
    task = SimpleNamespace(
        hparams={"threshold_policy": "fpr<=0.1", "decision": "max"}, calibration={"window": one_class}
    )
    verbs._calibration(task)
    assert "no threshold for windows is known" in caplog.text and "; it is 0.500" in caplog.text


def test_chat_text_is_in_no_log(place, finetuned):
    texts = {m.text for c in conversations(24, seed=3) for m in c.messages if len(m.text) > 8}
    for name in ("train.log", "training_log.csv", "splits.json", "config.yaml", "ingest_report.json"):
        content = (finetuned / name).read_text(encoding="utf-8")
        assert not any(text in content for text in texts)


MISTAKES = [
    (["finetun"], 2, "unknown verb 'finetun'; there is pretrain, finetune"),
    (
        ["pretrain", "--run_name", "x", "--model.presett", "tiny"],
        2,
        "no option --model.presett; did you mean --model.preset?",
    ),
    (["pretrain", "--run_name", "x", "--confg", "a.yaml"], 2, "no option --confg; did you mean --config?"),
    (["pretrain", "--run_name", "x", "--model.learning_rate", "fast"], 2, "model.learning_rate"),
    (["pretrain"], 2, "run_name"),
    (["pretrain", "--run_name", "x", "--config", "PLACE/no.yaml"], 2, "no.yaml"),
    (["pretrain", "--run_name", "x", "--model.preset", "tinny"], 1, "preset must be one of tiny, small"),
    (["pretrain", "--run_name", "x", "--data.paths+", "PLACE/no.txt"], 1, "no.txt: no such file or folder"),
    (["finetune", "--run_name", "x", "--model.backbone", "PLACE/runs/none"], 1, "no encoder at"),
    (["finetune", "--run_name", "x", "--model.backbone", "no/such-encoder"], 1, "no tokenizer"),
    (
        [
            "finetune",
            "--run_name",
            "x",
            "--model.backbone",
            "a",
            "--data.lexicon",
            "no.txt",
            "--data.lexicon_masking",
            ".5",
        ],
        1,
        "no.txt: no such file of words",
    ),
    (["modify", "--paths", "PLACE/chats.jsonl", "--words", "PLACE/no.txt"], 1, "no.txt: no such file of words"),
    (["modify", "--paths", "PLACE/chats.jsonl", "--sources", "PLACE/no.jsonl"], 1, "no.jsonl: no such file of sources"),
    (["modify", "--paths", "PLACE/chats.jsonl", "--sources", "PLACE/one.jsonl", "--share", ".01"], 1, "is none"),
]


@pytest.mark.parametrize(("arguments", "code", "says"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_is_one_sentence(place, capsys, arguments, code, says):
    arguments = [word.replace("PLACE", str(place)) for word in arguments]
    if len(arguments) > 1:
        arguments += ["--output", str(place / "runs")]
    assert main(arguments) == code
    out = capsys.readouterr()
    assert says in out.err and "Traceback" not in out.err and out.err.count("\n") == 1
    assert not (place / "runs/pretrain/x/training_log.csv").exists()


def bad_inputs(place):
    """Data that cannot be used: what it is called, and what must be said about it."""
    (place / "empty").mkdir(exist_ok=True)
    (place / "broken.json").write_text('[{"id": "a", "utterance": [', encoding="utf-8")
    write_conversations(place / "unlabelled.jsonl", label=lambda message: None)
    write_conversations(place / "one_class.jsonl", label=lambda message: 0)
    return {
        "empty": "no .json or .jsonl",
        "broken.json": "broken.json",
        "unlabelled.jsonl": "no labelled message",
        "one_class.jsonl": "labelled 0 only",
    }


@pytest.mark.parametrize("name", ["empty", "broken.json", "unlabelled.jsonl", "one_class.jsonl"])
def test_bad_conversations_are_one_sentence(place, pretrained, capsys, name):
    says = bad_inputs(place)[name]
    options = ["--config", str(place / "finetune.yaml"), "--run_name", "bad", "--output", str(place / "runs")]
    encoder = ["--model.backbone", str(pretrained / "discriminator")]
    assert main(["finetune", *options, *encoder, "--data.paths+", str(place / name)]) == 1
    error = capsys.readouterr().err
    assert says in error.splitlines()[-1] and "Traceback" not in error
    assert not (place / "runs/finetune/bad/training_log.csv").exists()


def test_windows_longer_than_the_encoder_reads_are_refused(place, pretrained, capsys):
    assert finetune(place, "long", "--data.max_length", "1024") == 1
    assert "at most 512" in capsys.readouterr().err.splitlines()[-1]


def test_an_existing_run_is_not_written_over(place, pretrained, capsys):
    before = {path: path.stat().st_mtime_ns for path in pretrained.rglob("*")}
    assert pretrain(place, "a") == 1
    assert "is there already" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in pretrained.rglob("*")}


def test_a_configuration_cannot_run_code(tmp_path, monkeypatch, capsys):
    """An import path in a configuration would be imported before anything is checked."""
    (tmp_path / "evil.py").write_text("class Callback: pass")
    (tmp_path / "evil.yaml").write_text("trainer:\n  callbacks: [{class_path: evil.Callback}]\nrun_name: x\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["pretrain", "--config", str(tmp_path / "evil.yaml")]) == 2
    assert "callbacks" in capsys.readouterr().err
    assert "evil" not in sys.modules


def test_help_needs_no_torch():
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "electra_lab", "--help"], capture_output=True, text=True, check=True
    )
    assert "finetune" in done.stdout and "torch" not in done.stderr
    assert time.monotonic() - started < 5  # under one second where nothing else runs


def test_options_are_those_of_the_signatures(capsys):
    with pytest.raises(SystemExit):
        main(["finetune", "--help"])
    text = capsys.readouterr().out
    for option in ("--model.backbone", "--data.window", "--trainer.max_epochs", "--patience", "--config"):
        assert option in text
    assert "--trainer.callbacks" not in text and "--data.tokenizer" not in text


def test_modify_makes_data_for_finetune(place, tmp_path, capsys):
    pytest.importorskip("kiwipiepy")
    write_conversations(tmp_path / "raw.jsonl", number=8, label=lambda message: None)
    assert main(["modify", "--paths+", str(tmp_path / "raw.jsonl"), "--output", str(tmp_path / "modified")]) == 0
    said = capsys.readouterr().out
    assert "8 conversations, 6 anomalous (75.00 %)" in said
    assert len(list((tmp_path / "modified").glob("*.json"))) == 8
    assert main(["modify", "--paths", str(tmp_path / "raw.jsonl"), "--output", str(tmp_path / "modified")]) == 1


def test_modify_with_sources_inserts_them(tmp_path, capsys):
    write_conversations(tmp_path / "raw.jsonl", number=20, label=lambda message: None)
    for name in ("bad", "good"):
        lines = [json.dumps({"messages": [f"{name} {n} {turn}" for turn in range(4)]}) for n in range(30)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    options = ["modify", "--paths", str(tmp_path / "raw.jsonl"), "--output", str(tmp_path / "new"), "--share", "0.2"]
    good, bad = (f"{tmp_path / name}.jsonl" for name in ("good", "bad"))
    assert main([*options, "--harmless", good]) == 1
    assert "--harmless goes with --sources" in capsys.readouterr().err
    assert main([*options, "--sources", bad, "--harmless", good, "--host_messages", "8"]) == 0
    conversations = list(read_conversations([tmp_path / "new"]))
    anomalous = round(0.2 * len(conversations))
    assert f"{len(conversations)} conversations, {anomalous} anomalous (" in capsys.readouterr().out
    kinds = [{message.kind for message in conversation.messages} - {None} for conversation in conversations]
    assert kinds.count({"bad"}) == kinds.count({"good"}) == anomalous


def test_prepare_leaves_what_pretrain_looks_for(place, capsys, pretrained):
    options = ["--config", str(place / "pretrain.yaml"), "--data.paths", str(place / "text.txt")]  # one path, no list
    assert main(["prepare", *options, "--data.cache", str(place / "cache")]) == 0
    folders = list((place / "cache").iterdir())
    assert len(folders) == 1 and capsys.readouterr().out.strip() == str(folders[0])
