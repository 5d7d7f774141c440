import torch
from torch import Tensor, nn
from torch.nn import functional as F

from electra_lab.models.attention import packed_attention

LENGTHS = [40, 24]
SIZE = 64


def attended(probability: float, seed: int = 0, sliding_window: int | None = None) -> tuple[Tensor, Tensor]:
    """Dropped attention weights (heads, 64, 64) and the weights without dropout."""  # the values: the identity
    random = torch.Generator().manual_seed(1)
    query, key = torch.randn(2, 1, 8, sum(LENGTHS), SIZE, generator=random)
    value = torch.eye(sum(LENGTHS)).expand(1, 8, -1, -1)
    bounds = torch.tensor([0, 40, 64], dtype=torch.int32)
    torch.manual_seed(seed)
    found = [
        packed_attention(
            nn.Identity(),
            query,
            key,
            value,
            None,
            cu_seq_lens_q=bounds,
            max_length_q=40,
            dropout=dropout,
            sliding_window=sliding_window,
        )[0][0].transpose(0, 1)
        for dropout in (probability, 0.0)
    ]
    return found[0], found[1]


def test_dropout_on_the_cpu_has_the_rate_and_the_scale_of_torchs() -> None:
    dropped, whole = attended(0.1)
    torch.testing.assert_close(whole.sum(-1), torch.ones(8, 64))
    possible = whole > 0
    is_zero = dropped[possible] == 0
    assert abs(is_zero.float().mean() - 0.1) < 0.015  # four standard deviations of 8 * (40^2 + 24^2) draws
    torch.testing.assert_close(dropped[possible][~is_zero], whole[possible][~is_zero] / 0.9, rtol=1e-4, atol=1e-6)
    assert (dropped[~possible] == 0).all()  # nothing of the other window


def test_the_seed_decides_about_dropout() -> None:
    assert torch.equal(attended(0.3, seed=5)[0], attended(0.3, seed=5)[0])
    assert not torch.equal(attended(0.3, seed=5)[0], attended(0.3, seed=6)[0])


def test_a_sliding_window_holds_with_dropout() -> None:
    dropped, whole = attended(0.2, sliding_window=4)
    places = torch.arange(64)
    far = (places[:, None] - places).abs() >= 4
    assert (dropped[:, far] == 0).all() and (whole[:, far] == 0).all()
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], whole[kept] / 0.8, rtol=1e-4, atol=1e-6)


def test_the_mean_over_draws_is_attention_without_dropout() -> None:
    draws = torch.stack([attended(0.5, seed=seed)[0] for seed in range(300)])
    assert (draws.mean(0) - attended(0.5)[1]).abs().max() < 0.25  # an attention weight is at most 1
    torch.testing.assert_close(draws.mean((0, 1)).sum(-1), torch.ones(64), rtol=0.05, atol=0)


def test_without_dropout_it_is_torchs_kernel() -> None:
    random = torch.Generator().manual_seed(2)
    query, key, value = torch.randn(3, 1, 2, 7, 8, generator=random)
    bounds = torch.tensor([0, 7], dtype=torch.int32)
    found = packed_attention(nn.Identity(), query, key, value, None, cu_seq_lens_q=bounds, max_length_q=7)[0]
    assert torch.equal(found, F.scaled_dot_product_attention(query, key, value).transpose(1, 2))
