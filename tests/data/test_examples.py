"""Whole words in packed examples: where words begin, and what stays as it is without them."""

from types import SimpleNamespace

import numpy as np
import pytest
from transformers import BertTokenizer

from electra_lab.data.examples import PackedExamples
from electra_lab.data.order import MicroBatch
from electra_lab.data.pretraining import PretrainingDataModule
from electra_lab.data.words import continues_word, first_of_word
from electra_lab.tokenizer import load_tokenizer

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "낱", "##말"]
WORD, MORE = 5, 6


def test_words_end_with_their_line_and_their_segment():
    """Three words of two pieces begin without saying so: after [CLS], with a line, after [SEP]."""
    lines = [[MORE, MORE], [MORE, MORE, WORD, MORE], [MORE, MORE], [WORD, MORE]]
    tokens = np.concatenate(lines).astype(np.uint16)
    line_offsets = np.cumsum([0, *map(len, lines)])
    store = SimpleNamespace(shards=[SimpleNamespace(tokens=tokens, line_offsets=line_offsets)])
    tokenizer = BertTokenizer(vocab={token: number for number, token in enumerate(VOCABULARY)})
    # A is the first two lines, B the last two: [CLS] 1 2, 3 4 5 6 [SEP] 8 9, 10 11 [SEP]
    dataset = PackedExamples(store, [np.array([[0, 6, 10]])], tokenizer, 16, 0.15, seed=0, whole_words=True)
    example = np.array([0])
    chosen = {
        tuple(dataset[MicroBatch(epoch, 0, example, example)].masked_positions[0].tolist()) for epoch in range(100)
    }
    assert chosen == {(1, 2), (3, 4), (5, 6), (8, 9), (10, 11)}  # .15 x 13 = 2 positions


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """DataModules of a text of numbered words, which a small vocabulary cuts into pieces."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    documents = ["\n".join(" ".join(f"낱말{w}" for w in rng.integers(0, 400, 8)) for _ in range(6)) for _ in range(60)]
    (folder / "corpus.txt").write_text("\n\n".join(documents), encoding="utf-8")

    def datamodule(**options):
        made = PretrainingDataModule(
            [str(folder / "corpus.txt")],
            vocabulary_size=60,
            max_length=48,
            batch_size=8,
            cache=str(folder / "cache"),
            **options,
        )
        made.prepare_data()
        return made

    return datamodule


def test_pieces_are_masked_together_but_for_one_word_an_example(make):
    datamodule = make(whole_words=True)
    goes_on = continues_word(load_tokenizer(datamodule.tokenizer_source))
    whole, part = 0, 0
    for batch in datamodule.train_dataloader():
        ids = batch.input_ids.numpy()
        words = first_of_word(goes_on[ids])
        for row, (chosen, weights) in enumerate(zip(batch.masked_positions, batch.masked_weights, strict=True)):
            text = words[row][ids[row] >= 5]  # no [CLS], [SEP] or [PAD]
            taken = np.bincount(words[row][chosen[weights == 1].numpy()], minlength=48)
            missing = (np.bincount(text, minlength=48) - taken)[taken > 0] > 0
            assert missing.sum() <= 1
            part += missing.sum()
            whole += (~missing).sum()
    assert whole > part > 0  # the text has words of several pieces


def test_the_denominators_are_those_of_single_tokens(make):
    """They come from the index alone, before a word is known."""
    for one, other in zip(make().train_dataloader(), make(whole_words=True).train_dataloader(), strict=True):
        assert one.input_ids.equal(other.input_ids)
        assert one.num_masked == other.num_masked == other.masked_weights.sum()
        assert not one.masked_positions.equal(other.masked_positions)


def test_workers_change_no_word(make):
    batches = [list(make(whole_words=True, num_workers=n).train_dataloader()) for n in (0, 2)]
    assert len(batches[0]) == len(batches[1]) > 5
    for one, other in zip(*batches, strict=True):
        assert one.masked_positions.equal(other.masked_positions)
        assert one.masked_input_ids.equal(other.masked_input_ids)
