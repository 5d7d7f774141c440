import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from transformers import (
    AlbertConfig,
    AttentionInterface,
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ElectraForPreTraining,
    GPT2Config,
    ModernBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from electra_lab.models.attention import PACKED
from electra_lab.models.backbone import Backbone, backbone_from_config, load_backbone

VOCABULARY = 60
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}


def config_of(family: str) -> Any:
    """A tiny encoder with positions for 64 tokens."""
    configs = {
        "electra": lambda: ElectraConfig(**SIZES, embedding_size=16, max_position_embeddings=64),
        "bert": lambda: BertConfig(**SIZES, max_position_embeddings=64),
        "roberta": lambda: RobertaConfig(**SIZES, max_position_embeddings=66, pad_token_id=1),
        "xlm-roberta": lambda: XLMRobertaConfig(**SIZES, max_position_embeddings=66, pad_token_id=1),
        "distilbert": lambda: DistilBertConfig(
            vocab_size=VOCABULARY, dim=32, n_layers=3, n_heads=2, hidden_dim=48, max_position_embeddings=64
        ),
        "albert": lambda: AlbertConfig(**SIZES, embedding_size=16, max_position_embeddings=64),
        "modernbert": lambda: ModernBertConfig(  # every token sees 4 to its left and right in two layers of three
            **SIZES,
            max_position_embeddings=64,
            local_attention=8,
            pad_token_id=0,
            cls_token_id=1,
            sep_token_id=2,
            bos_token_id=1,
            eos_token_id=2,
        ),
        "deberta-v2": lambda: DebertaV2Config(
            **SIZES, max_position_embeddings=64, relative_attention=True, pos_att_type=["p2c", "c2p"]
        ),
        "gpt2": lambda: GPT2Config(
            vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=1, eos_token_id=1
        ),
    }
    return configs[family]()


PACKED_FAMILIES = ["electra", "bert", "roberta", "xlm-roberta", "distilbert", "albert", "modernbert"]


class Windows(NamedTuple):
    input_ids: Tensor
    position_ids: Tensor
    cu_seq_lens: Tensor
    max_length: int


def windows(lengths: list[int], seed: int = 0) -> Windows:
    random = torch.Generator().manual_seed(seed)
    return Windows(
        torch.randint(4, VOCABULARY, (sum(lengths),), generator=random),
        torch.cat([torch.arange(length) for length in lengths]),
        torch.tensor([0, *lengths]).cumsum(0).int(),
        max(lengths),
    )


def backbone_of(family: str) -> Backbone:
    torch.manual_seed(1)
    return backbone_from_config(config_of(family)).eval()


@pytest.mark.parametrize("family", [*PACKED_FAMILIES, "deberta-v2", "gpt2"])
def test_packed_windows_give_what_each_window_gives_alone(family: str) -> None:
    backbone = backbone_of(family)
    assert backbone.is_packed == (family in PACKED_FAMILIES)
    assert (backbone.hidden_size, backbone.max_positions) == (32, 64)
    lengths = [20, 1, 64, 7]
    packed = windows(lengths)
    with torch.no_grad():
        states = backbone(*packed)
        twin = AutoModel.from_config(config_of(family), attn_implementation="eager").eval()
        twin.load_state_dict(backbone.encoder.state_dict(), strict=False)  # the twin may have a pooling layer
        for window, found in zip(packed.input_ids.split(lengths), states.split(lengths), strict=True):
            expected = twin(input_ids=window[None], attention_mask=torch.ones_like(window[None])).last_hidden_state[0]
            torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


def test_packed_and_padded_have_the_same_gradients() -> None:
    packed = windows([5, 9, 2])
    gradients = []
    for is_packed in (True, False):
        backbone = backbone_of("electra")
        if not is_packed:
            backbone.encoder.set_attn_implementation("sdpa")
            backbone.is_packed = False
        states = backbone(*packed)
        (states**3).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in backbone.parameters() if p.grad is not None]))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["electra", "modernbert"])
def test_attention_dropout_stays_within_the_window(family: str) -> None:
    config = config_of(family)
    for name in ("attention_probs_dropout_prob", "attention_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.5)
    for name in ("hidden_dropout_prob", "embedding_dropout", "mlp_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.0)
    torch.manual_seed(1)
    backbone = backbone_from_config(config)
    assert backbone.is_packed and backbone.training  # the probe has put it back
    packed, other = windows([20, 30]), windows([20, 30])
    other.input_ids[20:] = 5
    torch.manual_seed(2)
    states = backbone(*packed)
    torch.manual_seed(2)
    with_another_neighbour = backbone(*other)
    assert not torch.equal(states, backbone(*packed))
    assert states.isfinite().all()
    assert not torch.equal(states[20:], with_another_neighbour[20:])
    torch.testing.assert_close(states[:20], with_another_neighbour[:20])
    states.sum().backward()


def test_an_encoder_that_ignores_the_bounds_is_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    # DeBERTa takes the arguments and does nothing with them; only a comparison notices.
    packed = windows([4, 6])
    expected = backbone_of("bert")(*packed)
    monkeypatch.setitem(AttentionInterface._global_mapping, PACKED, sdpa_attention_forward)
    backbone = backbone_of("bert")
    assert not backbone.is_packed
    torch.testing.assert_close(backbone(*packed), expected, rtol=0, atol=2e-6)


def test_a_window_beyond_the_positions_is_refused() -> None:
    # The table of RoBERTa has 66 rows, two of which no token uses.
    with pytest.raises(ValueError, match="65 tokens, the encoder only 64 positions"):
        backbone_of("roberta")(*windows([3, 65]))


def test_positions_do_not_depend_on_a_padding_token_within_the_text() -> None:
    backbone = backbone_of("roberta")
    packed = windows([6])
    packed.input_ids[2] = 1
    with_padding_token = backbone(*packed)
    packed.input_ids[2] = 9
    assert (backbone(*packed) - with_padding_token)[3:].abs().max() < 0.1  # the others have kept their positions


def test_loads_what_koelectra_publishes(koelectra_folder: Path) -> None:
    vocabulary_size = len((koelectra_folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    backbone = load_backbone(str(koelectra_folder), vocabulary_size + 3)
    published = torch.load(koelectra_folder / "pytorch_model.bin", weights_only=True)
    table = backbone.encoder.state_dict()["embeddings.word_embeddings.weight"]
    assert len(table) == vocabulary_size + 3
    assert torch.equal(table[:vocabulary_size], published["electra.embeddings.word_embeddings.weight"])
    for name, weight in backbone.encoder.state_dict().items():
        if "word_embeddings" not in name:
            assert torch.equal(weight, published[f"electra.{name}"]), name
    assert backbone.is_packed
    assert all(module.training for module in backbone.modules())  # or the encoder would be trained without dropout


def test_spare_rows_are_kept(koelectra_folder: Path) -> None:
    vocabulary_size = len((koelectra_folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    backbone = load_backbone(str(koelectra_folder), vocabulary_size - 5)
    assert backbone.encoder.config.vocab_size == vocabulary_size


@pytest.mark.parametrize("difference", [-2000, 1000])
def test_another_models_tokenizer_is_refused(koelectra_folder: Path, difference: int) -> None:
    vocabulary_size = len((koelectra_folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    with pytest.raises(ValueError, match="not of one model"):
        load_backbone(str(koelectra_folder), vocabulary_size + difference)


def test_half_precision_weights_are_trained_in_float32(tmp_path: Path) -> None:
    ElectraForPreTraining(config_of("electra")).bfloat16().save_pretrained(tmp_path)
    assert {weight.dtype for weight in load_backbone(str(tmp_path), VOCABULARY).parameters()} == {torch.float32}


def test_missing_weights_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = ElectraForPreTraining(config_of("electra"))
    model.config.save_pretrained(tmp_path)
    weights = {name: weight for name, weight in model.state_dict().items() if "layer.1" not in name}
    torch.save(weights, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"16 weights of ElectraModel are missing, the first is encoder\.layer\.1"):
        load_backbone(str(tmp_path), VOCABULARY)
    assert "REPORT" not in capfd.readouterr().err  # transformers' own table would say less to more people


@pytest.mark.parametrize("name", ["/nowhere/at/all", "nobody/has-this"])
def test_no_encoder_is_one_sentence(name: str) -> None:
    with pytest.raises(ValueError, match=f"no encoder could be loaded from {name}") as caught:
        load_backbone(name, VOCABULARY)
    assert "\n" not in str(caught.value)


def test_the_saved_encoder_knows_nothing_of_packing(tmp_path: Path) -> None:
    backbone = backbone_of("electra")
    backbone.encoder.save_pretrained(tmp_path)
    assert PACKED not in (tmp_path / "config.json").read_text()
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "electra"
    again = load_backbone(str(tmp_path), VOCABULARY).eval()
    assert torch.equal(again(*windows([3, 4])), backbone(*windows([3, 4])))


def test_the_same_encoder_from_its_config() -> None:
    backbone = backbone_of("modernbert")
    twin = backbone_from_config(backbone.encoder.config).eval()
    twin.load_state_dict(backbone.state_dict())
    assert twin.is_packed
    assert torch.equal(twin(*windows([3, 14])), backbone(*windows([3, 14])))


def test_dropout_is_the_configurations_unless_given(koelectra_folder: Path) -> None:
    vocabulary_size = len((koelectra_folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    for dropout, expected in ((None, 0.1), (0.0, 0.0), (0.25, 0.25)):
        encoder = load_backbone(str(koelectra_folder), vocabulary_size, dropout).encoder
        rates = {module.p for module in encoder.modules() if isinstance(module, torch.nn.Dropout)}
        assert rates == {expected} and encoder.config.attention_probs_dropout_prob == expected
