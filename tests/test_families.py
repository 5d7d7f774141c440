"""Seven families of encoders, tiny and random, with the kinds of tokenizers they have: fitted, exported, loaded, asked.

DeBERTa-v2 cannot read packed windows and is padded; nothing outside the backbone can tell.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from electra_lab import load_model_for_inference, predict_conversation
from electra_lab.__main__ import main
from electra_lab.callbacks.loss_curve import LossCurve
from electra_lab.data.encoding import pack
from electra_lab.data.synthetic import conversations
from electra_lab.models.backbone import load_backbone
from electra_lab.models.pooling import POOLINGS
from electra_lab.tokenizer import load_tokenizer

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 128,
}
BASE: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
}
FAMILIES = ["electra", "roberta", "albert", "deberta-v2", "modernbert"]
LIKE_ELECTRA = [pytest.param(family, marks=pytest.mark.slow) for family in ("bert", "distilbert")]
BERT_TOKENS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
ROBERTA_TOKENS = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}


def config_of(family: str, vocabulary_size: int, sizes: dict[str, Any] = SIZES) -> PreTrainedConfig:
    """A tiny encoder, with positions for 128 tokens unless the sizes differ."""
    if family == "distilbert":
        names = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"}
        names |= {"intermediate_size": "hidden_dim", "max_position_embeddings": "max_position_embeddings"}
        return DistilBertConfig(vocab_size=vocabulary_size, **{names[size]: value for size, value in sizes.items()})
    marks = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    positions = sizes["max_position_embeddings"] + 2
    configs: dict[str, tuple[Any, dict[str, Any]]] = {
        "electra": (ElectraConfig, {"embedding_size": 8}),
        "bert": (BertConfig, {}),
        "roberta": (RobertaConfig, {"max_position_embeddings": positions, "pad_token_id": 1}),
        "albert": (AlbertConfig, {"embedding_size": 8, "num_hidden_layers": 3}),
        "deberta-v2": (DebertaV2Config, {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
        "modernbert": (ModernBertConfig, {"local_attention": 16, **marks}),
    }
    kind, changes = configs[family]
    return kind(vocab_size=vocabulary_size, **sizes | changes)


def tokenizer_of(family: str, texts: list[str]) -> PreTrainedTokenizerFast:
    """WordPiece, byte-level BPE or Unigram, as the family has it, trained on the texts."""
    tokens = ROBERTA_TOKENS if family == "roberta" else BERT_TOKENS
    special = list(tokens.values())
    trainer: Any
    if family in ("roberta", "modernbert"):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    elif family in ("albert", "deberta-v2"):
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="[UNK]")
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special)
    trainer.show_progress = False
    tokenizer.train_from_iterator(texts, trainer)
    named = {f"{name}_token": token for name, token in tokens.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of so short a run."""
    monkeypatch.setattr(LossCurve, "_draw", lambda *unused: None)


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "chats.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for conversation in conversations(24, seed=3):
            messages = [{"text": m.text, "speaker": m.speaker, "label": m.label} for m in conversation.messages]
            file.write(json.dumps({"id": conversation.id, "messages": messages}, ensure_ascii=False) + "\n")
    return path


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [message.text for conversation in conversations(24, seed=3) for message in conversation.messages]


def encoder_folder(family: str, texts: list[str], folder: Path) -> Path:
    """The encoder and its tokenizer as a folder of Hugging Face files."""
    tokenizer = tokenizer_of(family, texts)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    AutoModel.from_config(config_of(family, len(tokenizer))).save_pretrained(folder)
    return folder


def finetuned(encoder: Path, chats: Path, folder: Path, *options: str) -> Path:
    """The detector that two steps of `electra-lab finetune` leave."""
    (folder / "finetune.yaml").write_text(
        "data: {batch_size: 8, max_length: 128}\n"
        "trainer: {accelerator: cpu, devices: 1, max_steps: 2, val_check_interval: 2, num_sanity_val_steps: 0,"
        " limit_val_batches: 2}\ntest: false\n"
    )
    given = ["--config", str(folder / "finetune.yaml"), "--run_name", "a", "--output", str(folder / "runs")]
    paths = ["--data.paths", str(chats), "--model.backbone", str(encoder)]
    assert main(["finetune", *given, *paths, *options]) == 0
    return folder / "runs/finetune/a/detector"


@pytest.mark.parametrize("family", [*FAMILIES, *LIKE_ELECTRA])
def test_every_family_is_fitted_exported_loaded_and_asked(
    family: str, texts: list[str], chats: Path, tmp_path: Path
) -> None:
    encoder = encoder_folder(family, texts, tmp_path / "encoder")
    folder = finetuned(encoder, chats, tmp_path, "--model.layer_decay", "0.9")
    model, tokenizer = load_model_for_inference(folder)
    backbone = model.detector.backbone
    assert backbone.is_packed == (family != "deberta-v2") and backbone.max_positions == 128
    prediction = predict_conversation(model, tokenizer, texts[:13])
    assert len(prediction.messages) == 13 and all(0 < message.score < 1 for message in prediction.messages)
    assert tokenizer.convert_tokens_to_ids("[SPEAKER_1]") == len(tokenizer) - 1

    # packed windows, as training reads them, against one padded batch that transformers reads by itself
    ids = model.encoder.encode_texts(texts[:8])
    windows = [model.encoder.encode_window(ids[start:end], [0] * (end - start)) for start, end in ((0, 2), (2, 8))]
    batch = pack(windows, [[-1] * 2, [-1] * 6], [range(2), range(2, 8)], [0, 0])
    twin = AutoModel.from_config(config_of(family, backbone.encoder.config.vocab_size), attn_implementation="eager")
    twin.load_state_dict(backbone.encoder.state_dict(), strict=False)  # the twin may have a pooling layer
    lengths = batch.cu_seq_lens.diff()
    padded = torch.nn.utils.rnn.pad_sequence(
        list(batch.input_ids.split(lengths.tolist())),
        batch_first=True,
        padding_value=tokenizer.pad_token_id,
    )
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    with torch.no_grad():
        expected = twin.eval()(input_ids=padded, attention_mask=mask).last_hidden_state[mask == 1]
        found = backbone(batch.input_ids, batch.position_ids, batch.cu_seq_lens, batch.max_length)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("pooling", [name for name in POOLINGS if name != "attention"])  # that is above
def test_every_pooling_is_fitted_exported_loaded_and_asked(
    pooling: str, texts: list[str], chats: Path, tmp_path: Path
) -> None:
    encoder = encoder_folder("electra", texts, tmp_path / "encoder")
    supervision = "off" if pooling == "cls" else "kl"
    options = ["--model.pooling", pooling, "--model.attention_supervision", supervision]
    model, tokenizer = load_model_for_inference(finetuned(encoder, chats, tmp_path, *options))
    assert model.settings.pooling == pooling
    assert type(model.detector.pooling) is POOLINGS[pooling]
    prediction = predict_conversation(model, tokenizer, texts[:13])
    assert all(0 <= window.score <= 1 for window in prediction.windows)


@pytest.mark.slow
def test_packed_is_padded_at_the_size_of_a_base_encoder(koelectra_folder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(koelectra_folder), 2)
    tokenizer.save_pretrained(tmp_path)
    torch.manual_seed(0)
    AutoModel.from_config(ElectraConfig(vocab_size=len(tokenizer), embedding_size=768, **BASE)).save_pretrained(
        tmp_path
    )
    backbone = load_backbone(str(tmp_path), len(tokenizer)).eval()
    assert backbone.is_packed
    lengths = [200, 128]
    ids = torch.randint(5, len(tokenizer), (sum(lengths),), generator=torch.Generator().manual_seed(1))
    places = torch.cat([torch.arange(length) for length in lengths])
    bounds = torch.tensor([0, 200, 328], dtype=torch.int32)
    twin = AutoModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    padded = torch.stack([ids[:200], torch.nn.functional.pad(ids[200:], (0, 72))])
    mask = torch.arange(200) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        expected = twin(input_ids=padded, attention_mask=mask.long()).last_hidden_state[mask]
        torch.testing.assert_close(backbone(ids, places, bounds, 200), expected, rtol=0, atol=1e-5)
