"""Generator and discriminator against the published graph, against transformers, and against what each must do."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import AutoModel, ElectraForMaskedLM, ElectraForPreTraining

from electra_lab.batches import PretrainingBatch
from electra_lab.models import electra as module
from electra_lab.models.electra import Electra
from electra_lab.models.sampling import draw, replace_tokens
from electra_lab.models.sizes import Sizes, electra_configs, preset_sizes
from tests import reference_google as google

VOCABULARY = 61
PROJECTED = Sizes(2, 32, 64, 4, 8, 0.5, max_positions=24, dropout=0.0)
EQUAL = Sizes(2, 16, 32, 2, 16, 1.0, max_positions=24, dropout=0.0)


def make_electra(sizes: Sizes, seed: int = 0) -> Electra:
    """Every parameter from a wide normal, so that no term of the graph is too small to see."""
    torch.manual_seed(seed)
    generator, discriminator = electra_configs(sizes, VOCABULARY)
    electra = Electra(ElectraForMaskedLM(generator), ElectraForPreTraining(discriminator))
    for parameter in electra.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return electra.double()


def make_batch(seed: int = 0) -> PretrainingBatch:
    """Three examples of 16 places: full, padded, short; two segments but for the last."""
    rng = np.random.default_rng(seed)
    lengths, splits = np.array([[16], [11], [5]]), np.array([[7], [6], [16]])
    columns = np.arange(16)
    attention_mask = (columns < lengths).astype(np.int64)
    input_ids = rng.integers(5, VOCABULARY, (3, 16)) * attention_mask
    positions = np.array([[2, 5, 9, 14], [1, 4, 8, 0], [3, 0, 0, 0]])
    weights = (positions > 0).astype(np.float32)
    masked = input_ids.copy()
    for row, column in zip(*np.nonzero(weights), strict=True):
        if (row, column) != (0, 1):  # one chosen position keeps its token
            masked[row, positions[row, column]] = 4
    return PretrainingBatch(
        input_ids=torch.from_numpy(input_ids),
        masked_input_ids=torch.from_numpy(masked),
        token_type_ids=torch.from_numpy(((columns >= splits) & (attention_mask == 1)).astype(np.int64)),
        attention_mask=torch.from_numpy(attention_mask),
        masked_positions=torch.from_numpy(positions),
        masked_weights=torch.from_numpy(weights),
        num_masked=torch.tensor(8.0),
        num_tokens=torch.tensor(32.0),
        position=(0, 0),
    )


def losses(batch, output):
    masked_lm = (output.masked_nll * batch.masked_weights).sum() / batch.num_masked
    per_token = binary_cross_entropy_with_logits(output.discriminator_logits, output.labels.double(), reduction="none")
    return masked_lm, (per_token * batch.attention_mask).sum() / batch.num_tokens


@pytest.mark.parametrize("sizes", [PROJECTED, EQUAL], ids=["projected", "equal sizes"])
def test_losses_and_logits_are_those_of_the_published_graph(sizes, monkeypatch):
    """P2: an independent numpy reading of google-research/electra, with the same Gumbel noise."""
    electra, batch = make_electra(sizes), make_batch()
    uniforms = np.random.default_rng(1).random((3, 4, VOCABULARY))
    reference = google.pretraining(
        {name: value.numpy() for name, value in electra.generator.state_dict().items()},
        {name: value.numpy() for name, value in electra.discriminator.state_dict().items()},
        google.Inputs(*(tensor.numpy() for tensor in batch[:6])),
        generator_heads=max(1, int(sizes.hidden_size * sizes.generator_width) // 64),
        discriminator_heads=sizes.num_heads,
        draw=lambda logits: google.gumbel_draw(logits, uniforms),
    )
    monkeypatch.setattr(
        module, "draw", lambda p: torch.from_numpy(google.gumbel_draw(p.double().log().numpy(), uniforms))
    )
    # the model takes its losses in fp32; here the comparison is with float64
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)
    output = electra(batch)
    masked_lm, discriminator = losses(batch, output)
    assert output.sampled_ids.tolist() == reference.sampled_ids.tolist()
    assert output.replaced_input_ids.tolist() == reference.corrupted_ids.tolist()
    assert output.labels.long().tolist() == reference.labels.tolist()
    real = batch.attention_mask.bool()
    expected = torch.from_numpy(reference.discriminator_logits)
    assert (output.discriminator_logits - expected)[real].abs().max() < 1e-10
    assert masked_lm.item() == pytest.approx(reference.masked_lm_loss, rel=1e-6)
    assert discriminator.item() == pytest.approx(reference.discriminator_loss, rel=1e-6)
    assert (masked_lm + 50 * discriminator).item() == pytest.approx(reference.total_loss, rel=1e-6)


def test_masked_logits_are_those_of_transformers():
    """P1: the output layer on N positions alone gives what it gives on all of them."""
    electra, batch = make_electra(PROJECTED), make_batch()
    everywhere = electra.generator(
        input_ids=batch.masked_input_ids, attention_mask=batch.attention_mask, token_type_ids=batch.token_type_ids
    ).logits.log_softmax(-1)
    rows = torch.arange(3)[:, None]
    original = batch.input_ids.gather(1, batch.masked_positions)
    expected = -everywhere[rows, batch.masked_positions].gather(2, original[..., None]).squeeze(2)
    assert (electra(batch).masked_nll - expected).abs().max() < 1e-5


def test_gradients_are_those_of_transformers_losses():
    """P3: labels=-100 and BCE on the same samples; the shared table collects the gradients of its three uses."""
    electra, batch = make_electra(PROJECTED), make_batch()
    output = electra(batch)
    masked_lm, discriminator = losses(batch, output)
    (masked_lm + 50 * discriminator).backward()
    ours = {
        name: parameter.grad.clone() for name, parameter in electra.named_parameters() if parameter.grad is not None
    }
    electra.zero_grad()
    labels = torch.full_like(batch.input_ids, -100)
    rows, slots = torch.nonzero(batch.masked_weights, as_tuple=True)
    places = batch.masked_positions[rows, slots]
    labels[rows, places] = batch.input_ids[rows, places]
    common = {"attention_mask": batch.attention_mask, "token_type_ids": batch.token_type_ids}
    logits = electra.generator(input_ids=batch.masked_input_ids, **common).logits
    judged = electra.discriminator(input_ids=output.replaced_input_ids, **common).logits
    real = batch.attention_mask.bool()
    reference = cross_entropy(logits.flatten(0, 1), labels.flatten()) + 50 * binary_cross_entropy_with_logits(
        judged[real], output.labels[real].double()
    )
    reference.backward()
    for name, parameter in electra.named_parameters():
        if parameter.grad is None:
            assert name not in ours, name
        else:
            scale = parameter.grad.abs().max().clamp(min=1e-6)  # a bias of the keys has none but rounding
            assert (ours[name] - parameter.grad).abs().max() / scale < 1e-6, name


def test_the_discriminator_teaches_nothing_to_the_generator_alone():
    electra, batch = make_electra(PROJECTED), make_batch()
    losses(batch, electra(batch))[1].backward()
    embeddings = {id(parameter) for parameter in electra.discriminator.parameters()}
    for name, parameter in electra.generator.named_parameters():
        if id(parameter) not in embeddings:
            assert parameter.grad is None or not parameter.grad.abs().any(), name


def test_all_embeddings_are_shared_and_the_output_layer_stays_tied():
    """lucidrains/electra-pytorch ties the output layer to the table that it throws away."""
    electra = make_electra(PROJECTED)
    ours, theirs = (model.electra.embeddings for model in (electra.generator, electra.discriminator))
    assert {id(p) for p in ours.parameters()} == {id(p) for p in theirs.parameters()} and len([*ours.parameters()]) == 5
    table = electra.discriminator.electra.embeddings.word_embeddings.weight
    assert electra.generator.generator_lm_head.weight is table
    assert electra.generator.electra.embeddings_project.out_features == 16  # both networks project their own way
    assert electra.discriminator.electra.embeddings_project.out_features == 32


def test_labels_say_whether_the_token_changed(monkeypatch):
    """P6: a generator that is always right leaves nothing to find; one that is always wrong is found everywhere."""
    electra, batch = make_electra(PROJECTED), make_batch()
    original = batch.input_ids.gather(1, batch.masked_positions)
    monkeypatch.setattr(module, "draw", lambda likelihoods: original)
    output = electra(batch)
    assert not output.labels.any() and output.replaced_input_ids.equal(batch.input_ids)
    monkeypatch.setattr(module, "draw", lambda likelihoods: torch.full_like(original, 3))  # [SEP]: nowhere in the text
    output = electra(batch)
    expected = torch.zeros_like(output.labels)
    expected[0, [2, 5, 9, 14]] = expected[1, [1, 4, 8]] = expected[2, 3] = True  # also where the token was kept
    assert output.labels.equal(expected)
    assert not (output.replaced_input_ids == 4).any()  # the discriminator never reads [MASK]


def test_unused_slots_write_nothing():
    ids = torch.tensor([[2, 7, 8, 3]])
    written = replace_tokens(ids, torch.tensor([[2, 0, 0]]), torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[9, 5, 6]]))
    assert written.tolist() == [[2, 7, 9, 3]]


@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16 autocast"])
def test_draws_follow_the_softmax(autocast):
    """P5: total variation at the noise floor; noise in half precision would cut the tail off (.32 at 5 nats)."""
    torch.manual_seed(0)
    probabilities = torch.softmax(torch.randn(200) * 2, -1)
    rows = probabilities.expand(60_000, -1)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        counts = torch.bincount(draw(rows), minlength=200)
    drawn = counts / counts.sum()
    floor = (probabilities * (1 - probabilities) / 60_000).sqrt().sum() * math.sqrt(2 / math.pi) / 2
    assert (drawn - probabilities).abs().sum() / 2 < 1.5 * floor
    rare = probabilities.sort().values.cumsum(0) < 0.05
    assert drawn[probabilities.argsort()][rare].sum() == pytest.approx(0.05, abs=0.005)


def test_what_has_no_probability_is_never_drawn():
    likelihoods = torch.tensor([0.0, 1.0, 0.0]).expand(1000, -1)
    assert (draw(likelihoods) == 1).all()


# Millions of parameters: discriminator, its encoder, what only the generator has (measured on the published sizes)
COUNTS = [
    ("small", 30522, 13.549, 13.483, 0.647),
    ("small++", 30522, 13.549, 13.483, 9.574),
    ("base", 30522, 109.483, 108.892, 9.903),
    ("large", 30522, 335.143, 334.092, 19.512),
    ("base", 35000, 112.922, 112.331, 9.908),
]


@pytest.mark.parametrize(("preset", "vocabulary", "discriminator", "encoder", "generator"), COUNTS)
def test_presets_have_the_published_sizes(preset, vocabulary, discriminator, encoder, generator):
    with torch.device("meta"):
        configs = electra_configs(preset_sizes(preset), vocabulary)
        electra = Electra(ElectraForMaskedLM(configs[0]), ElectraForPreTraining(configs[1]))
    shared = {id(parameter) for parameter in electra.discriminator.parameters()}
    own = sum(p.numel() for p in electra.generator.parameters() if id(p) not in shared)
    assert sum(p.numel() for p in electra.discriminator.parameters()) / 1e6 == pytest.approx(discriminator, abs=5e-4)
    assert sum(p.numel() for p in electra.discriminator.electra.parameters()) / 1e6 == pytest.approx(encoder, abs=5e-4)
    assert own / 1e6 == pytest.approx(generator, abs=5e-4)


def test_only_chosen_positions_reach_the_output_layer():
    """Logits of all positions would be seven times as many; N of them are enough."""
    electra, batch = make_electra(PROJECTED), make_batch()
    seen = []
    electra.generator.generator_lm_head.register_forward_hook(lambda layer, inputs, output: seen.append(output.shape))
    electra(batch)
    assert seen == [(3, 4, VOCABULARY)]  # (B, N, V)


def test_sizes_reach_both_networks():
    generator, discriminator = electra_configs(preset_sizes("base", {"dropout": 0.0, "init_std": 0.05}), 100, 3)
    assert (generator.hidden_size, generator.num_attention_heads, generator.intermediate_size) == (256, 4, 1024)
    for config in (generator, discriminator):
        assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == 0.0
        assert (config.initializer_range, config.pad_token_id, config.embedding_size) == (0.05, 3, 768)


def test_an_untrained_pair_knows_nothing():
    """P10: ln V for the generator, ln 2 for the discriminator."""
    torch.manual_seed(0)
    configs = electra_configs(preset_sizes("small", {"num_layers": 2}), 30522)
    electra = Electra(ElectraForMaskedLM(configs[0]), ElectraForPreTraining(configs[1])).eval()
    batch = make_batch()
    masked_lm, discriminator = losses(batch, electra(batch))
    assert masked_lm.item() == pytest.approx(math.log(30522), abs=0.3)
    assert discriminator.item() == pytest.approx(math.log(2), abs=0.05)


def test_saved_networks_are_whole_though_they_share(tmp_path):
    """P12: each folder alone gives the same logits."""
    electra, batch = make_electra(PROJECTED).float().eval(), make_batch()
    electra.generator.save_pretrained(tmp_path / "generator")
    electra.discriminator.save_pretrained(tmp_path / "discriminator")
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    for kind, ours in ((ElectraForMaskedLM, electra.generator), (ElectraForPreTraining, electra.discriminator)):
        name = "generator" if kind is ElectraForMaskedLM else "discriminator"
        loaded, report = kind.from_pretrained(tmp_path / name, output_loading_info=True)
        assert not report["missing_keys"] and not report["unexpected_keys"]
        assert loaded.eval()(**inputs).logits.equal(ours(**inputs).logits)
    assert AutoModel.from_pretrained(tmp_path / "discriminator").config.hidden_size == 32


def test_sizes_that_do_not_exist_are_named():
    with pytest.raises(ValueError, match=r"preset must be one of tiny, small, small\+\+, base, large, got 'smal'"):
        preset_sizes("smal")
    with pytest.raises(ValueError, match="got hiden_size"):
        preset_sizes("tiny", {"hiden_size": 64})
    with pytest.raises(ValueError, match="multiple of num_heads 2"):
        preset_sizes("tiny", {"hidden_size": 63})
    assert preset_sizes("tiny", {"hidden_size": 64.0}).hidden_size == 64
