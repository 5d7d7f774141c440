"""PretrainingDataModule: prepares a corpus once and feeds masked, packed batches from it."""

from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.utils.data import DataLoader

from electra_lab.batches import PretrainingBatch
from electra_lab.data.corpus import CorpusSettings, corpus_name, open_corpus, prepare_corpus
from electra_lab.data.documents import as_list
from electra_lab.data.examples import PackedExamples
from electra_lab.data.order import OrderedSampler, in_order
from electra_lab.data.resumable import ResumableOrder
from electra_lab.data.workers import worker_options
from electra_lab.tokenizer import load_tokenizer


class PretrainingDataModule(ResumableOrder, LightningDataModule):
    """Prepares a corpus (tokenizer, token store, example index) once and feeds masked, packed batches from it.

    Args:
        paths: Files, folders or hf:NAME_OR_FOLDER. The embedded synthetic text if not given.
        validation_paths: Held-out text. If not given, a share of the documents of `paths` is held out.
        validation_share: Share of the documents that is held out.
        tokenizer: A tokenizer's name or folder. If not given, one is trained on a sample of the corpus.
        vocabulary_size: Size of the tokenizer to train.
        sample_lines: The tokenizer is trained on so many lines, the first of the corpus.
        max_length: Tokens of an example, with [CLS] and [SEP].
        mask_probability: Share of the tokens that the generator predicts.
        whole_words: Mask whole words instead of single tokens.
        batch_size: Examples of an optimizer step, over all devices.
        micro_batch_size: Examples of a forward pass on one device, when memory runs out. All of them if not given.
        validation_examples: At most so many held-out examples are used for a validation.
        num_workers: Processes that make batches.
        cache: Folder for prepared corpora.
        seed: Of the order, the masks and the packing.
    """

    def __init__(
        self,
        paths: list[str] | str | None = None,
        validation_paths: list[str] | str | None = None,
        validation_share: float = 0.01,
        tokenizer: str | None = None,
        vocabulary_size: int = 32000,
        sample_lines: int = 1_000_000,
        max_length: int = 128,
        mask_probability: float = 0.15,
        whole_words: bool = False,
        batch_size: int = 128,
        micro_batch_size: int | None = None,
        validation_examples: int = 1024,
        num_workers: int = 0,
        cache: str = "runs/data",
        seed: int = 42,
    ) -> None:
        super().__init__()
        if not 0 < mask_probability < 1:
            raise ValueError(f"mask_probability must lie between 0 and 1, got {mask_probability}")
        if not (validation_paths or 0 < validation_share < 1):
            raise ValueError(
                f"validation_share must lie between 0 and 1 where no validation_paths are given, got {validation_share}"
            )
        if max_length < 8:
            raise ValueError(f"max_length must be at least 8, got {max_length}")
        self.settings = CorpusSettings(
            as_list(paths),
            as_list(validation_paths),
            validation_share,
            tokenizer,
            vocabulary_size,
            sample_lines,
            max_length,
            seed,
        )
        self.mask_probability = mask_probability
        self.whole_words = whole_words
        self.batch_size = batch_size
        self.micro_batch_size = micro_batch_size
        self.validation_examples = validation_examples
        self.num_workers = num_workers
        self.seed = seed
        self.folder = Path(cache) / corpus_name(self.settings)
        self.tokenizer_source = tokenizer or str(self.folder / "tokenizer")  # the task reads the same

    def num_training_examples(self) -> int:
        """Of all shards."""
        return sum(len(shard) for shard in open_corpus(self.folder, "train")[1])

    def prepare_data(self) -> None:
        """Make the prepared corpus unless it is there."""
        prepare_corpus(self.settings, self.folder)

    def train_dataloader(self) -> DataLoader[PretrainingBatch]:
        """Masked examples in shuffled order, masks anew in every epoch."""
        parts = self.sampler.accumulation * self.sampler.world_size
        return self._loader(self._dataset("train", parts), self.sampler)

    def val_dataloader(self) -> DataLoader[PretrainingBatch]:
        """Held-out examples in order, always with the same masks."""
        dataset = self._dataset("validation", parts=1)
        rank, devices = self.place
        number = min(len(dataset), self.validation_examples)
        size = self.micro_batch_size or self.batch_size
        # with spread weights every forward pass is a meeting of all devices: each must come as often as the others
        is_spread = self.trainer is not None and isinstance(self.trainer.strategy, ModelParallelStrategy)
        return self._loader(dataset, in_order(number, size, rank, devices, even=is_spread))

    def _dataset(self, part: str, parts: int) -> PackedExamples:
        store, index = open_corpus(self.folder, part)
        tokenizer = load_tokenizer(self.tokenizer_source)
        chance = (self.mask_probability, self.seed)
        return PackedExamples(store, index, tokenizer, self.settings.max_length, *chance, parts, self.whole_words)

    def _loader(self, dataset: PackedExamples, order: OrderedSampler | list) -> DataLoader[PretrainingBatch]:
        options = worker_options(self.num_workers)
        return DataLoader(dataset, batch_size=None, sampler=order, pin_memory=torch.cuda.is_available(), **options)
