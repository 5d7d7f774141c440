import math

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining

from tests import reference_google as google


def config(embedding_size: int, hidden_size: int, num_heads: int) -> ElectraConfig:
    return ElectraConfig(
        vocab_size=61,
        embedding_size=embedding_size,
        hidden_size=hidden_size,
        num_hidden_layers=2,
        num_attention_heads=num_heads,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=24,
    )


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """Every parameter from a wide normal, LayerNorm and biases too: an error nowhere hides behind ones and zeros."""
    for name, parameter in model.named_parameters():
        centre = 1.0 if "LayerNorm.weight" in name else 0.0
        torch.nn.init.normal_(parameter, centre, 0.3)
    return model.double().eval()


def arrays(model: torch.nn.Module) -> google.Weights:
    return {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}


def inputs(seed: int = 0) -> google.Inputs:
    """Three examples: a full one of two segments, a padded one of two, a short one of one segment."""
    rng = np.random.default_rng(seed)
    lengths, first_segments = [16, 11, 5], [7, 6, 5]
    ids = rng.integers(5, 61, (3, 16))
    attention_mask = (np.arange(16) < np.array(lengths)[:, None]).astype(np.int64)
    token_types = ((np.arange(16) >= np.array(first_segments)[:, None]) & (attention_mask == 1)).astype(np.int64)
    ids = ids * attention_mask
    positions = np.array([[2, 5, 9, 14], [1, 4, 8, 0], [3, 0, 0, 0]])
    weights = (positions > 0).astype(np.float64)
    masked_ids, _ = google.scatter(ids, np.full_like(positions, 4), positions)
    return google.Inputs(ids, masked_ids, token_types, attention_mask, positions, weights)


@pytest.fixture(params=[(8, 16, 4), (16, 16, 2)], ids=["projected", "equal sizes"])
def pair(request: pytest.FixtureRequest) -> tuple[ElectraForMaskedLM, ElectraForPreTraining]:
    torch.manual_seed(0)
    embedding_size, hidden_size, num_heads = request.param
    generator = randomised(ElectraForMaskedLM(config(embedding_size, hidden_size, num_heads)))
    discriminator = randomised(ElectraForPreTraining(config(embedding_size, hidden_size, num_heads)))
    return generator, discriminator


def test_both_logits_agree_with_transformers(pair: tuple[ElectraForMaskedLM, ElectraForPreTraining]) -> None:
    generator, discriminator = pair
    batch = inputs()
    ids, types, mask = (
        torch.from_numpy(array) for array in (batch.input_ids, batch.token_type_ids, batch.attention_mask)
    )
    heads = generator.config.num_attention_heads
    real = batch.attention_mask == 1
    with torch.no_grad():
        theirs = generator(ids, mask, types).logits.numpy()
        replaced = discriminator(ids, mask, types).logits.numpy()

    hidden = google.encoder(arrays(generator), batch.input_ids, batch.token_type_ids, batch.attention_mask, heads)
    ours = google.masked_lm_logits(arrays(generator), hidden, batch.masked_positions)
    gathered = np.take_along_axis(theirs, batch.masked_positions[:, :, None], axis=1)
    assert np.abs(gathered).max() > 1  # the comparison says something
    np.testing.assert_allclose(ours, gathered, atol=1e-12, rtol=1e-12)

    hidden = google.encoder(arrays(discriminator), batch.input_ids, batch.token_type_ids, batch.attention_mask, heads)
    np.testing.assert_allclose(
        google.discriminator_logits(arrays(discriminator), hidden)[real], replaced[real], atol=1e-12, rtol=1e-12
    )


def test_whole_loss_agrees_with_torch(pair: tuple[ElectraForMaskedLM, ElectraForPreTraining]) -> None:
    generator, discriminator = pair
    batch = inputs()
    heads = generator.config.num_attention_heads
    uniforms = np.random.default_rng(1).random((3, 4, 61))
    result = google.pretraining(
        arrays(generator),
        arrays(discriminator),
        batch,
        heads,
        heads,
        draw=lambda logits: google.gumbel_draw(logits, uniforms),
    )
    chosen = batch.masked_weights == 1
    rows, slots = np.nonzero(chosen)
    positions = batch.masked_positions[chosen]
    types, mask = torch.from_numpy(batch.token_type_ids), torch.from_numpy(batch.attention_mask)
    with torch.no_grad():
        logits = generator(torch.from_numpy(batch.masked_input_ids), mask, types).logits[rows, positions]
        corrupted = torch.from_numpy(batch.input_ids).clone()
        corrupted[rows, positions] = torch.from_numpy(result.sampled_ids[rows, slots])
        labels = (corrupted != torch.from_numpy(batch.input_ids)).double()
        replaced = discriminator(corrupted, mask, types).logits
    masked_lm = functional.cross_entropy(logits, torch.from_numpy(batch.input_ids[rows, positions]))
    binary = functional.binary_cross_entropy_with_logits(replaced[mask == 1], labels[mask == 1])
    # the published denominators carry 1e-6 more
    assert result.masked_lm_loss == pytest.approx(masked_lm.item() * 8 / (8 + 1e-6), rel=1e-12)
    assert result.discriminator_loss == pytest.approx(binary.item() * 32 / (32 + 1e-6), rel=1e-12)
    assert result.total_loss == result.masked_lm_loss + 50 * result.discriminator_loss
    np.testing.assert_array_equal(result.corrupted_ids, corrupted.numpy())
    np.testing.assert_array_equal(result.labels, labels.numpy())
    assert 0 < result.labels.sum() <= 8


def test_padding_reaches_no_real_token() -> None:
    torch.manual_seed(0)
    weights, batch = arrays(randomised(ElectraForPreTraining(config(8, 16, 4)))), inputs()
    other = np.where(batch.attention_mask == 1, batch.input_ids, 33)
    types, mask = batch.token_type_ids, batch.attention_mask
    both = [google.encoder(weights, ids, types, mask, 4) for ids in (batch.input_ids, other)]
    real = batch.attention_mask == 1
    np.testing.assert_array_equal(both[0][real], both[1][real])


def test_gumbel_draw_follows_the_softmax() -> None:
    probabilities = np.array([0.6, 0.3, 0.1])
    uniforms = np.random.default_rng(0).random((20_000, 1, 3))
    drawn = google.gumbel_draw(np.log(probabilities)[None, None], uniforms)
    np.testing.assert_allclose(np.bincount(drawn[:, 0]) / 20_000, probabilities, atol=0.015)  # 4 standard deviations


def test_scatter_spares_position_0_and_averages_duplicates() -> None:
    new_ids, updated = google.scatter(
        np.array([[2, 10, 11, 12]]), np.array([[50, 20, 30, 7]]), np.array([[1, 2, 2, 0]])
    )
    assert new_ids.tolist() == [[2, 50, 25, 12]]
    assert updated.tolist() == [[0, 1, 1, 0]]


def test_a_generator_that_is_right_leaves_nothing_replaced() -> None:
    torch.manual_seed(0)
    batch = inputs()
    generator = arrays(randomised(ElectraForMaskedLM(config(8, 16, 4))))
    discriminator = arrays(randomised(ElectraForPreTraining(config(8, 16, 4))))
    right = np.take_along_axis(batch.input_ids, batch.masked_positions, axis=1)
    assert google.pretraining(generator, discriminator, batch, 4, 4, lambda logits: right).labels.sum() == 0
    wrong = google.pretraining(generator, discriminator, batch, 4, 4, lambda logits: right % 50 + 5)
    at, _ = google.scatter(np.zeros_like(batch.input_ids), np.ones_like(right), batch.masked_positions)
    np.testing.assert_array_equal(wrong.labels, at)


@pytest.mark.parametrize(("num_tokens", "expected"), [(1, 1), (3, 1), (10, 2), (30, 4), (50, 8), (127, 19), (128, 19)])
def test_num_to_mask_rounds_halves_to_even(num_tokens: int, expected: int) -> None:
    mask = (np.arange(128) < num_tokens).astype(np.int64)[None]
    assert google.num_to_mask(mask, 0.15, 19).tolist() == [expected]  # 1.5 -> 2, 4.5 -> 4, 7.5 -> 8, 19.05 -> 19


def test_unknown_words_may_be_masked_but_markers_may_not() -> None:
    ids, mask = np.array([[2, 1, 9, 4, 3, 0]]), np.array([[1, 1, 1, 1, 1, 0]])
    assert google.may_be_masked(ids, mask, never=(0, 2, 3, 4)).tolist() == [[False, True, True, False, False, False]]


def test_first_step_has_no_bias_correction() -> None:
    """By hand: m = .1 g, v = .001 g^2, so the first update is .1 / sqrt(.001) = 3.162 whatever the gradient is."""
    weights = {"dense.weight": np.array([2.0]), "LayerNorm.weight": np.array([2.0]), "dense.bias": np.array([2.0])}
    gradients = {name: np.array([0.5]) for name in weights}
    zeros = {name: np.zeros(1) for name in weights}
    new, first, second = google.adam_weight_decay(weights, gradients, zeros, zeros, learning_rate=0.01)
    step = 0.05 / (math.sqrt(0.00025) + 1e-6)
    assert new["dense.bias"][0] == new["LayerNorm.weight"][0] == pytest.approx(2 - 0.01 * step, rel=1e-15)
    assert new["dense.weight"][0] == pytest.approx(2 - 0.01 * (step + 0.01 * 2), rel=1e-15)
    assert (first["dense.bias"][0], second["dense.bias"][0]) == pytest.approx((0.05, 0.00025))


def test_moments_after_ten_equal_gradients() -> None:
    """By hand: m = g (1 - .9^10), v = g^2 (1 - .999^10)."""
    weights, first, second = {"bias": np.zeros(1)}, {"bias": np.zeros(1)}, {"bias": np.zeros(1)}
    for _ in range(10):
        before = weights["bias"]
        weights, first, second = google.adam_weight_decay(weights, {"bias": np.full(1, 0.3)}, first, second, 0.1)
    step = 0.3 * (1 - 0.9**10) / (0.3 * math.sqrt(1 - 0.999**10) + 1e-6)
    assert before - weights["bias"] == pytest.approx(0.1 * step, rel=1e-12)


def test_clip_is_joint() -> None:
    new = google.clipped({"a": np.array([3.0]), "b": np.array([4.0])})
    assert (new["a"][0], new["b"][0]) == pytest.approx((0.6, 0.8))
    assert google.clipped({"a": np.array([0.5])})["a"][0] == 0.5


def test_learning_rate_never_reaches_its_peak() -> None:
    rates = [google.learning_rate(step, 5e-4, 10_000, 1_000_000) for step in (0, 5_000, 10_000, 1_000_000)]
    assert rates == pytest.approx([0.0, 5e-4 * 0.995 * 0.5, 5e-4 * 0.99, 0.0])
