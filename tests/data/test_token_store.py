"""Token stores and the tokenizer trained for them."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from electra_lab.data import token_store
from electra_lab.data.packing import pack_examples
from electra_lab.data.token_store import ShardExamples, TokenStore, write_meta, write_shard
from electra_lab.data.wordpiece import train_wordpiece
from electra_lab.tokenizer import load_tokenizer

DOCUMENTS = [["오늘 날씨가 좋다", "내일은 비가 온다"], ["영화를 봤다"], ["", "밥을 먹었다 [MASK] [SEP]", "끝"]]


def write(documents, tokenizer, folder, per_shard=1000):
    """A store with so many documents a shard."""
    folder.mkdir()
    backend = tokenizer.backend_tokenizer
    parts = [documents[start : start + per_shard] for start in range(0, len(documents), per_shard)]
    counts = [write_shard(part, backend, 1, folder, number, 16, seed=number) for number, part in enumerate(parts)]
    write_meta(folder, backend, counts)
    return TokenStore(folder)


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
    store = write(DOCUMENTS, tokenizer, tmp_path / "store")
    shard = store.shards[0]
    lines = [shard.tokens[a:b] for a, b in zip(shard.line_offsets[:-1], shard.line_offsets[1:], strict=True)]
    texts = [line for document in DOCUMENTS for line in document if line]
    expected = [tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] for text in texts]
    assert [line.tolist() for line in lines] == expected
    assert shard.document_offsets.tolist() == [0, 2, 3, 5]
    meta = store.meta
    assert (meta["documents"], meta["lines"], meta["tokens"]) == (3, 5, sum(map(len, expected)))
    assert shard.tokens.dtype == np.uint16


def test_special_tokens_typed_in_the_text_stay_text(tokenizer, tmp_path):
    tokens = write(DOCUMENTS, tokenizer, tmp_path / "store").shards[0].tokens
    assert not set(tokens.tolist()) & {tokenizer.mask_token_id, tokenizer.sep_token_id, tokenizer.cls_token_id}


def test_shards_without_text_have_no_files_and_are_not_listed(tokenizer, tmp_path):
    documents = [DOCUMENTS[0], [""], DOCUMENTS[1], DOCUMENTS[2]]
    store = write(documents, tokenizer, tmp_path / "store", per_shard=1)
    assert [shard.number for shard in store.shards] == [0, 2, 3]
    assert not (tmp_path / "store" / "tokens-00001.bin").exists()
    whole = write(documents, tokenizer, tmp_path / "whole").shards[0].tokens
    assert np.concatenate([shard.tokens for shard in store.shards]).tolist() == whole.tolist()


def test_tokenising_in_portions_changes_nothing(tokenizer, tmp_path, monkeypatch):
    whole = write(DOCUMENTS, tokenizer, tmp_path / "whole").shards[0]
    monkeypatch.setattr(token_store, "CHARACTERS_AT_ONCE", 5)
    parts = write(DOCUMENTS, tokenizer, tmp_path / "parts").shards[0]
    assert whole.tokens.tolist() == parts.tokens.tolist()
    assert whole.line_offsets.tolist() == parts.line_offsets.tolist()


def test_the_index_knows_its_length_without_opening_a_file(tokenizer, tmp_path):
    store = write(DOCUMENTS, tokenizer, tmp_path / "store")
    shard = store.shards[0]
    expected = pack_examples(shard.line_offsets, shard.document_offsets, 16, seed=0)
    index = ShardExamples(shard)
    assert [index[place].tolist() for place in range(len(index))] == expected.tolist()
    (tmp_path / "store" / "examples-00000.bin").unlink()
    assert len(ShardExamples(TokenStore(tmp_path / "store").shards[0])) == len(expected)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_only_so_many_files_are_open_at_once(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(token_store, "OPEN_FILES", 4)
    store = write(DOCUMENTS * 10, tokenizer, tmp_path / "store", per_shard=1)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for shard in store.shards * 2:
        assert len(shard.tokens) == shard.line_offsets[-1] and len(ShardExamples(shard)[0]) == 3
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 4


def test_a_worker_opens_the_files_itself(tokenizer, tmp_path):
    store = write(DOCUMENTS * 200, tokenizer, tmp_path / "store", per_shard=100)
    assert len(pickle.dumps(store)) < 500  # not the tokens
    store.shards[0].tokens  # noqa: B018  # opens the file
    copy, index = pickle.loads(pickle.dumps((store, [ShardExamples(shard) for shard in store.shards])))
    assert copy.shards[5].tokens.tolist() == store.shards[5].tokens.tolist()
    assert index[5][0].tolist() == ShardExamples(store.shards[5])[0].tolist()
    assert len(pickle.dumps([ShardExamples(shard) for shard in store.shards])) < 500 + 60 * len(store.shards)
