"""Packed examples as tensors: reads `[CLS] A [SEP] B [SEP]` from the token store, masks, pads."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from electra_lab.batches import PretrainingBatch
from electra_lab.data.masking import choose_positions, max_masked, num_masked
from electra_lab.data.order import MicroBatch
from electra_lab.data.token_store import ShardExamples, TokenStore
from electra_lab.data.words import continues_word, first_of_word


class Rows(NamedTuple):
    """Examples before masking."""

    input_ids: NDArray[np.int64]  # (B, L)
    token_type_ids: NDArray[np.int64]  # (B, L)
    is_text: NDArray[np.bool_]  # (B, L) neither [CLS], [SEP] nor [PAD]
    lengths: NDArray[np.int64]  # (B,) with [CLS] and [SEP]


class PackedExamples(Dataset[PretrainingBatch]):
    """Turns the key of a micro-batch into its tensors; the same key gives the same tensors on any worker."""

    def __init__(
        self,
        store: TokenStore,
        index: list[ShardExamples],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        mask_probability: float,
        seed: int,
        parts: int = 1,
        whole_words: bool = False,
    ) -> None:
        """Open a dataset.

        Args:
            store: the tokens.
            index: of each shard (n, 3): token at which A starts, B starts, B ends (`packing.pack_examples`).
            tokenizer: for the ids of [CLS], [SEP], [MASK] and [PAD].
            max_length: L.
            mask_probability: share of an example's tokens that is chosen.
            seed: of the masks.
            parts: micro-batches of an optimizer step, over all devices.
            whole_words: choose words instead of tokens.
        """
        self.store = store
        self.index = index
        self.first_example = np.cumsum([0, *(len(shard) for shard in index)])
        self.cls, self.sep = int(tokenizer.cls_token_id), int(tokenizer.sep_token_id)
        self.pad, self.mask = int(tokenizer.pad_token_id), int(tokenizer.mask_token_id)
        self.max_length = max_length
        self.mask_probability = mask_probability
        self.seed = seed
        self.parts = parts
        self.continues = continues_word(tokenizer) if whole_words else None  # (V,)

    def __len__(self) -> int:
        return int(self.first_example[-1])

    def __getitem__(self, key: MicroBatch) -> PretrainingBatch:
        rows = self._read(key.examples)
        positions, weights, hidden = choose_positions(
            rows.is_text,
            num_masked(rows.lengths, self.max_length, self.mask_probability),
            max_masked(self.max_length, self.mask_probability),
            self.seed,
            key.epoch,
            key.examples,
            None if self.continues is None else self._words(self.continues, rows, key.examples),
        )
        masked_input_ids = rows.input_ids.copy()
        masked_input_ids[np.nonzero(hidden)[0], positions[hidden]] = self.mask
        step_masked, step_tokens = self._step_totals(key.step_examples)
        columns = np.arange(self.max_length)[None]
        return PretrainingBatch(
            input_ids=torch.from_numpy(rows.input_ids),
            masked_input_ids=torch.from_numpy(masked_input_ids),
            token_type_ids=torch.from_numpy(rows.token_type_ids),
            attention_mask=torch.from_numpy((columns < rows.lengths[:, None]).astype(np.int64)),
            masked_positions=torch.from_numpy(positions),
            masked_weights=torch.from_numpy(weights),
            num_masked=torch.tensor(step_masked / self.parts, dtype=torch.float32),
            num_tokens=torch.tensor(step_tokens / self.parts, dtype=torch.float32),
            position=(key.epoch, key.index),
        )

    def _bounds(self, examples: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shard (B,) and token at which A starts, B starts, B ends (B, 3)."""
        shards = np.searchsorted(self.first_example, examples, side="right") - 1
        places = examples - self.first_example[shards]
        return shards, np.stack([self.index[shard][place] for shard, place in zip(shards, places, strict=True)])

    def _step_totals(self, examples: NDArray[np.int64]) -> tuple[int, int]:
        """Chosen positions and real tokens of these examples, from the index alone."""
        bounds = self._bounds(examples)[1]
        num_text = bounds[:, 2] - bounds[:, 0]
        lengths = num_text + np.where(bounds[:, 1] < bounds[:, 2], 3, 2)  # [CLS] A [SEP] B [SEP] or [CLS] A [SEP]
        chosen = np.minimum(num_masked(lengths, self.max_length, self.mask_probability), num_text)
        return int(chosen.sum()), int(lengths.sum())

    def _read(self, examples: NDArray[np.int64]) -> Rows:
        input_ids = np.full((len(examples), self.max_length), self.pad, dtype=np.int64)
        token_type_ids = np.zeros_like(input_ids)
        is_text = np.zeros(input_ids.shape, dtype=bool)
        lengths = np.empty(len(examples), dtype=np.int64)
        for row, (shard, (start, split, end)) in enumerate(zip(*self._bounds(examples), strict=True)):
            tokens = np.asarray(self.store.shards[shard].tokens)  # slices of a memory map itself cost 10 us each
            middle = 1 + split - start  # where the [SEP] after A stands
            input_ids[row, 0] = self.cls
            input_ids[row, 1:middle] = tokens[start:split]
            input_ids[row, middle] = self.sep
            is_text[row, 1:middle] = True
            lengths[row] = middle + 1
            if split < end:
                last = middle + 1 + end - split  # where the [SEP] after B stands
                input_ids[row, middle + 1 : last] = tokens[split:end]
                input_ids[row, last] = self.sep
                is_text[row, middle + 1 : last] = True
                token_type_ids[row, middle + 1 : last + 1] = 1
                lengths[row] = last + 1
        return Rows(input_ids, token_type_ids, is_text, lengths)

    def _words(self, continues: NDArray[np.bool_], rows: Rows, examples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Column (B, L) at which each token's word begins; a line begins with a new word whatever its mark says.

        So does a segment: what goes on after [CLS] or [SEP] counts as a word with it, and those are never chosen.
        """
        goes_on = continues[rows.input_ids]
        for row, (shard, (start, split, end)) in enumerate(zip(*self._bounds(examples), strict=True)):
            line_offsets = np.asarray(self.store.shards[shard].line_offsets)
            first, last = np.searchsorted(line_offsets, (start, end))
            lines = line_offsets[first:last]
            goes_on[row, 1 + lines - start + (lines >= split)] = False  # B stands one [SEP] further right
        return first_of_word(goes_on)
