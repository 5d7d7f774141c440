"""`pretrain` with each option that changes what is learned: from the command line to the folders that come out."""

import json

import pytest
import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    BertTokenizer,
    ElectraForMaskedLM,
    ElectraForPreTraining,
)

from electra_lab.__main__ import main
from tests.models.test_pair import released  # noqa: F401  # a fixture

TEXT = "\n\n".join(f"오늘 {a} 먹고 {b} 갔다 그리고 {a} 또 {b}" for a in "가나다라마바사" for b in "아자차카타파하")
TINY = """
model:
  preset: tiny
  sizes: {hidden_size: 32, intermediate_size: 64, num_layers: 2, embedding_size: 16}
  warmup_steps: 2
data: {vocabulary_size: 120, max_length: 32, batch_size: 4, validation_share: .2}
trainer: {max_steps: 3, accelerator: cpu, log_every_n_steps: 1}
"""


@pytest.fixture
def pretrain(tmp_path, monkeypatch, capsys):
    """Runs `electra-lab pretrain` on a small text; gives its folder and results."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")

    def run(name, *options):
        command = ["pretrain", "--config", "tiny.yaml", "--run_name", name, "--data.paths", "text.txt", *options]
        code = main(command)
        if code:
            return capsys.readouterr().err
        folder = tmp_path / "runs/pretrain" / name
        return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))

    return run


OPTIONS = {
    "gdes": ("--model.sharing", "gdes"),
    "none": ("--model.sharing", "none"),
    "google": ("--model.init", "google", "--model.bias_correction", "false", "--model.schedule", "google-linear"),
    "stable": ("--model.schedule", "warmup-stable-decay", "--model.generator_dropout", "0"),
    "warm": ("--model.temperature", "2", "--model.temperature_decay", "0.5"),
    "words": ("--data.whole_words", "true", "--data.mask_probability", "0.25"),
    "depth": ("--model.sizes.generator_depth", "0.5", "--model.sizes.generator_width", "1.0"),
    "saving": ("--model.gradient_checkpointing", "true", "--data.micro_batch_size", "2"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_runs_to_the_end_and_what_comes_out_is_plain(pretrain, name):
    folder, results = pretrain(name, *OPTIONS[name])
    assert results["steps"] == 3 and 0 < results["validation"]["masked_lm_loss"] < 10
    for kind, part in ((ElectraForMaskedLM, "generator"), (ElectraForPreTraining, "discriminator")):
        _, report = kind.from_pretrained(folder / part, output_loading_info=True)
        assert not report["missing_keys"] and not report["unexpected_keys"]
    if name == "depth":
        assert AutoModel.from_pretrained(folder / "generator").config.num_hidden_layers == 1


def test_recomputing_activations_changes_nothing(pretrain):
    values = [pretrain(f"c{value}", "--model.gradient_checkpointing", value)[1] for value in ("true", "false")]
    assert values[0]["validation"] == values[1]["validation"]


def test_a_frozen_generator_comes_out_as_it_went_in(pretrain, released):  # noqa: F811
    source = released / "generator", released / "discriminator"
    options = ["--model.generator", str(source[0]), "--model.discriminator", str(source[1])]
    frozen = ["--model.train_generator", "false", "--model.sharing", "gdes", "--model.temperature", "2"]
    folder, _ = pretrain("frozen", *options, *frozen, "--model.temperature_decay", "0.1")
    went_in, came_out = (ElectraForMaskedLM.from_pretrained(path) for path in (source[0], folder / "generator"))
    assert all(value.equal(went_in.state_dict()[name]) for name, value in came_out.state_dict().items())
    discriminator = ElectraForPreTraining.from_pretrained(folder / "discriminator").state_dict()
    before = ElectraForPreTraining.from_pretrained(source[1]).state_dict()
    assert any(not value.equal(before[name]) for name, value in discriminator.items())
    rows = (folder / "training_log.csv").read_text().splitlines()
    column = rows[0].split(",").index("train/temperature")
    seen = [float(row.split(",")[column]) for row in rows[1:] if row.split(",")[column]]
    assert seen[0] == 2.0 and seen == sorted(seen, reverse=True) and seen[-1] < 1.01


def test_going_on_from_a_released_pair(pretrain, released):  # noqa: F811
    """Tokenizer and weights are the pair's; a first run's folders are a pair too, and its loss is where it ended."""
    options = ["--model.generator", str(released / "generator"), "--model.discriminator", str(released)]
    options[-1] += "/discriminator"
    folder, first = pretrain("first", *options, "--model.learning_rate", "5e-3", "--trainer.max_steps", "40")
    words = AutoTokenizer.from_pretrained(folder / "generator").get_vocab()
    assert words == AutoTokenizer.from_pretrained(released / "generator").get_vocab()
    pair = ["--model.generator", str(folder / "generator"), "--model.discriminator", str(folder / "discriminator")]
    _, second = pretrain("second", *pair, "--model.learning_rate", "1e-9", "--trainer.max_steps", "1")
    assert first["validation"]["masked_lm_loss"] < 8 < 8.5  # ln 4995 = 8.52 without any learning
    assert second["validation"]["masked_lm_loss"] == pytest.approx(first["validation"]["masked_lm_loss"], rel=1e-3)


def test_two_stage_training_starts_the_discriminator_from_a_generator(pretrain):
    folder, _ = pretrain("stage1")
    pair = ["--model.generator", str(folder / "generator"), "--model.discriminator", str(folder / "generator")]
    equal = ["--model.sharing", "none", "--model.learning_rate", "1e-12"]
    assert "is this the discriminator?" in pretrain("refused", *pair)
    second, _ = pretrain("stage2", *pair, *equal, "--model.new_head", "true")
    before = AutoModel.from_pretrained(folder / "generator").state_dict()
    after = AutoModel.from_pretrained(second / "discriminator").state_dict()
    assert all(torch.allclose(before[name], value, atol=1e-6) for name, value in after.items())


def test_a_warmup_without_end_is_said(pretrain, capsys):
    pretrain("cold", "--model.warmup_steps", "3")
    assert "the warmup of 3 steps does not end in a run of 3" in capsys.readouterr().err


def test_tables_that_were_trained_apart_are_not_thrown_away(pretrain):
    folder, _ = pretrain("apart", "--model.sharing", "none")
    pair = ["--model.generator", str(folder / "generator"), "--model.discriminator", str(folder / "discriminator")]
    assert "they were trained apart, and sharing es would throw the disc" in pretrain("joined", *pair)
    assert pretrain("still apart", *pair, "--model.sharing", "gdes")[1]["steps"] == 3


def test_weights_without_their_tokenizer_are_refused(pretrain, released):  # noqa: F811
    folder, _ = pretrain("bare")
    for part in ("generator", "discriminator"):
        for name in ("tokenizer_config.json", "tokenizer.json", "vocab.txt"):
            (folder / part / name).unlink()
    pair = ["--model.generator", str(folder / "generator"), "--model.discriminator", str(folder / "discriminator")]
    assert "has a tokenizer: give theirs as data.tokenizer" in pretrain("mute", *pair)


def test_a_tokenizer_that_changed_makes_another_corpus(pretrain, tmp_path):
    folder, _ = pretrain("source")
    options = ("--data.tokenizer", str(folder / "generator"), "--model.warmup_steps", "1")
    pretrain("before", *options)
    before = set((tmp_path / "runs/data").iterdir())
    config = folder / "generator/tokenizer_config.json"
    config.write_text(config.read_text(encoding="utf-8") + " ", encoding="utf-8")
    pretrain("after", *options)
    assert len(set((tmp_path / "runs/data").iterdir()) - before) == 1


def test_a_pair_with_two_vocabularies_is_refused_before_anything_is_prepared(pretrain, released, tmp_path):  # noqa: F811
    folder, _ = pretrain("own")
    pair = ["--model.generator", str(folder / "generator"), "--model.discriminator", str(released / "discriminator")]
    before = sorted((tmp_path / "runs/data").iterdir())
    assert "do not share a vocabulary" in pretrain("mixed", *pair)
    assert sorted((tmp_path / "runs/data").iterdir()) == before


def test_any_encoder_by_configuration(pretrain, tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertConfig(**sizes).save_pretrained(tmp_path / "bert")
    pair = ["--model.generator", "bert/config.json", "--model.discriminator", "bert"]
    folder, _ = pretrain("bert", *pair)
    for kind, part in ((BertForMaskedLM, "generator"), (BertForTokenClassification, "discriminator")):
        model, report = kind.from_pretrained(folder / part, output_loading_info=True)
        assert not report["missing_keys"] and not report["unexpected_keys"]
        assert model.config.vocab_size == len(AutoTokenizer.from_pretrained(folder / part))
    assert "BertForTokenClassification" in (folder / "discriminator/README.md").read_text(encoding="utf-8")


REFUSED = {
    "one of two": (("--model.generator", "x"), "generator and discriminator are given together"),
    "head of nothing": (("--model.new_head", "true"), "new_head goes with a discriminator that is given"),
    "too long": (("--data.max_length", "513"), "data.max_length is 513, but the networks have 512 positions"),
    "frozen at random": (("--model.train_generator", "false"), "a generator that is not trained must be given"),
    "nothing held out": (("--data.validation_share", "0"), "validation_share must lie between 0 and 1"),
    "no [MASK]": (("--data.tokenizer", "maskless"), "the tokenizer has no mask token, which pretraining needs"),
    "no warmup": (("--model.bias_correction", "false", "--model.warmup_steps", "0"), "give warmup_steps"),
    "schedule": (("--model.schedule", "cosine"), "linear, google-linear, warmup-stable-decay"),
    "sharing": (("--model.sharing", "both"), "sharing must be one of es, gdes, none"),
    "init": (("--model.init", "xavier"), "init must be one of huggingface, google"),
    "temperature": (("--model.temperature", "0"), "temperature and its decay must be above 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_one_sentence(pretrain, case):
    options, sentence = REFUSED[case]
    BertTokenizer(vocab={"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4}, mask_token=None).save_pretrained(
        "maskless"
    )
    said = pretrain("refused", *options)
    assert sentence in said and "Traceback" not in said and torch.is_grad_enabled()
