"""The published ELECTRA graph in numpy: what our pretraining is compared with, sharing no code with it.

Read from https://github.com/google-research/electra (file:line beside each function), written anew, float64
throughout, without dropout (evaluation). Weights are dicts of Hugging Face `state_dict` names -> arrays, so that
`{name: tensor.numpy() for name, tensor in model.state_dict().items()}` goes straight in.

B examples, L tokens of an example, N masked positions, V vocabulary, E embedding size, H hidden size.
"""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
Weights = dict[str, NDArray]

NO_DECAY = ("LayerNorm", "layer_norm", "bias")  # model/optimization.py:56


class Inputs(NamedTuple):
    """One batch after masking; `input_ids` is the text as it was, weight-0 slots of `masked_positions` hold 0."""

    input_ids: Ids  # (B, L)
    masked_input_ids: Ids  # (B, L)
    token_type_ids: Ids  # (B, L)
    attention_mask: Ids  # (B, L)
    masked_positions: Ids  # (B, N)
    masked_weights: Array  # (B, N)


class Result(NamedTuple):
    """Everything that the published model computes of a batch."""

    generator_logits: Array  # (B, N, V)
    sampled_ids: Ids  # (B, N)
    corrupted_ids: Ids  # (B, L)
    labels: Ids  # (B, L) 1 = replaced
    discriminator_logits: Array  # (B, L)
    masked_lm_loss: float
    discriminator_loss: float
    total_loss: float


def pretraining(
    generator: Weights,
    discriminator: Weights,
    inputs: Inputs,
    generator_heads: int,
    discriminator_heads: int,
    draw: Callable[[Array], Ids],
    discriminator_weight: float = 50.0,
) -> Result:
    """The whole graph, run_pretraining.py:54-108; `draw` turns generator logits (B, N, V) into sampled ids (B, N).

    Hand over `lambda logits: gumbel_draw(logits, uniforms)` or, to inject samples, `lambda logits: sampled_ids`.
    """
    hidden = encoder(generator, inputs.masked_input_ids, inputs.token_type_ids, inputs.attention_mask, generator_heads)
    generator_logits = masked_lm_logits(generator, hidden, inputs.masked_positions)
    sampled_ids = draw(generator_logits)
    corrupted_ids, updated = scatter(inputs.input_ids, sampled_ids, inputs.masked_positions)
    labels = updated * (corrupted_ids != inputs.input_ids)  # run_pretraining.py:234-235
    hidden = encoder(discriminator, corrupted_ids, inputs.token_type_ids, inputs.attention_mask, discriminator_heads)
    replaced_logits = discriminator_logits(discriminator, hidden)
    original_ids = np.take_along_axis(inputs.input_ids, inputs.masked_positions, axis=1)
    masked_lm = masked_lm_loss(generator_logits, original_ids, inputs.masked_weights)
    replaced = discriminator_loss(replaced_logits, labels, inputs.attention_mask)
    return Result(
        generator_logits,
        sampled_ids,
        corrupted_ids,
        labels,
        replaced_logits,
        masked_lm,
        replaced,
        masked_lm + discriminator_weight * replaced,
    )


def encoder(weights: Weights, input_ids: Ids, token_type_ids: Ids, attention_mask: Ids, num_heads: int) -> Array:
    """Hidden states (B, L, H) of the post-LayerNorm transformer, model/modeling.py:150-235, 597-900."""
    embeddings = "electra.embeddings."
    x = weights[embeddings + "word_embeddings.weight"][input_ids].astype(np.float64)  # (B, L, E)
    x = x + weights[embeddings + "token_type_embeddings.weight"][token_type_ids]
    x = x + weights[embeddings + "position_embeddings.weight"][: input_ids.shape[1]]
    x = layer_norm(weights, embeddings + "LayerNorm", x)
    if "electra.embeddings_project.weight" in weights:  # only where E != H, model/modeling.py:224-228
        x = dense(weights, "electra.embeddings_project", x)  # (B, L, H)
    layer = 0
    while f"electra.encoder.layer.{layer}.output.dense.weight" in weights:
        place = f"electra.encoder.layer.{layer}."
        attended = self_attention(weights, place + "attention.self.", x, attention_mask, num_heads)
        attended = dense(weights, place + "attention.output.dense", attended)
        x = layer_norm(weights, place + "attention.output.LayerNorm", attended + x)
        inner = gelu(dense(weights, place + "intermediate.dense", x))
        inner = dense(weights, place + "output.dense", inner)
        x = layer_norm(weights, place + "output.LayerNorm", inner + x)
        layer += 1
    return x


def self_attention(weights: Weights, place: str, x: Array, attention_mask: Ids, num_heads: int) -> Array:
    """Multi-head attention before its output projection; padding gets -10000 added to its scores, not -inf."""
    examples, length, hidden = x.shape

    def heads(name: str) -> Array:
        projected = dense(weights, place + name, x).reshape(examples, length, num_heads, hidden // num_heads)
        return projected.transpose(0, 2, 1, 3)  # (B, heads, L, H / heads)

    scores = heads("query") @ heads("key").swapaxes(-1, -2) / math.sqrt(hidden // num_heads)  # (B, heads, L, L)
    scores = scores + (1.0 - attention_mask[:, None, None, :]) * -10000.0
    context = np.exp(log_softmax(scores)) @ heads("value")
    return context.transpose(0, 2, 1, 3).reshape(examples, length, hidden)


def masked_lm_logits(weights: Weights, hidden: Array, masked_positions: Ids) -> Array:
    """Logits (B, N, V) at the masked positions: dense to E, gelu, LayerNorm, tied table, bias; :250-268."""
    gathered = np.take_along_axis(hidden, masked_positions[:, :, None], axis=1)  # (B, N, H)
    x = gelu(dense(weights, "generator_predictions.dense", gathered))  # (B, N, E)
    x = layer_norm(weights, "generator_predictions.LayerNorm", x)
    return x @ weights["electra.embeddings.word_embeddings.weight"].T + weights["generator_lm_head.bias"]


def discriminator_logits(weights: Weights, hidden: Array) -> Array:
    """Logits (B, L) that a token was replaced, run_pretraining.py:184-193."""
    x = gelu(dense(weights, "discriminator_predictions.dense", hidden))
    return dense(weights, "discriminator_predictions.dense_prediction", x)[..., 0]


def gumbel_draw(logits: Array, uniforms: Array, temperature: float = 1.0) -> Ids:
    """Sampled ids (B, N): argmax of logits + Gumbel noise made of the uniforms, pretrain_helpers.py:222-229."""
    noise = -np.log(-np.log(uniforms + 1e-9) + 1e-9)
    return np.argmax(logits / temperature + noise, axis=-1)


def scatter(ids: Ids, updates: Ids, positions: Ids) -> tuple[Ids, Ids]:
    """Ids with `updates` written at `positions`, and a 0/1 mask of what was written; pretrain_helpers.py:64-117.

    Writes to position 0 are ignored (unused slots point there); a position that is listed twice gets the *mean id*
    of its updates, rounded down, as published (https://github.com/google-research/electra/issues/41).
    """
    total, count = np.zeros_like(ids), np.zeros_like(ids)
    rows = np.arange(len(ids))[:, None]
    np.add.at(total, (rows, positions), updates)
    np.add.at(count, (rows, positions), 1)
    count[:, 0] = 0
    return np.where(count > 0, total // np.maximum(count, 1), ids), np.minimum(count, 1)


def masked_lm_loss(logits: Array, original_ids: Ids, masked_weights: Array) -> float:
    """Mean cross-entropy over all chosen positions of the batch, also the kept ones; run_pretraining.py:271-279."""
    nll = -np.take_along_axis(log_softmax(logits), original_ids[:, :, None], axis=-1)[..., 0]  # (B, N)
    return float((masked_weights * nll).sum() / (masked_weights.sum() + 1e-6))


def discriminator_loss(logits: Array, labels: Ids, attention_mask: Ids) -> float:
    """Mean binary cross-entropy over real tokens of the batch, run_pretraining.py:194-209."""
    nll = np.maximum(logits, 0) - logits * labels + np.log1p(np.exp(-np.abs(logits)))  # (B, L)
    return float((nll * attention_mask).sum() / (attention_mask.sum() + 1e-6))


def num_to_mask(attention_mask: Ids, mask_share: float, max_masked: int) -> Ids:
    """Masked positions of each example, (B,): max(1, min(N, round(tokens x share))), pretrain_helpers.py:172-176.

    The product is taken in float32 and a half is rounded to even, as TensorFlow does.
    """
    product = attention_mask.sum(axis=1).astype(np.float32) * np.float32(mask_share)
    return np.maximum(1, np.minimum(max_masked, np.round(product).astype(np.int64)))


def may_be_masked(input_ids: Ids, attention_mask: Ids, never: tuple[int, ...]) -> NDArray[np.bool_]:
    """Candidates (B, L): real tokens but [CLS], [SEP], [MASK], [PAD] (`never`); [UNK] may be; :130-142."""
    return (attention_mask == 1) & ~np.isin(input_ids, never)


def clipped(gradients: Weights, max_norm: float = 1.0) -> Weights:
    """All gradients scaled together to a joint norm of at most `max_norm`, model/optimization.py:62."""
    norm = math.sqrt(sum(float((gradient.astype(np.float64) ** 2).sum()) for gradient in gradients.values()))
    return {name: gradient * (max_norm / max(norm, max_norm)) for name, gradient in gradients.items()}


def adam_weight_decay(
    weights: Weights,
    gradients: Weights,
    first: Weights,
    second: Weights,
    learning_rate: float,
    weight_decay: float = 0.01,
) -> tuple[Weights, Weights, Weights]:
    """New weights and both moments after one step, model/optimization.py:96-135.

    No bias correction, eps 1e-6 outside the root, decay inside the learning-rate product and by name.
    """
    new_weights, new_first, new_second = {}, {}, {}
    for name, weight in weights.items():
        new_first[name] = 0.9 * first[name] + (1 - 0.9) * gradients[name]
        new_second[name] = 0.999 * second[name] + (1 - 0.999) * gradients[name] ** 2
        update = new_first[name] / (np.sqrt(new_second[name]) + 1e-6)
        if not any(re.search(pattern, name) for pattern in NO_DECAY):
            update = update + weight_decay * weight
        new_weights[name] = weight - learning_rate * update
    return new_weights, new_first, new_second


def learning_rate(step: int, peak: float, warmup_steps: int, total_steps: int) -> float:
    """Decay to 0 and warmup *multiplied*, so that the peak is never reached; model/optimization.py:36-45."""
    decayed = peak * (1 - min(step, total_steps) / total_steps)
    return decayed * min(1.0, step / warmup_steps)


def dense(weights: Weights, place: str, x: Array) -> Array:
    """Affine map; Hugging Face keeps the kernel transposed, (out, in)."""
    return x @ weights[place + ".weight"].T + weights[place + ".bias"]


def layer_norm(weights: Weights, place: str, x: Array) -> Array:
    """Normalisation over the last axis with the 1e-12 of tf.contrib (float32)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + 1e-12) * weights[place + ".weight"] + weights[place + ".bias"]


def gelu(x: Array) -> Array:
    """The exact form with erf, model/modeling.py:298-311, not the tanh approximation."""
    return x * 0.5 * (1.0 + np.asarray(_erf(x / math.sqrt(2.0)), dtype=np.float64))


def log_softmax(x: Array) -> Array:
    """Over the last axis."""
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


_erf = np.frompyfunc(math.erf, 1, 1)
