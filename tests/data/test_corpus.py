"""A corpus comes out the same from any number of processes, machines and restarts, or not at all."""

import hashlib
import logging
import multiprocessing
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from electra_lab.data import blocks, corpus
from electra_lab.data.blocks import cut, held_out
from electra_lab.data.corpus import CorpusSettings, open_corpus, parse_shard, prepare_corpus
from electra_lab.data.errors import IngestError
from electra_lab.data.wordpiece import train_wordpiece


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "MIN_CHARACTERS", 500)  # cutting is done in the first process, so it holds for all


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A file of 100 documents of numbered words, some written as macOS does, and a tokenizer for it."""
    folder = tmp_path_factory.mktemp("text")
    rng = np.random.default_rng(0)
    documents = ["\n".join(" ".join(f"낱말{w}" for w in rng.integers(0, 40, 8)) for _ in range(4)) for _ in range(100)]
    documents[7] += "\n\u1112\u1161\u11ab\u200b글"
    (folder / "text.txt").write_text("\n\n".join(documents), encoding="utf-8")
    train_wordpiece(documents, 200, folder / "tokenizer")
    return folder


def settings_of(text, **changes):
    settings = CorpusSettings([str(text / "text.txt")], None, 0.1, str(text / "tokenizer"), 200, 1000, 24, 3)
    return settings._replace(**changes)


def digests(folder):
    """Names and contents of all files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def all_tokens(folder, part):
    return np.concatenate([shard.tokens for shard in open_corpus(folder, part)[0].shards]).tolist()


@pytest.fixture(scope="module")
def expected(text, tmp_path_factory):
    """The corpus, made by one process in one go."""
    folder = tmp_path_factory.mktemp("expected") / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "MIN_CHARACTERS", 500)
        prepare_corpus(settings_of(text), folder, num_processes=1)
    return digests(folder)


def test_the_corpus_has_many_shards_and_nothing_else(expected):
    numbers = {name[-9:-4] for name in expected if name.startswith("train/tokens")}
    assert len(numbers) > 10
    rest = {name for name in expected if not name.startswith(("train/", "validation/"))}
    assert rest == {"corpus.json"}


def test_two_processes_make_the_same_bytes(text, expected, tmp_path):
    prepare_corpus(settings_of(text), tmp_path / "corpus", num_processes=2)
    assert digests(tmp_path / "corpus") == expected
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_two_machines_make_the_same_bytes(text, expected, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="electra_lab")
    prepare_corpus(settings_of(text), tmp_path / "corpus", shard=(2, 3), num_processes=1)
    assert not (tmp_path / "corpus").exists()
    assert "share 2/3 is made" in caplog.text and "--shard 1/3 (" in caplog.text and "--shard 3/3 (" in caplog.text
    prepare_corpus(settings_of(text), tmp_path / "corpus", shard=(1, 3), num_processes=1)
    assert not (tmp_path / "corpus").exists() and "--shard 1/3 (" not in caplog.messages[-1]
    prepare_corpus(settings_of(text), tmp_path / "corpus", shard=(3, 3), num_processes=1)
    assert digests(tmp_path / "corpus") == expected


def test_what_is_made_is_not_made_again(text, expected, tmp_path, monkeypatch):
    made = []

    def stop_after_five(preparation, block):
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append(block.number)
        return make_block(preparation, block)

    make_block = blocks.make_block
    monkeypatch.setattr(blocks, "make_block", stop_after_five)
    with pytest.raises(KeyboardInterrupt):
        prepare_corpus(settings_of(text), tmp_path / "corpus", num_processes=1)
    assert made == [0, 1, 2, 3, 4] and not (tmp_path / "corpus").exists()
    with pytest.raises(FileNotFoundError):
        open_corpus(tmp_path / "corpus", "train")

    def note(preparation, block):
        made.append(block.number)
        return make_block(preparation, block)

    monkeypatch.setattr(blocks, "make_block", note)
    prepare_corpus(settings_of(text), tmp_path / "corpus", num_processes=1)
    assert digests(tmp_path / "corpus") == expected
    assert made == list(range(len(made)))  # each once


def test_a_block_of_another_tokenizer_is_made_again(text, expected, tmp_path):
    """The tokenizer is a folder of the user's: it may change under the same name."""
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "text.txt").write_text("낱말 " * 50, encoding="utf-8")
    own = shutil.copytree(text / "tokenizer", tmp_path / "tokenizer")
    settings = settings_of(text, tokenizer=str(own))
    prepare_corpus(settings, tmp_path / "corpus", shard=(1, 2), num_processes=1)
    train_wordpiece(["낱말0 낱말1"] * 9, 60, own)
    prepare_corpus(settings, tmp_path / "corpus", num_processes=1)
    prepare_corpus(settings, tmp_path / "fresh", num_processes=1)
    assert digests(tmp_path / "corpus") == digests(tmp_path / "fresh")
    assert digests(tmp_path / "corpus") != expected


def test_the_trained_tokenizer_stays_when_the_work_is_stopped(text, tmp_path, monkeypatch):
    def stop(preparation, block):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(blocks, "make_block", stop)
        prepare_corpus(settings_of(text, tokenizer=None), tmp_path / "corpus", num_processes=1)
    trained = digests(tmp_path / "corpus.partial" / "tokenizer")
    monkeypatch.setattr(corpus, "train_wordpiece_once", None)
    prepare_corpus(settings_of(text, tokenizer=None), tmp_path / "corpus", num_processes=1)
    assert digests(tmp_path / "corpus" / "tokenizer") == trained


def test_processes_that_train_at_once_take_the_first_tokenizer(text, tmp_path):
    """Training twice gives two tokenizers; shares made with two of them would be nonsense."""
    with ThreadPoolExecutor(4) as pool:
        shares = [(number, 2) for number in (1, 2, 1, 2)]
        settings = settings_of(text, tokenizer=None)
        list(pool.map(lambda shard: prepare_corpus(settings, tmp_path / "corpus", shard, 1), shares))
    prepare_corpus(settings, tmp_path / "corpus", num_processes=1)  # nothing is left to do, or little
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    again = settings._replace(tokenizer=str(tmp_path / "corpus" / "tokenizer"))
    prepare_corpus(again, tmp_path / "again", num_processes=1)
    for part in ("train", "validation"):
        assert digests(tmp_path / "corpus" / part) == digests(tmp_path / "again" / part)


def test_an_interruption_in_the_middle_of_two_processes(text, expected, tmp_path, monkeypatch):
    def half_of_the_text(paths, read=corpus.raw_documents):
        for number, document in enumerate(read(paths)):
            if number == 50:
                raise KeyboardInterrupt
            yield document

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(corpus, "raw_documents", half_of_the_text)
        prepare_corpus(settings_of(text), tmp_path / "corpus", num_processes=2)
    assert not multiprocessing.active_children()
    there = sorted((tmp_path / "corpus.partial" / "blocks").iterdir())
    before = [path.stat().st_mtime_ns for path in there]
    assert len(there) >= 3 and not (tmp_path / "corpus").exists()
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "write_meta", None)  # stop again before it is finished
        with pytest.raises(TypeError):
            prepare_corpus(settings_of(text), tmp_path / "corpus", num_processes=1)
    assert [path.stat().st_mtime_ns for path in there] == before  # not made again
    prepare_corpus(settings_of(text), tmp_path / "corpus", num_processes=2)
    assert digests(tmp_path / "corpus") == expected


def test_unusable_text_is_one_sentence_and_leaves_nothing(text, tmp_path):
    good = (text / "text.txt").read_bytes()
    (tmp_path / "text.txt").write_bytes(good + "\n\n한글".encode("cp949"))
    for number in (1, 2):
        with pytest.raises(IngestError, match=r"text.txt: expected UTF-8 text"):
            prepare_corpus(settings_of(tmp_path, tokenizer=str(text / "tokenizer")), tmp_path / "c", (1, 1), number)
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


@pytest.mark.parametrize("content", ["", "하나뿐인 글"])
def test_text_of_which_nothing_is_left_is_refused(text, tmp_path, content):
    (tmp_path / "text.txt").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="no text: of a corpus of one document"):
        prepare_corpus(settings_of(tmp_path, tokenizer=str(text / "tokenizer")), tmp_path / "corpus")
    with pytest.raises(ValueError, match="no text to train a tokenizer on"):
        prepare_corpus(settings_of(tmp_path, tokenizer=None), tmp_path / "corpus")
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_held_out_text_of_its_own_is_all_held_out(text, tmp_path):
    (tmp_path / "other.txt").write_text("낱말1 낱말2\n\n낱말3", encoding="utf-8")
    other = settings_of(text, validation_paths=[str(tmp_path / "other.txt")])
    prepare_corpus(other, tmp_path / "corpus", num_processes=1)
    stores = [open_corpus(tmp_path / "corpus", part)[0].meta for part in ("train", "validation")]
    assert [meta["documents"] for meta in stores] == [100, 2]


def test_blocks_hold_every_document_once_in_order():
    documents = [[str(number) * 30] for number in range(100, 500)]
    made = list(cut([(documents[:250], 0.1), (documents[250:], 1.0)]))
    assert [document for block in made for document in block.documents] == documents
    assert [block.number for block in made] == list(range(len(made)))
    firsts = [block.first_document for block in made]
    assert firsts.count(0) == 2 and {block.held_out_share for block in made} == {0.1, 1.0}
    sizes = [sum(len(line) for document in block.documents for line in document) for block in made]
    assert min(sizes[:10]) == 540  # six documents of 90 characters reach 500
    assert sizes[-2] >= sum(sizes[:-2]) / blocks.BLOCKS_AT_MIN  # later blocks are larger


def test_who_is_held_out_depends_on_the_seed_and_the_number_alone():
    whole = held_out(5, np.arange(20_000), 0.05)
    assert whole[0] and held_out(5, 0, 1e-9) and not held_out(5, np.arange(9), 0.0).any()
    assert held_out(5, np.arange(300, 400), 0.05).tolist() == whole[300:400].tolist()
    assert 0.045 < whole.mean() < 0.055 and (whole != held_out(6, np.arange(20_000), 0.05)).any()


def test_shares_are_written_as_i_of_n():
    assert parse_shard("2/8") == (2, 8) and parse_shard("1/1") == (1, 1)
    for wrong in ("", "2", "0/3", "4/3", "1/0", "a/b", "1/2/3", "-1/2", "1 / 2", "²/3"):
        with pytest.raises(ValueError, match="expected i/n with 1 <= i <= n"):
            parse_shard(wrong)
