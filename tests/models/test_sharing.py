"""Embeddings that are shared wholly, in one direction, or not at all; with ELECTRA and with other encoders."""

import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    ModernBertConfig,
    RobertaConfig,
)

from electra_lab.models.electra import Electra
from electra_lab.models.sharing import start_from_the_same_tables, without_sharing
from tests.models.test_electra import make_batch

VOCABULARY = 61
COMMON = {"vocab_size": VOCABULARY, "pad_token_id": 0}
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
MODERN = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3, "local_attention": 8}
DISTIL = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 40}
FAMILIES = {
    "electra": ElectraConfig(**COMMON, **SIZES, embedding_size=8),
    "bert": BertConfig(**COMMON, **SIZES),
    "roberta": RobertaConfig(**COMMON, **SIZES),
    "distilbert": DistilBertConfig(**COMMON, **DISTIL),
    "albert": AlbertConfig(**COMMON, **SIZES, embedding_size=8),
    "deberta-v2": DebertaV2Config(
        **COMMON, **SIZES, relative_attention=True, pos_att_type=["c2p", "p2c"], position_biased_input=False
    ),
    "modernbert": ModernBertConfig(**COMMON, **SIZES, **MODERN, global_attn_every_n_layers=2),
}


def make_pair(config, seed=0):
    torch.manual_seed(seed)
    config.num_labels = 1
    generator = AutoModelForMaskedLM.from_config(config)
    if config.model_type == "electra":
        return generator, ElectraForPreTraining(config)
    return generator, AutoModelForTokenClassification.from_config(config)


def total_loss(electra, batch):
    output = electra(batch)
    return output.masked_nll.mean() + 50 * output.discriminator_logits.square().mean(), output


@pytest.mark.parametrize("sharing", ["es", "gdes", "none"])
@pytest.mark.parametrize("family", FAMILIES)
def test_any_encoder_fills_and_judges(family, sharing):
    """P1 for every family: the head sees the chosen positions alone and says what it says about all of them."""
    electra, batch = Electra(*make_pair(FAMILIES[family]), sharing).eval(), make_batch()
    loss, output = total_loss(electra, batch)
    reads = {"input_ids": batch.masked_input_ids, "attention_mask": batch.attention_mask}
    if getattr(FAMILIES[family], "type_vocab_size", 0) > 1:
        reads["token_type_ids"] = batch.token_type_ids
    everywhere = electra.generator(**reads).logits.log_softmax(-1)
    assert everywhere.shape[1] == 16  # by itself the generator answers for every token
    original = batch.input_ids.gather(1, batch.masked_positions)
    rows = torch.arange(3)[:, None]
    expected = -everywhere[rows, batch.masked_positions].gather(2, original[..., None]).squeeze(2)
    assert (output.masked_nll - expected).abs().max() < 1e-5
    reads["input_ids"] = output.replaced_input_ids
    judged = electra.discriminator(**reads).logits.view(3, 16)
    real = batch.attention_mask.bool()
    assert (output.discriminator_logits - judged)[real].abs().max() < 1e-5
    loss.backward()
    assert not [name for name, parameter in electra.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize("family", FAMILIES)
def test_shared_embeddings_are_the_generators_own(family):
    """A table given the other way round would leave the generator's output layer tied to the old one."""
    electra = Electra(*make_pair(FAMILIES[family]))
    tables = [model.get_input_embeddings().weight for model in (electra.generator, electra.discriminator)]
    assert tables[0] is tables[1] and electra.generator.get_output_embeddings().weight is tables[0]
    ours, theirs = (model.base_model.embeddings for model in (electra.generator, electra.discriminator))
    assert {id(p) for p in ours.parameters()} == {id(p) for p in theirs.parameters()}


def test_each_network_keeps_its_own_dropout():
    generator, discriminator = make_pair(ElectraConfig(**COMMON, **SIZES, hidden_dropout_prob=0.3))
    generator.electra.embeddings.dropout.p = 0.0
    electra = Electra(generator, discriminator)
    assert electra.generator.electra.embeddings.dropout.p == 0.0
    assert electra.discriminator.electra.embeddings.dropout.p == 0.3


def test_nothing_is_shared_with_none():
    electra = Electra(*make_pair(FAMILIES["electra"]), "none")
    names = dict(electra.named_parameters(remove_duplicate=False))
    tied = {"generator.generator_lm_head.weight"}  # to the generator's own table
    assert len({id(p) for p in names.values()}) == len(names) - len(tied)


def test_gdes_keeps_the_loaded_weights_and_stops_the_gradient():
    """The discriminator starts with what it was loaded with; its loss moves the difference, never the generator."""
    generator, discriminator = make_pair(FAMILIES["electra"])
    loaded = discriminator.electra.embeddings.word_embeddings.weight.detach().clone()
    electra, batch = Electra(generator, discriminator, "gdes"), make_batch()
    table = electra.discriminator.electra.embeddings.word_embeddings
    assert (table.weight - loaded).abs().max() < 1e-7
    electra(batch).discriminator_logits.square().sum().backward()
    assert table.parametrizations.weight.original.grad.abs().sum() > 0
    assert electra.generator.electra.embeddings.word_embeddings.weight.grad is None
    with torch.no_grad():
        generator.electra.embeddings.word_embeddings.weight += 1.0
    assert (table.weight - loaded - 1.0).abs().max() < 1e-6  # it follows the generator's table


def test_gdes_starts_at_the_generators_table_and_has_a_difference_of_its_own():
    generator, discriminator = make_pair(FAMILIES["electra"])
    start_from_the_same_tables(generator, discriminator)
    electra = Electra(generator, discriminator, "gdes")
    tables = [n for n, _ in electra.discriminator.named_parameters() if n.endswith("parametrizations.weight.original")]
    assert len(tables) == 3  # words, positions, types
    assert all(not electra.discriminator.get_parameter(name).any() for name in tables)
    own = {id(p) for p in electra.discriminator.parameters()} & {id(p) for p in electra.generator.parameters()}
    assert not own


def test_gdes_is_exported_as_the_sum(tmp_path):
    """P12: what is saved is an ordinary discriminator, and saving does not change the one in training."""
    generator, discriminator = make_pair(FAMILIES["electra"])
    electra = Electra(generator, discriminator, "gdes").eval()
    batch = make_batch()
    judged = electra.discriminator(batch.input_ids, attention_mask=batch.attention_mask).logits
    without_sharing(electra.discriminator).save_pretrained(tmp_path)
    loaded, report = ElectraForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert loaded.eval()(batch.input_ids, attention_mask=batch.attention_mask).logits.equal(judged)
    assert hasattr(electra.discriminator.electra.embeddings.word_embeddings, "parametrizations")
    plain = make_pair(FAMILIES["electra"])[1]
    assert without_sharing(plain) is plain


def test_embeddings_of_another_width_are_refused():
    generator = ElectraForMaskedLM(ElectraConfig(**COMMON, **SIZES, embedding_size=4))
    discriminator = ElectraForPreTraining(ElectraConfig(**COMMON, **SIZES, embedding_size=8))
    for sharing in ("es", "gdes"):
        with pytest.raises(ValueError, match=rf"sharing {sharing} .*word_embeddings.weight is \(61, 4\) in the gen"):
            Electra(generator, discriminator, sharing)
    assert Electra(generator, discriminator, "none")(make_batch()).discriminator_logits.shape == (3, 16)


def test_what_cannot_be_shared_is_said():
    pair = make_pair(FAMILIES["electra"])
    with pytest.raises(ValueError, match="sharing must be one of es, gdes, none, got 'all'"):
        Electra(*pair, "all")
    with pytest.raises(ValueError, match="not trained cannot share"):
        Electra(*pair, "es", train_generator=False)


@pytest.mark.parametrize("sharing", ["gdes", "none"])
def test_a_frozen_generator_stays_as_it_is(sharing):
    """Fast-ELECTRA: no gradient, no dropout, though the discriminator trains with it."""
    config = ElectraConfig(**COMMON, **SIZES, hidden_dropout_prob=0.5)
    electra, batch = Electra(*make_pair(config), sharing, train_generator=False), make_batch()
    assert not electra.generator.training  # Lightning keeps the modes that it finds
    electra.train()
    assert not electra.generator.training and electra.discriminator.training
    loss, output = total_loss(electra, batch)
    loss.backward()
    assert all(parameter.grad is None for parameter in electra.generator.parameters())
    assert all(p.grad is not None for p in electra.discriminator.parameters())
    assert electra(batch).masked_nll.equal(output.masked_nll)


def test_spare_rows_of_a_padded_table_are_never_guessed():
    """NVIDIA pads the table to a multiple of 8 and samples the rows that no token has."""
    generator, discriminator = make_pair(FAMILIES["electra"])
    with torch.no_grad():
        generator.generator_lm_head.bias[40:] = 50.0
    batch = make_batch()
    assert Electra(generator, discriminator)(batch).sampled_ids.min() >= 40
    limited = Electra(*make_pair(FAMILIES["electra"]), num_tokens=40)
    with torch.no_grad():
        limited.generator.generator_lm_head.bias[40:] = 50.0
    inside = batch._replace(input_ids=batch.input_ids.clamp(max=39))
    output = limited(inside)
    assert output.sampled_ids.max() < 40 and output.likelihoods.shape[-1] == 40
    assert output.masked_nll.max() < 10


def test_a_higher_temperature_draws_rarer_tokens():
    electra, batch = Electra(*make_pair(FAMILIES["electra"])).eval(), make_batch()
    with torch.no_grad():
        electra.generator.generator_lm_head.bias[7] = 8.0
    shares = {}
    for temperature in (None, 1.0, 4.0, 0.25):
        given = None if temperature is None else torch.tensor(temperature)
        drawn = torch.cat([electra(batch, given).sampled_ids.flatten() for _ in range(40)])
        shares[temperature] = (drawn == 7).float().mean().item()
    # exp(8) / (exp(8) + 60) = .98 at 1, exp(2) / (exp(2) + 60) = .11 at 4
    assert shares[None] == pytest.approx(0.98, abs=0.02) and shares[1.0] == pytest.approx(0.98, abs=0.02)
    assert shares[4.0] == pytest.approx(0.11, abs=0.05) and shares[0.25] == 1.0
