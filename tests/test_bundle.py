"""What a run leaves behind can be opened by others, is whole, and says in one sentence when it is not."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertTokenizer,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    PreTrainedTokenizerFast,
)

from electra_lab.bundle import (
    MADE_UP,
    export_pretrained,
    is_demo,
    load_detector,
    read_record,
    save_detector,
    write_vocabulary,
    written_whole,
)
from electra_lab.data.encoding import ConversationEncoder, pack
from electra_lab.models.backbone import load_backbone
from electra_lab.models.detector import Detector
from electra_lab.models.electra import Electra
from electra_lab.tokenizer import load_tokenizer
from tests import detector_settings

SETTINGS = dataclasses.replace(
    detector_settings.SETTINGS,
    temperatures={"window": 1.5, "message": 0.123456789012345678, "conversation": 1.0},
    thresholds={"window": 0.5, "message": 0.4, "conversation": 0.6},
    review_thresholds={"window": 0.4, "message": 0.4, "conversation": 0.3},
    steps=7,
)
FIGURES: dict[str, dict[str, object]] = {
    "window": {"f1": 0.75, "num": 1234, "auroc": 0.5, "interval": {"f1": None, "auroc": [0.25, 0.75]}},
    "message": {"f1": None},
}


@pytest.fixture(scope="module")
def detector(koelectra_folder: Path) -> tuple[Detector, PreTrainedTokenizerFast]:
    tokenizer = load_tokenizer(str(koelectra_folder), 2)
    torch.manual_seed(1)
    return Detector(load_backbone(str(koelectra_folder), len(tokenizer))).eval(), tokenizer


@pytest.fixture(scope="module")
def saved(detector: tuple[Detector, PreTrainedTokenizerFast], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "detector"
    save_detector(*detector, SETTINGS, folder, FIGURES)
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "detector"))


# Pretrained pair


@pytest.fixture(scope="module")
def pair(koelectra_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Electra, Path]:
    config = ElectraConfig.from_pretrained(koelectra_folder)
    narrow = {"hidden_size": 16, "intermediate_size": 64, "num_attention_heads": 1}
    torch.manual_seed(2)
    generator = ElectraForMaskedLM(ElectraConfig.from_dict({**config.to_dict(), **narrow}))
    electra = Electra(generator, ElectraForPreTraining(config)).eval()
    folder = tmp_path_factory.mktemp("run")
    training = {"data": "made-up", "steps": 12_000, "validation loss": 1.23456, "nested": {"auroc": 0.5, "none": None}}
    export_pretrained(electra.generator, electra.discriminator, load_tokenizer(str(koelectra_folder)), folder, training)
    return electra, folder


@pytest.mark.parametrize(
    ("name", "model_class"), [("generator", ElectraForMaskedLM), ("discriminator", ElectraForPreTraining)]
)
def test_pretrained_folder_gives_identical_logits(pair: tuple[Electra, Path], name: str, model_class: type) -> None:
    electra, folder = pair
    model, loading = model_class.from_pretrained(folder / name, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"] and not loading["mismatched_keys"]
    ids = torch.randint(5, 4995, (3, 20), generator=torch.Generator().manual_seed(0))
    expected = getattr(electra, name)(ids).logits
    torch.testing.assert_close(model.eval()(ids).logits, expected, rtol=0, atol=0)
    if name == "generator":  # the tied table is in the file, and is tied again
        assert model.generator_lm_head.weight is model.electra.embeddings.word_embeddings.weight


@pytest.mark.parametrize(("name", "head"), [("generator", "generator_"), ("discriminator", "discriminator_")])
def test_auto_classes_open_a_pretrained_folder(pair: tuple[Electra, Path], name: str, head: str) -> None:
    electra, folder = pair
    encoder, loading = AutoModel.from_pretrained(folder / name, output_loading_info=True)
    assert not loading["missing_keys"] and all(key.startswith(head) for key in loading["unexpected_keys"])
    table = electra.discriminator.electra.embeddings.word_embeddings.weight
    assert torch.equal(encoder.embeddings.word_embeddings.weight, table)
    tokenizer = AutoTokenizer.from_pretrained(folder / name)
    lines = (folder / name / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert lines == tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert tokenizer.tokenize("안녕하세요") == ["안", "##녕", "##하", "##세", "##요"]


def test_pretrained_folder_is_complete_and_readable_by_others(pair: tuple[Electra, Path]) -> None:
    for name, architecture in (("generator", "ElectraForMaskedLM"), ("discriminator", "ElectraForPreTraining")):
        folder = pair[1] / name
        assert json.loads((folder / "config.json").read_text())["architectures"] == [architecture]
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert card.startswith("---\nlibrary_name: transformers")
        assert (
            "| steps | 12,000 |" in card and "| validation loss | 1.235 |" in card and "| nested: none | n/a |" in card
        )
        modes = {path.name: path.stat().st_mode for path in folder.iterdir()}
        assert len(set(modes.values())) == 1, modes  # safetensors alone would be readable by the owner only
    assert sorted(path.name for path in pair[1].iterdir()) == ["discriminator", "generator"]  # no leftovers


def test_vocabulary_file_only_for_wordpiece(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    write_vocabulary(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE())), tmp_path)
    assert not (tmp_path / "vocab.txt").exists()
    write_vocabulary(BertTokenizer(vocab={"[UNK]": 0, "b": 1, "a": 2}), tmp_path)
    assert (tmp_path / "vocab.txt").read_text().split()[:3] == ["[UNK]", "b", "a"]


# Detector


def test_detector_comes_back_as_it_was(detector: tuple[Detector, PreTrainedTokenizerFast], saved: Path) -> None:
    model, tokenizer = detector
    loaded, loaded_tokenizer, settings = load_detector(saved)
    assert settings == SETTINGS and not loaded.training
    assert loaded_tokenizer.get_vocab() == tokenizer.get_vocab()
    encoder, again = ConversationEncoder(tokenizer, max_length=128), ConversationEncoder(loaded_tokenizer)
    texts = ["안녕 [SEP] 나야", "뭐해?"]
    ids = encoder.encode_texts(texts)
    assert all((one == other).all() for one, other in zip(ids, again.encode_texts(texts), strict=True))
    batch = pack([encoder.encode_window(ids, [0, 1])], [[-1, -1]], [[0, 1]], [0])
    for expected, found in zip(model(batch), loaded(batch), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_record_says_what_the_detector_is_without_its_weights(
    detector: tuple[Detector, PreTrainedTokenizerFast], saved: Path, tmp_path: Path
) -> None:
    record = read_record(saved)
    assert record["settings"] == dataclasses.asdict(SETTINGS) and record["figures"] == FIGURES
    assert record["sha256"]["model.safetensors"] == detector_settings.sha256_of(saved / "model.safetensors")
    save_detector(*detector, SETTINGS, tmp_path / "untested")
    assert read_record(tmp_path / "untested")["figures"] == {}
    with pytest.raises(FileNotFoundError, match="is not a detector; give the folder"):
        read_record(saved.parent)


@pytest.mark.parametrize(("trained_on", "demo"), [(MADE_UP, True), ("given conversations", False)])
def test_demo_is_what_was_trained_on_made_up_conversations(trained_on: str, demo: bool) -> None:
    assert is_demo(dataclasses.replace(SETTINGS, trained_on=trained_on)) == demo


def test_detector_folder_holds_data_only(saved: Path) -> None:
    names = {path.name for path in saved.iterdir()}
    assert {"config.json", "detector.json", "model.safetensors", "tokenizer.json", "vocab.txt", "README.md"} <= names
    assert all(Path(name).suffix in (".json", ".safetensors", ".txt", ".md") for name in names)
    card = (saved / "README.md").read_text(encoding="utf-8")
    assert "| f1 | 0.75 | n/a |" in card and "| num | 1,234 | n/a |" in card and "made-up conversations" in card
    assert "| auroc | 0.5 [0.25, 0.75] | n/a |" in card and "| temperatures: window | 1.5 |" in card
    config = json.loads((saved / "config.json").read_text())
    assert config["encoder"]["model_type"] == "electra" and config["encoder"]["vocab_size"] == 4998
    names = [*config, *config["encoder"]]
    assert not [name for name in names if "attn" in name or "auto_map" in name]  # no switches, no code
    assert "_name_or_path" not in config and not config["encoder"].get("_name_or_path")  # no machine's folders


def test_saving_replaces_an_earlier_detector_and_nothing_else(
    detector: tuple[Detector, PreTrainedTokenizerFast], copied: Path, tmp_path: Path
) -> None:
    save_detector(*detector, dataclasses.replace(SETTINGS, steps=9), copied)
    assert load_detector(copied)[2].steps == 9
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        save_detector(*detector, SETTINGS, tmp_path / "photos")
    with pytest.raises(ValueError, match="holds other files"):  # it is a file
        save_detector(*detector, SETTINGS, tmp_path / "photos" / "cat.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["detector", "photos"]


def test_what_somebody_puts_there_in_the_meantime_is_not_lost(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not empty"), written_whole(tmp_path / "new") as unfinished:
        (unfinished / "a.txt").write_text("ours")
        (tmp_path / "new").mkdir()
        (tmp_path / "new/b.txt").write_text("theirs")
    assert (tmp_path / "new/b.txt").is_file() and (tmp_path / ".new.unfinished/a.txt").is_file()


def test_failed_save_leaves_the_earlier_folder(
    detector: tuple[Detector, PreTrainedTokenizerFast], copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("electra_lab.bundle.save_file", disk_full)
    with pytest.raises(OSError, match="No space"):
        save_detector(*detector, dataclasses.replace(SETTINGS, steps=9), copied)
    assert load_detector(copied)[2].steps == SETTINGS.steps
    assert [path.name for path in copied.parent.iterdir()] == ["detector"]
    with pytest.raises(OSError, match="No space"):
        save_detector(*detector, SETTINGS, copied.parent / "new")
    assert not (copied.parent / "new").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocab.txt", "tokenizer.json"])
def test_one_changed_byte_is_refused(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(bytes(content))
    with pytest.raises(ValueError, match=f"{name} is not the file that was saved"):
        load_detector(copied)
    (copied / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing"):
        load_detector(copied)


def test_weights_of_another_shape_or_with_a_missing_key_are_refused(copied: Path) -> None:
    """The earlier implementation loaded with strict=False and served whatever came out."""
    from safetensors.torch import load_file, save_file

    weights = load_file(copied / "model.safetensors")
    save_file({name: tensor for name, tensor in weights.items() if name != "message_head.bias"}, copied / "x")
    (copied / "x").replace(copied / "model.safetensors")
    detector_settings.change_record(copied)
    with pytest.raises(ValueError, match=r"does not fit.*message_head\.bias"):
        load_detector(copied)
    weights["message_head.bias"] = torch.zeros(2)
    save_file(weights, copied / "model.safetensors")
    detector_settings.change_record(copied)
    with pytest.raises(ValueError, match=r"does not fit.*message_head\.bias"):
        load_detector(copied)
    (copied / "model.safetensors").write_bytes(b"not weights")
    detector_settings.change_record(copied)
    with pytest.raises(ValueError, match="does not fit"):
        load_detector(copied)


def test_tokenizer_larger_than_the_encoder_is_refused(copied: Path) -> None:
    """Three tokens added and no row for them: the size mismatch of the earlier implementation."""
    tokenizer = load_tokenizer(str(copied), num_speakers=4)
    tokenizer.save_pretrained(str(copied))
    detector_settings.change_record(copied)
    with pytest.raises(ValueError, match="tokenizer has 5000 tokens but the encoder only 4998"):
        load_detector(copied)


def test_untrained_and_foreign_records_are_refused(copied: Path) -> None:
    detector_settings.change_record(copied, steps=0)
    with pytest.raises(ValueError, match="untrained"):
        load_detector(copied)
    detector_settings.change_record(copied, steps=5, version=99)
    with pytest.raises(ValueError, match="version 99"):
        load_detector(copied)
    detector_settings.change_record(
        copied, version=1
    )  # had no temperatures: its scores would not be those of its thresholds
    with pytest.raises(ValueError, match="version 1; this electra_lab reads version 4"):
        load_detector(copied)
    detector_settings.change_record(copied, version=4, colour="blue")
    with pytest.raises(ValueError, match=r"not complete.*colour"):
        load_detector(copied)
    for broken in ("{", "[]", '{"settings": {}}', '{"settings": {}, "sha256": {}, "figures": 3}'):
        (copied / "detector.json").write_text(broken)
        with pytest.raises(ValueError, match=r"detector\.json cannot be read"):
            load_detector(copied)


def test_other_paths_get_a_sentence_that_names_the_folder(copied: Path, koelectra_folder: Path) -> None:
    run = copied.parent
    checkpoint = run / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"PK")
    for path in (checkpoint, run / "best_model.pt"):
        with pytest.raises(ValueError, match=f"training checkpoint.*give the folder {copied}$"):
            load_detector(path)
    with pytest.raises(FileNotFoundError, match=f"not a detector; give the folder {copied}$"):
        load_detector(run)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_detector("runs/finetune/nothing")
    with pytest.raises(ValueError, match=r"an encoder, not a detector; fine-tune it first: make finetune BACKBONE="):
        load_detector(koelectra_folder)
