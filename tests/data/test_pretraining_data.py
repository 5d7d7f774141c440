"""From a corpus to batches: prepared once, masked by position, denominators of the whole step."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from electra_lab.data.corpus import CorpusSettings, corpus_name
from electra_lab.data.order import MicroBatch
from electra_lab.data.pretraining import PretrainingDataModule
from electra_lab.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A text of 60 documents of numbered words."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    documents = ["\n".join(" ".join(f"낱말{w}" for w in rng.integers(0, 40, 8)) for _ in range(6)) for _ in range(60)]
    (folder / "corpus.txt").write_text("\n\n".join(documents), encoding="utf-8")
    return folder


def make(corpus, **options):
    settings = {
        "paths": [str(corpus / "corpus.txt")],
        "vocabulary_size": 300,
        "max_length": 24,
        "batch_size": 8,
        "validation_share": 0.1,
        "cache": str(corpus / "cache"),
    }
    datamodule = PretrainingDataModule(**{**settings, **options})
    datamodule.prepare_data()
    return datamodule


def test_batches_have_the_promised_shapes_and_layout(corpus):
    datamodule = make(corpus)
    tokenizer = load_tokenizer(datamodule.tokenizer_source)
    batch = next(iter(datamodule.train_dataloader()))
    assert batch.input_ids.shape == batch.attention_mask.shape == (8, 24)
    assert batch.masked_positions.shape == batch.masked_weights.shape == (8, 3)  # int(.155 x 24)
    assert (batch.input_ids[:, 0] == tokenizer.cls_token_id).all()
    lengths = batch.attention_mask.sum(1)
    rows = torch.arange(8)
    assert (batch.input_ids[rows, lengths - 1] == tokenizer.sep_token_id).all()
    assert (batch.input_ids[batch.attention_mask == 0] == tokenizer.pad_token_id).all()
    for row in rows:
        types = batch.token_type_ids[row, : lengths[row]]
        assert (types.diff() >= 0).all()  # A, then B
        separators = (batch.input_ids[row] == tokenizer.sep_token_id).sum()
        assert separators == 1 + types.max()  # after A and after B; [SEP] itself closes its own segment
        if types.max():
            assert batch.input_ids[row, (types == 0).sum() - 1] == tokenizer.sep_token_id


def test_masked_text_differs_at_chosen_positions_alone(corpus):
    datamodule = make(corpus)
    tokenizer = load_tokenizer(datamodule.tokenizer_source)
    for batch in datamodule.train_dataloader():
        changed = batch.masked_input_ids != batch.input_ids
        chosen = torch.zeros_like(changed)
        rows, slots = torch.nonzero(batch.masked_weights, as_tuple=True)
        chosen[rows, batch.masked_positions[rows, slots]] = True
        assert not (changed & ~chosen).any()
        assert (batch.masked_input_ids[changed] == tokenizer.mask_token_id).all()
        special = torch.isin(batch.input_ids, torch.tensor([tokenizer.cls_token_id, tokenizer.sep_token_id]))
        assert not (chosen & (special | (batch.attention_mask == 0))).any()


def test_every_example_comes_once_an_epoch_and_masks_change(corpus):
    datamodule = make(corpus, batch_size=1)
    loader = datamodule.train_dataloader()
    epochs = [[batch for batch in loader] for _ in range(2)]
    texts = [sorted(tuple(batch.input_ids[0].tolist()) for batch in epoch) for epoch in epochs]
    assert texts[0] == texts[1] and len(texts[0]) == datamodule.steps_per_epoch
    firsts = [{tuple(b.input_ids[0].tolist()): b.masked_positions.tolist() for b in epoch} for epoch in epochs]
    different = sum(firsts[0][text] != firsts[1][text] for text in firsts[0])
    assert different > 0.8 * len(firsts[0])


def test_denominators_are_those_of_the_whole_step(corpus):
    """Two micro-batches of two devices each share a step: the denominators are its totals over four."""
    datamodule = make(corpus)
    dataset = datamodule._dataset("train", parts=4)
    step = np.arange(8)
    parts = [dataset[MicroBatch(0, index, step[2 * index : 2 * index + 2], step)] for index in range(4)]
    assert sum(part.masked_weights.sum() for part in parts) == pytest.approx(4 * parts[0].num_masked.item())
    assert sum(part.attention_mask.sum() for part in parts) == pytest.approx(4 * parts[3].num_tokens.item())


def test_held_out_documents_are_not_trained_on(corpus):
    datamodule = make(corpus)
    counts = [datamodule._dataset(part, parts=1).store.meta for part in ("train", "validation")]
    assert sum(meta["documents"] for meta in counts) == 60
    assert 1 <= counts[1]["documents"] <= 15
    own = make(corpus, validation_paths=[str(corpus / "corpus.txt")])
    assert own._dataset("train", parts=1).store.meta["documents"] == 60


def test_validation_is_the_same_every_time(corpus):
    datamodule = make(corpus)
    first, second = ([b.masked_input_ids for b in datamodule.val_dataloader()] for _ in range(2))
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))


def test_a_corpus_is_prepared_once_and_anew_when_it_changes(corpus, tmp_path):
    text = tmp_path / "a.txt"
    text.write_text("\n\n".join(f"낱말{i} 낱말{i + 1}" for i in range(20)), encoding="utf-8")
    settings = CorpusSettings([str(text)], None, 0.1, None, 100, 100, 24, 0)
    before = corpus_name(settings)
    assert before == corpus_name(settings) and before.startswith("a-")
    assert before != corpus_name(settings._replace(max_length=32))
    text.write_text("다른 글", encoding="utf-8")
    assert before != corpus_name(settings)
    datamodule = make(corpus)
    marker = datamodule.folder / "train" / "tokens-00000.bin"
    made = marker.stat().st_mtime_ns
    make(corpus)
    assert marker.stat().st_mtime_ns == made


def test_a_half_made_corpus_is_made_anew(corpus, tmp_path):
    datamodule = make(corpus, cache=str(tmp_path))
    (datamodule.folder / "corpus.json").unlink()
    datamodule.prepare_data()
    assert (datamodule.folder / "corpus.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [datamodule.folder.name]


def test_two_runs_may_prepare_the_same_corpus_at_once(corpus, tmp_path):
    """Each in a folder of its own: one that cleans up after the other would leave neither."""
    datamodules = [
        PretrainingDataModule([str(corpus / "corpus.txt")], vocabulary_size=300, max_length=24, cache=str(tmp_path))
        for _ in range(2)
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda datamodule: datamodule.prepare_data(), datamodules))
    assert [path.name for path in tmp_path.iterdir()] == [datamodules[0].folder.name]
    assert len(datamodules[0]._dataset("train", parts=1)) > 50


def test_workers_change_nothing(corpus):
    batches = [list(make(corpus, num_workers=n).train_dataloader()) for n in (0, 2)]
    assert len(batches[0]) == len(batches[1]) > 5
    for one, other in zip(*batches, strict=True):
        assert one.masked_input_ids.equal(other.masked_input_ids) and tuple(one.position) == tuple(other.position)


def test_where_a_run_goes_on_is_in_its_state(corpus):
    datamodule = make(corpus)
    whole = list(datamodule.train_dataloader())
    datamodule.sampler.finished(0, 2)
    later = make(corpus)
    later.load_state_dict(datamodule.state_dict())
    rest = list(later.train_dataloader())
    assert len(rest) == len(whole) - 3
    assert rest[0].masked_input_ids.equal(whole[3].masked_input_ids)


def test_sizes_that_do_not_fit_are_refused(corpus):
    with pytest.raises(ValueError, match="multiple of micro_batch_size x devices = 3 x 1"):
        make(corpus, micro_batch_size=3).train_dataloader()
    with pytest.raises(ValueError, match="batch_size 5000 is more than"):
        make(corpus, batch_size=5000).train_dataloader()
    with pytest.raises(ValueError, match="mask_probability must lie between 0 and 1"):
        PretrainingDataModule(mask_probability=0.0)
