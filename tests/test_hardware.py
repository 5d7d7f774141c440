"""The same training on other hardware: two processes, half precision, compiled; and the run that its file repeats."""

import csv
import json
from itertools import count

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from electra_lab import load_model_for_inference, predict_conversation, verbs
from electra_lab.__main__ import main
from electra_lab.callbacks.loss_curve import LossCurve
from electra_lab.metrics import MeanTerms, PretrainingMetrics
from electra_lab.models.electra import Electra
from tests.test_families import encoder_folder, texts  # noqa: F401  # a fixture
from tests.test_two_processes import PRETRAIN, place, results, run  # noqa: F401  # a fixture

FINETUNE = """
data: {batch_size: 8, micro_batch_size: 4, max_length: 128, augmentation: 0}
trainer:
  {accelerator: cpu, devices: 1, max_steps: 3, check_val_every_n_epoch: null, val_check_interval: 3,
   log_every_n_steps: 1, num_sanity_val_steps: 0}
model: {learning_rate: 1.0e-3, dropout: 0.0}
"""
HALF = ["bf16-mixed", "bf16-true"]  # of the first a fused AdamW made Lightning refuse to clip
TYPES = {"bf16-mixed": torch.float32, "bf16-true": torch.bfloat16}


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(LossCurve, "_draw", lambda *unused: None)
    monkeypatch.setattr(verbs, "write_figures", lambda *unused: [])


@pytest.fixture(scope="module")
def encoder(texts, tmp_path_factory):  # noqa: F811
    return encoder_folder("electra", texts, tmp_path_factory.mktemp("electra"))


@pytest.fixture(scope="module")
def trained(place, encoder):  # noqa: F811
    """Runs each verb with options, once; gives its folder."""
    done, numbers = {}, count()

    def once(verb, *options):
        if (verb, options) not in done:
            name = f"run{next(numbers)}"
            assert main(command(place, verb, name, encoder, *options)) == 0
            done[verb, options] = place / "runs" / verb / name
        return done[verb, options]

    return once


def command(place, verb, name, encoder, *options):  # noqa: F811
    paths = ["--data.paths", str(place / "text.txt"), "--data.cache", str(place / "cache")]
    settings = PRETRAIN
    if verb == "finetune":
        paths = ["--data.paths", str(place / "chats.jsonl"), "--model.backbone", str(encoder)]
        settings = FINETUNE
    (place / f"{verb}-here.yaml").write_text(settings)
    given = ["--config", str(place / f"{verb}-here.yaml"), "--run_name", name, "--output", str(place / "runs")]
    return [verb, *given, *paths, *options]


def rows(folder):
    """The training log as numbers, without its times."""
    with (folder / "training_log.csv").open(encoding="utf-8", newline="") as file:
        read = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [{name: value for name, value in row.items() if "second" not in name} for row in read]


def saved(folder):
    (path, *_) = sorted((folder / "checkpoints").glob("*.ckpt"))
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_half_precision_trains_alike(trained, verb, precision):
    """The figures of the first step to the digits that bfloat16 has, and the learning rates to all of theirs."""
    exact, half = (rows(trained(verb, *options)) for options in ((), ("--trainer.precision", precision)))
    assert len(exact) == len(half)
    first = "train/masked_lm_loss" if verb == "pretrain" else "train/loss"
    assert half[0][first] == pytest.approx(exact[0][first], rel=0.02)
    for row, other in zip(exact, half, strict=True):
        assert row.keys() == other.keys()
        for name in ("step", "train/learning_rate", "train/tokens"):
            assert row.get(name) == other.get(name)  # never changed silently
    assert half[-1]["val/loss"] == pytest.approx(exact[-1]["val/loss"], rel=0.1)


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_what_stays_in_float32(trained, verb, precision):
    """Weights and moments: with bf16-mixed as without it, with bf16-true all of them are half."""
    checkpoint = saved(trained(verb, "--trainer.precision", precision))
    weights = {value.dtype for name, value in checkpoint["state_dict"].items() if value.is_floating_point()}
    states = [state for part in checkpoint.get("optimizer_states", []) for state in part["state"].values()]
    assert weights | {state["exp_avg"].dtype for state in states} == {TYPES[precision]}


def test_a_half_detector_serves(trained):
    model, tokenizer = load_model_for_inference(
        str(trained("finetune", "--trainer.precision", "bf16-true") / "detector")
    )
    assert 0 < predict_conversation(model, tokenizer, ["안녕하세요", "뭐하세요?"], "cpu").score < 1


def test_counts_stay_exact_where_the_task_is_half():
    """In bfloat16 256 + 1 is 256: of a long validation only the beginning would count."""
    task = nn.ModuleDict({"pretraining": PretrainingMetrics(), "terms": MeanTerms(("loss",))}).to(torch.bfloat16)
    task["pretraining"].reset()
    ones = torch.ones(1, 1001)
    for _ in range(3):
        task["pretraining"].update(ones, ones, ones, ones, -ones, 1 - ones, ones)
        task["terms"].update({"loss": torch.full((300,), 0.1)})
    assert task["pretraining"].sums[0] == 3003 and task["terms"].num_windows == 900
    assert float(task["terms"].compute()["loss"]) == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize("family", ["bert", pytest.param("roberta", marks=pytest.mark.slow)])
def test_an_encoder_with_a_pooler_is_trained_by_two(place, texts, family, tmp_path):  # noqa: F811
    """Its file has a pooling layer that nothing reads: without a gradient DDP would wait for it in the second step."""
    folder = encoder_folder(family, texts, tmp_path / family)
    assert any("pooler" in name for name in load_file(folder / "model.safetensors"))
    run(command(place, "finetune", f"two-{family}", folder), 2)
    found = results(place / "runs/finetune" / f"two-{family}")
    assert found["devices"] == 2 and found["steps"] == 3
    if family == "bert":
        run(command(place, "finetune", "one-bert", folder), 1)
        one, two = (rows(place / f"runs/finetune/{number}-bert") for number in ("one", "two"))
        for row, other in zip(one, two, strict=True):
            assert other == pytest.approx(row, rel=1e-4)


@pytest.mark.slow
def test_a_pair_of_other_encoders_is_pretrained_by_two(place, encoder, texts, tmp_path):  # noqa: F811
    """BERT fills and BERT judges; all of both has a gradient."""
    folder = encoder_folder("bert", texts, tmp_path / "bert")
    both = ["--model.generator", str(folder / "config.json"), "--model.discriminator", str(folder / "config.json")]
    tokenizer = ["--data.tokenizer", str(folder), "--trainer.max_steps", "3", "--data.validation_examples", "8"]
    run(command(place, "pretrain", "two-berts", encoder, *both, *tokenizer), 2)
    found = results(place / "runs/pretrain/two-berts")
    assert found["devices"] == 2 and found["steps"] == 3


@pytest.mark.slow
def test_a_compiled_pair_is_the_pair(trained, monkeypatch):
    """The graph as Python runs it; what the kernels of a device make of it is for the tests on that device."""
    graphs = []

    def backend(graph, example_inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(Electra, "compile", lambda self: nn.Module.compile(self, backend=backend))
    still = ("--model.sizes.dropout", "0")  # compiled, dropout draws in another order
    plain, compiled = (rows(trained("pretrain", *still, *options)) for options in ((), ("--model.compile", "true")))
    assert graphs
    for row, other in zip(plain, compiled, strict=True):
        assert other == pytest.approx(row, rel=1e-5)


@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_the_saved_options_repeat_the_run_bit_for_bit(trained, place, verb):  # noqa: F811
    first = trained(verb)
    assert main([verb, "--config", str(first / "config.yaml"), "--run_name", "again"]) == 0
    second = place / "runs" / verb / "again"
    assert rows(first) == rows(second)
    exported = "discriminator" if verb == "pretrain" else "detector"
    (one, two) = (sorted((folder / exported).glob("*.safetensors")) for folder in (first, second))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two] != []
    found = [json.loads((folder / "results.json").read_text(encoding="utf-8")) for folder in (first, second)]
    for part in ("validation", "test"):
        assert found[0].get(part) == found[1].get(part)


@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_the_printed_options_are_a_file_of_options(place, encoder, verb, capsys, tmp_path):  # noqa: F811
    given = command(place, verb, "printed", encoder)
    printed = []
    for arguments in (given, [verb, "--config", str(tmp_path / "printed.yaml")]):
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--print_config"])
        assert not end.value.code
        printed.append(capsys.readouterr().out)
        (tmp_path / "printed.yaml").write_text(printed[-1], encoding="utf-8")
    assert printed[0] == printed[1]
    assert yaml.safe_load(printed[0])["data"]["batch_size"] == 8
