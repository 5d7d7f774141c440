"""Pairs from released folders, from configurations and from sizes; what does not belong together is refused."""

import json
import shutil

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForTokenClassification,
    BertModel,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    ModernBertConfig,
    RobertaConfig,
)

from electra_lab.models.pair import load_pair, max_positions, new_pair, pair_tokenizer
from electra_lab.models.sizes import preset_sizes


@pytest.fixture(scope="module")
def released(koelectra_folder, tmp_path_factory):
    """A generator and a discriminator that share their embeddings, in two folders, as KoELECTRA is released."""
    root = tmp_path_factory.mktemp("released")
    for name in ("generator", "discriminator"):
        shutil.copytree(koelectra_folder, root / name)
    config = AutoConfig.from_pretrained(koelectra_folder)
    torch.manual_seed(1)
    generator = ElectraForMaskedLM(ElectraConfig(**{**config.to_dict(), "hidden_size": 16, "intermediate_size": 32}))
    discriminator = ElectraForPreTraining.from_pretrained(koelectra_folder)
    generator.electra.embeddings.load_state_dict(discriminator.electra.embeddings.state_dict())
    generator.config.save_pretrained(root / "generator")
    torch.save(generator.state_dict(), root / "generator" / "pytorch_model.bin")
    return root


def test_a_released_pair_comes_with_its_weights(released):
    source = str(released / "generator"), str(released / "discriminator")
    assert pair_tokenizer(*source) == source[1]
    generator, discriminator = load_pair(*source, AutoTokenizer.from_pretrained(source[1]))
    assert (type(generator), type(discriminator)) == (ElectraForMaskedLM, ElectraForPreTraining)
    assert generator.training and discriminator.training  # transformers hands them over without dropout
    saved = torch.load(released / "generator" / "pytorch_model.bin")
    assert generator.electra.embeddings.word_embeddings.weight.equal(saved["electra.embeddings.word_embeddings.weight"])
    assert generator.generator_lm_head.weight is generator.electra.embeddings.word_embeddings.weight


def test_a_generator_becomes_the_discriminator_of_two_stage_training(released):
    source = str(released / "generator")
    tokenizer = AutoTokenizer.from_pretrained(source)
    generator, discriminator = load_pair(source, source, tokenizer, new_head=True)
    assert type(discriminator) is ElectraForPreTraining
    for name, weight in generator.electra.state_dict().items():
        assert weight.equal(discriminator.electra.state_dict()[name]), name
    assert discriminator.electra is not generator.electra
    with pytest.raises(ValueError, match=r"can be one with --model\.new_head true"):
        load_pair(source, source, tokenizer)


def test_generator_dropout_is_its_own(released):
    source = str(released / "generator"), str(released / "discriminator")
    generator, discriminator = load_pair(*source, AutoTokenizer.from_pretrained(source[1]), generator_dropout=0.0)
    assert {m.p for m in generator.modules() if isinstance(m, torch.nn.Dropout)} == {0.0}
    assert {m.p for m in discriminator.modules() if isinstance(m, torch.nn.Dropout)} == {0.1}
    tokenizer = AutoTokenizer.from_pretrained(source[1])
    generator, discriminator = new_pair(preset_sizes("tiny"), tokenizer, generator_dropout=0.0)
    assert generator.config.attention_probs_dropout_prob == generator.config.hidden_dropout_prob == 0.0
    assert discriminator.config.attention_probs_dropout_prob == discriminator.config.hidden_dropout_prob == 0.1


def test_two_vocabularies_are_refused(released, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(released / "generator", other)
    words = (other / "vocab.txt").read_text(encoding="utf-8").split("\n")
    words[9], words[10] = words[10], words[9]
    (other / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    with pytest.raises(ValueError, match=r"do not share a vocabulary .* first difference is at id 9"):
        pair_tokenizer(str(other), str(released / "discriminator"))


def test_the_discriminator_is_no_generator(released):
    tokenizer = AutoTokenizer.from_pretrained(released / "discriminator")
    folder = str(released / "discriminator")
    with pytest.raises(ValueError, match=r"weights of ElectraForMaskedLM are missing.*is this the generator\?"):
        load_pair(folder, folder, tokenizer)
    with pytest.raises(ValueError, match=r"weights of ElectraForPreTraining are missing.*is this the discriminator\?"):
        load_pair(str(released / "generator"), str(released / "generator"), tokenizer)


def test_a_tokenizer_that_is_too_large_is_refused(released):
    tokenizer = AutoTokenizer.from_pretrained(released / "discriminator")
    tokenizer.add_tokens(["[MSG]"])
    with pytest.raises(ValueError, match=r"the generator has \d+ tokens, the tokenizer \d+.*leave data.tokenizer"):
        load_pair(str(released / "generator"), str(released / "discriminator"), tokenizer)


def test_nothing_there_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="no model configuration could be read from"):
        load_pair(str(tmp_path / "absent"), str(tmp_path / "absent"), None)


@pytest.mark.parametrize("config", [BertConfig, RobertaConfig, ModernBertConfig])
def test_a_configuration_alone_gives_random_weights_of_the_tokenizers_size(config, koelectra_folder, tmp_path):
    """ModernBERT's own ids of [PAD] and the like lie beyond a small vocabulary."""
    tokenizer = AutoTokenizer.from_pretrained(koelectra_folder)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config(**small).save_pretrained(tmp_path)
    for source in (str(tmp_path), str(tmp_path / "config.json")):
        assert pair_tokenizer(source, source) is None
        pair = load_pair(source, source, tokenizer)
        assert [model.config.vocab_size for model in pair] == [len(tokenizer)] * 2
        assert [model.config.pad_token_id for model in pair] == [tokenizer.pad_token_id] * 2
        assert pair[1].config.num_labels == 1
    model_type = json.loads((tmp_path / "config.json").read_text())["model_type"]
    assert type(pair[1]).__name__.lower().startswith(model_type)


def test_an_encoder_without_a_head_gets_a_new_one(koelectra_folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(koelectra_folder)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    generator, encoder = load_pair_of(BertConfig(vocab_size=len(tokenizer), **small), tmp_path)
    loaded = load_pair(generator, encoder, tokenizer)[1]
    assert isinstance(loaded, BertForTokenClassification)
    assert loaded.bert.encoder.layer[0].output.dense.weight.equal(
        AutoModel.from_pretrained(encoder).encoder.layer[0].output.dense.weight
    )


def load_pair_of(config, folder):
    from transformers import BertForMaskedLM

    BertForMaskedLM(config).save_pretrained(folder / "generator")
    BertModel(config).save_pretrained(folder / "encoder")
    return str(folder / "generator"), str(folder / "encoder")


def test_positions_are_counted_as_the_family_counts():
    assert max_positions(ElectraConfig(max_position_embeddings=128)) == 128
    assert max_positions(RobertaConfig(max_position_embeddings=514)) == 512


def test_the_published_initialisation(koelectra_folder):
    """Cut off at two standard deviations; Glorot where TensorFlow was left to its default (modeling.py:224-228)."""
    tokenizer = AutoTokenizer.from_pretrained(koelectra_folder)
    torch.manual_seed(0)
    sizes = preset_sizes("small", {"num_layers": 1})
    generator, discriminator = new_pair(sizes, tokenizer, init="google")
    for model in (generator, discriminator):
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2:
                assert parameter.eq(1.0 if name.endswith("LayerNorm.weight") else 0.0).all(), name
            elif name.endswith(("embeddings_project.weight", "dense_prediction.weight")):
                limit = (6 / sum(parameter.shape)) ** 0.5
                assert parameter.abs().max() <= limit and parameter.abs().max() > 0.9 * limit
            else:
                # a normal distribution cut off at two standard deviations has .88 of the standard deviation
                assert parameter.abs().max() <= 0.04
                assert parameter.std().item() == pytest.approx(0.02 * 0.8796, rel=0.05), name
    torch.manual_seed(0)
    usual = new_pair(sizes, tokenizer)[1].electra.encoder.layer[0].output.dense.weight
    assert usual.abs().max() > 0.06  # transformers does not cut off


def test_an_initialisation_that_does_not_exist(koelectra_folder):
    with pytest.raises(ValueError, match="init must be one of huggingface, google, got 'xavier'"):
        new_pair(preset_sizes("tiny"), AutoTokenizer.from_pretrained(koelectra_folder), init="xavier")
