import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import ElectraConfig, PreTrainedTokenizerFast

from electra_lab.tokenizer import MESSAGE_TOKEN, load_tokenizer, speaker_tokens


def written(folder: Path, vocabulary: list[str], normalizer: normalizers.Normalizer | None = None) -> str:
    """A WordPiece tokenizer of these words as a folder."""
    raw = Tokenizer(models.WordPiece({word: number for number, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if normalizer is not None:
        raw.normalizer = normalizer
    special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    PreTrainedTokenizerFast(tokenizer_object=raw, **special).save_pretrained(folder)
    return str(folder)


def test_without_speakers_nothing_is_added(koelectra_folder: Path) -> None:
    num_words = len((koelectra_folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    assert len(load_tokenizer(str(koelectra_folder))) == num_words


def test_message_and_speaker_tokens_follow_the_vocabulary(koelectra_folder: Path) -> None:
    size = len(load_tokenizer(str(koelectra_folder)))
    tokenizer = load_tokenizer(str(koelectra_folder), num_speakers=3)
    assert speaker_tokens(3) == ["[SPEAKER_0]", "[SPEAKER_1]", "[SPEAKER_2]"]
    assert tokenizer.convert_ids_to_tokens(range(size, len(tokenizer))) == [MESSAGE_TOKEN, *speaker_tokens(3)]


def test_added_tokens_keep_earlier_ones_and_survive_saving(koelectra_folder: Path, tmp_path: Path) -> None:
    first = load_tokenizer(str(koelectra_folder))
    first.add_special_tokens({"extra_special_tokens": ["[OLD]"]})
    first.save_pretrained(tmp_path / "old")
    two = load_tokenizer(str(tmp_path / "old"), num_speakers=2)
    assert set(two.all_special_tokens) >= {"[CLS]", "[SEP]", "[OLD]", "[MSG]", "[SPEAKER_0]", "[SPEAKER_1]"}
    two.save_pretrained(tmp_path / "two")
    again = load_tokenizer(str(tmp_path / "two"), num_speakers=2)
    assert again.get_vocab() == two.get_vocab() and again.all_special_tokens == two.all_special_tokens
    three = load_tokenizer(str(tmp_path / "two"), num_speakers=3)
    assert set(three.all_special_tokens) == {*two.all_special_tokens, "[SPEAKER_2]"}
    assert len(three) == len(two) + 1


def test_lower_casing_a_korean_vocabulary_is_refused(koelectra_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(koelectra_folder, tmp_path / "lower")
    (tmp_path / "lower" / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    with pytest.raises(ValueError, match='"do_lower_case": false'):
        load_tokenizer(str(tmp_path / "lower"))


def test_lower_casing_other_languages_is_fine(tmp_path: Path) -> None:
    english = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world"]
    folder = written(tmp_path, english, normalizers.BertNormalizer(lowercase=True))
    assert load_tokenizer(folder).tokenize("Hello World") == ["hello", "world"]


def test_folder_without_vocabulary_is_refused(tmp_path: Path) -> None:
    ElectraConfig().save_pretrained(tmp_path)  # transformers makes a tokenizer of five special tokens of it
    with pytest.raises(ValueError, match="not one word"):
        load_tokenizer(str(tmp_path))


def test_empty_folder_and_unknown_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no tokenizer that can be read"):
        load_tokenizer(str(tmp_path))
    with pytest.raises(ValueError, match="no such folder"):
        load_tokenizer("nobody/nothing")
    (tmp_path / "tokenizer.json").write_text('{"a": 1}')
    ElectraConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no tokenizer that can be read"):
        load_tokenizer(str(tmp_path))
