"""Which tokens go on a word, for the three marks that vocabularies use."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from electra_lab.data.words import continues_word, first_of_word

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer_of(model: models.Model, pre_tokenizer: pre_tokenizers.PreTokenizer) -> PreTrainedTokenizerFast:
    backend = Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizer
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **dict(zip(names, SPECIAL, strict=True)))
    tokenizer.add_special_tokens({"extra_special_tokens": ["[MSG]"]})
    return tokenizer


def ids(tokens: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(SPECIAL + tokens)}


def wordpiece() -> PreTrainedTokenizerFast:
    vocabulary = ids(["안녕", "##하", "##세요", ",", "친구", "##", "▁"])
    return tokenizer_of(models.WordPiece(vocabulary, unk_token="[UNK]"), pre_tokenizers.BertPreTokenizer())


def metaspace() -> PreTrainedTokenizerFast:
    scores = [(token, -1.0) for token in [*SPECIAL, "▁안녕", "하", "세요", ",", "▁친구", "▁", "##"]]
    return tokenizer_of(models.Unigram(scores, unk_id=1, byte_fallback=False), pre_tokenizers.Metaspace())


def byte_level() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = ids([*alphabet, "Ġf", "ri", "Ġh", "##"])
    merges = [("Ġ", "f"), ("r", "i"), ("Ġ", "h"), ("#", "#")]
    return tokenizer_of(models.BPE(vocabulary, merges), pre_tokenizers.ByteLevel(add_prefix_space=False))


def words(tokenizer: PreTrainedTokenizerFast, text: str) -> list[str]:
    """The tokens of a text, those of one word joined by a bar."""
    found = tokenizer(text, add_special_tokens=False)["input_ids"]
    goes_on = continues_word(tokenizer)[found]
    tokens = tokenizer.convert_ids_to_tokens(found)
    joined = "".join(("|" if more else " ") + token for token, more in zip(tokens, goes_on, strict=True))
    return joined.split()


def test_wordpiece_marks_what_goes_on() -> None:
    assert words(wordpiece(), "안녕하세요, 친구하") == ["안녕|##하|##세요", ",", "친구|##하"]


def test_metaspace_marks_what_begins() -> None:
    assert words(metaspace(), "안녕하세요, 친구하") == ["▁안녕|하|세요|,", "▁친구|하"]


def test_byte_level_marks_what_begins_and_a_line_begins_without_a_mark() -> None:
    assert words(byte_level(), "hi fri, he") == ["|h|i", "Ġf|ri|,", "Ġh|e"]  # so PackedExamples looks at the lines


@pytest.mark.parametrize("make", [wordpiece, metaspace, byte_level])
def test_special_tokens_go_on_nothing(make) -> None:
    tokenizer = make()
    goes_on = continues_word(tokenizer)
    assert goes_on.shape == (len(tokenizer),) and goes_on.dtype == bool
    assert not goes_on[tokenizer.convert_tokens_to_ids([*SPECIAL, "[MSG]"])].any()
    assert goes_on.any()


def test_a_vocabulary_without_a_mark_is_refused() -> None:
    tokenizer = tokenizer_of(models.WordLevel(ids(["안녕", "친구"]), unk_token="[UNK]"), pre_tokenizers.Whitespace())
    with pytest.raises(ValueError, match="it does not say where words begin; leave whole_words off"):
        continues_word(tokenizer)


def test_each_token_knows_where_its_word_begins() -> None:
    goes_on = np.array([[0, 0, 1, 1, 0, 1, 0, 0], [0, 0, 0, 1, 0, 0, 0, 1]], dtype=bool)
    assert first_of_word(goes_on).tolist() == [[0, 1, 1, 1, 4, 4, 6, 7], [0, 1, 2, 2, 4, 5, 6, 6]]
