"""Token stores and the tokenizer trained for them."""

import pickle

import numpy as np
import pytest

from electra_lab.data import token_store
from electra_lab.data.token_store import TokenStore, write_token_store
from electra_lab.data.wordpiece import train_wordpiece
from electra_lab.tokenizer import load_tokenizer

DOCUMENTS = [["오늘 날씨가 좋다", "내일은 비가 온다"], ["영화를 봤다"], ["", "밥을 먹었다 [MASK] [SEP]", "끝"]]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    train_wordpiece((line for document in DOCUMENTS * 5 for line in document), 400, folder)
    return load_tokenizer(str(folder))


def test_the_tokenizer_reserves_its_special_tokens_and_keeps_korean_whole(tokenizer):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[MSG]", "[SPEAKER_0]", "[SPEAKER_1]"]
    assert tokenizer.convert_tokens_to_ids(tokens) == list(range(8))
    assert (tokenizer.pad_token_id, tokenizer.mask_token_id) == (0, 4)
    assert len(load_tokenizer(tokenizer.name_or_path, num_speakers=2)) == len(tokenizer)  # fine-tuning adds nothing
    assert "[UNK]" not in tokenizer.tokenize("날씨가 좋다")


def test_a_store_gives_back_every_line(tokenizer, tmp_path):
    meta = write_token_store(DOCUMENTS, tokenizer, tmp_path / "store")
    shard = TokenStore(tmp_path / "store").shards[0]
    lines = [shard.tokens[a:b] for a, b in zip(shard.line_offsets[:-1], shard.line_offsets[1:], strict=True)]
    texts = [line for document in DOCUMENTS for line in document if line]
    expected = [tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] for text in texts]
    assert [line.tolist() for line in lines] == expected
    assert shard.document_offsets.tolist() == [0, 2, 3, 5]
    assert (meta["documents"], meta["lines"], meta["tokens"]) == (3, 5, sum(map(len, expected)))
    assert shard.tokens.dtype == np.uint16


def test_special_tokens_typed_in_the_text_stay_text(tokenizer, tmp_path):
    write_token_store(DOCUMENTS, tokenizer, tmp_path / "store")
    tokens = TokenStore(tmp_path / "store").shards[0].tokens
    assert not set(tokens.tolist()) & {tokenizer.mask_token_id, tokenizer.sep_token_id, tokenizer.cls_token_id}


def test_a_full_shard_is_followed_by_the_next(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(token_store, "SHARD_TOKENS", 8)
    write_token_store(DOCUMENTS, tokenizer, tmp_path / "store")
    shards = TokenStore(tmp_path / "store").shards
    assert len(shards) > 1 and all(len(shard.tokens) for shard in shards)
    assert all(shard.line_offsets[-1] == len(shard.tokens) for shard in shards)
    monkeypatch.setattr(token_store, "SHARD_TOKENS", 1 << 20)
    write_token_store(DOCUMENTS, tokenizer, tmp_path / "whole")
    whole = TokenStore(tmp_path / "whole").shards[0].tokens
    assert np.concatenate([shard.tokens for shard in shards]).tolist() == whole.tolist()


def test_a_worker_opens_the_files_itself(tokenizer, tmp_path):
    write_token_store(DOCUMENTS * 200, tokenizer, tmp_path / "store")
    store = TokenStore(tmp_path / "store")
    pickled = pickle.dumps(store)
    assert len(pickled) < 500  # not the tokens
    assert pickle.loads(pickled).shards[0].tokens.tolist() == store.shards[0].tokens.tolist()


def test_an_empty_corpus_is_refused(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="no text"):
        write_token_store([], tokenizer, tmp_path / "store")
