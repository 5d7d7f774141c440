"""ConversationDataModule: labelled conversations, split whole, cut into windows and fed in an order that resumes."""

import logging
from pathlib import Path

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from electra_lab.batches import ConversationBatch
from electra_lab.data.conversation import Conversation
from electra_lab.data.documents import as_list
from electra_lab.data.encoding import ConversationEncoder
from electra_lab.data.ingest import Corpus, read_corpus
from electra_lab.data.labelled_windows import LabelledWindows
from electra_lab.data.lexicon import read_lexicon
from electra_lab.data.order import MicroBatch, OrderedSampler, in_order
from electra_lab.data.related import related
from electra_lab.data.resumable import ResumableOrder
from electra_lab.data.splits import (
    Splits,
    assert_no_leakage,
    contiguous,
    fold_of,
    grouped,
    hold_out,
    load,
    save,
    shuffled,
    windows_of,
)
from electra_lab.data.workers import worker_options
from electra_lab.tokenizer import load_tokenizer

_logger = logging.getLogger(__name__)


class ConversationDataModule(ResumableOrder, LightningDataModule):
    """Reads labelled conversations, splits them whole, cuts them into windows and feeds these packed.

    Args:
        tokenizer: The tokenizer's name or folder.
        paths: Files or folders: NIKL Messenger with labels ("modified") or JSONL. Embedded synthetic ones if not given.
        max_bad: Share of the conversations that may be left out because they cannot be used; a bad file counts as one.
        num_speakers: Speakers told apart; the last token is shared by all beyond.
        window: Messages of a window.
        stride: Messages from one window's first to the next one's.
        max_length: Tokens of a window, at most; a longer window becomes several with fewer messages.
        context: What the encoder reads together: a "window", or each "message" by itself, which needs less to learn.
        ngrams: Whether the batches carry the messages' character n-grams too.
        split: "grouped" (at random), or "contiguous" for files that continue each other; "windows" leaks.
        gap: Conversations left out between the parts of a contiguous split.
        validation_share: Share of the conversations that choose the best weights and the thresholds.
        test_share: Share of the conversations that are kept for the test.
        fold: Which block of a contiguous split is the test, from 0; the next one validates. The shares if not given.
        num_folds: Blocks of a contiguous split with a fold.
        held_out_kinds: Kinds of inserted messages that are in the test only, to see what was never learned.
        splits_file: A splits.json to use instead of splitting.
        augmentation: Share of the training windows that are changed a little, anew in every epoch.
        lexicon: Words, one a line or a YAML list, that are hidden in training, so that their context is learned.
        lexicon_masking: Share of the lexicon's occurrences that are hidden, anew in every epoch; goes with a lexicon.
        batch_size: Windows of an optimizer step, over all devices.
        micro_batch_size: Windows of a forward pass on one device, when memory runs out. All of them if not given.
        num_workers: Processes that make batches.
        seed: Of the split, the order and the augmentation.
    """

    def __init__(
        self,
        tokenizer: str,
        paths: list[str] | str | None = None,
        max_bad: float = 0.0,
        num_speakers: int = 2,
        window: int = 10,
        stride: int = 5,
        max_length: int = 512,
        context: str = "window",
        ngrams: bool = False,
        split: str = "grouped",
        gap: int = 1,
        validation_share: float = 0.15,
        test_share: float = 0.15,
        fold: int | None = None,
        num_folds: int = 5,
        held_out_kinds: list[str] | None = None,
        splits_file: str | None = None,
        augmentation: float = 0.3,
        lexicon: str | None = None,
        lexicon_masking: float = 0.0,
        batch_size: int = 32,
        micro_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 42,
    ) -> None:
        super().__init__()
        if split not in _SPLITS:
            raise ValueError(f"no split is called {split!r}; there are {', '.join(_SPLITS)}")
        if fold is not None and split != "contiguous":
            raise ValueError(f"a fold is a block of the split 'contiguous', not of {split!r}")
        if (lexicon is None) != (lexicon_masking == 0):
            raise ValueError("lexicon and lexicon_masking go together: give both or none")
        if not 0 <= max_bad < 1:
            raise ValueError(f"max_bad is a share of the conversations, from 0 to below 1, not {max_bad:g}")
        self.tokenizer_source = tokenizer  # the task reads the same
        self.paths = as_list(paths)
        self.max_bad = max_bad
        self.num_speakers = num_speakers
        self.window = window
        self.stride = stride
        self.max_length = max_length
        self.context = context
        self.ngrams = ngrams
        self.split_kind = split
        self.gap = gap
        self.validation_share = validation_share
        self.test_share = test_share
        self.fold = fold
        self.num_folds = num_folds
        self.held_out_kinds = held_out_kinds or []
        self.splits_file = splits_file
        self.augmentation = augmentation
        self.lexicon = read_lexicon(lexicon) if lexicon else []
        self.lexicon_masking = lexicon_masking
        self.batch_size = batch_size
        self.micro_batch_size = micro_batch_size
        self.num_workers = num_workers
        self.seed = seed
        self._conversations: list[Conversation] = []
        self._windows: dict[str, LabelledWindows] = {}

    def num_training_examples(self) -> int:
        """Windows of the training part."""
        return len(self.windows("train"))

    def setup(self, stage: str | None = None) -> None:
        """Read, split and encode, once.

        Raises:
            IngestError: a conversation or file that cannot be used, if there is one.
            ValueError: more of them than `max_bad`; conversations that cannot be split or learned from.
        """
        if self._windows:
            return
        self._conversations, num_unusable = self._read()
        _check_labels(self._conversations, "the data")
        self._splits = self._split()
        tokenizer = load_tokenizer(self.tokenizer_source, self.num_speakers)
        self._encoder = ConversationEncoder(
            tokenizer, self.window, self.stride, self.max_length, self.num_speakers, self.context, self.ngrams
        )
        windows = {}
        for name, indices in self._splits._asdict().items():
            conversations = [self._conversations[index] for index in indices]
            if name != "test":
                _check_labels(conversations, f"the {name} part")
            changes = (self.augmentation, self.seed, self.lexicon, self.lexicon_masking) if name == "train" else ()
            windows[name] = LabelledWindows(conversations, self._encoder, *changes)
        self._windows = windows
        self._num_unknown = sum(part.num_mostly_unknown() for part in windows.values())
        if self._num_unknown:
            said = "%d of %d windows are mostly [UNK]: the encoder cannot read them, and its scores of them mean little"
            _logger.warning(said, self._num_unknown, sum(map(len, windows.values())))
        self._num_left_out = num_unusable + len(self._conversations) - sum(map(len, self._splits))

    def train_dataloader(self) -> DataLoader[ConversationBatch]:
        """Shuffled windows, some of them augmented."""
        return self._loader("train", self.sampler)

    def val_dataloader(self) -> DataLoader[ConversationBatch]:
        """Every validation window once, in order."""
        return self._evaluation_loader("validation")

    def test_dataloader(self) -> DataLoader[ConversationBatch]:
        """Every test window once, in order."""
        return self._evaluation_loader("test")

    def windows(self, name: str) -> LabelledWindows:
        """The windows of "train", "validation" or "test"."""
        self.setup()
        if name not in self._windows:
            raise ValueError(f"no part is called {name!r}; there are {', '.join(self._windows)}")
        return self._windows[name]

    def split(self, name: str) -> list[Conversation]:
        """The conversations of "train", "validation" or "test", as `conversation_of_window` counts them."""
        return self.windows(name).conversations

    def summary(self) -> dict[str, object]:
        """Counts and shares of anomalous ones for each part; whether they leak; what was left out or shortened."""
        self.setup()
        return {
            **{name: windows.summary() for name, windows in self._windows.items()},
            "leaky": self.split_kind == "windows",
            "left_out_conversations": self._num_left_out,
            "capped_messages": self._encoder.num_capped,
            "shortened_windows": self._encoder.num_shortened,
            "mostly_unknown_windows": self._num_unknown,
        }

    def write_splits(self, folder: str | Path) -> Path:
        """Write splits.json, to be given back as `splits_file`."""
        self.setup()
        path = Path(folder) / "splits.json"
        save(self._splits, self._conversations, path)
        return path

    def _read(self) -> Corpus:
        if self.paths is None:
            from electra_lab.data.synthetic import conversations

            return Corpus(conversations(seed=self.seed), 0)
        # one process of a run writes the report; without a trainer there is no run
        folder = Path(self.trainer.default_root_dir) if self.trainer and self.trainer.is_global_zero else None
        return read_corpus(self.paths, self.max_bad, folder)

    def _split(self) -> Splits:
        """The parts, checked; windows become conversations of their own if they are what is split."""
        if self.split_kind == "windows":
            _logger.warning("LEAKY: windows are split at random, so the test repeats messages of the training")
            self._conversations = windows_of(self._conversations, self.window, self.stride)
            return hold_out(self._parts([]), self._conversations, self.held_out_kinds)
        groups = related(self._conversations)
        splits = hold_out(self._parts(groups), self._conversations, self.held_out_kinds)
        assert_no_leakage(splits, self._conversations, groups)
        return splits

    def _parts(self, groups: list[int]) -> Splits:
        conversations, shares = self._conversations, (self.validation_share, self.test_share)
        if self.splits_file is not None:
            return load(Path(self.splits_file), conversations)
        if self.split_kind == "windows":
            return shuffled(len(conversations), *shares, self.seed)
        if self.split_kind == "grouped":
            return grouped(conversations, *shares, self.seed, groups)
        if self.fold is not None:
            return fold_of(conversations, self.fold, self.num_folds, self.gap, groups)
        return contiguous(conversations, *shares, self.gap, groups)

    def _evaluation_loader(self, name: str) -> DataLoader[ConversationBatch]:
        size = self.micro_batch_size or self.batch_size
        return self._loader(name, in_order(len(self.windows(name)), size, *self.place))

    def _loader(self, name: str, order: OrderedSampler | list[MicroBatch]) -> DataLoader[ConversationBatch]:
        return DataLoader(self.windows(name), batch_size=None, sampler=order, **worker_options(self.num_workers))


def _check_labels(conversations: list[Conversation], where: str) -> None:
    labels = {message.label for conversation in conversations for message in conversation.messages} - {None}
    if not labels:
        raise ValueError(
            f"{where} has no labelled message; label messages with 0 or 1, or make labels with `electra-lab modify`"
        )
    if len(labels) == 1:
        raise ValueError(
            f"{where} has messages labelled {labels.pop()} only; both 0 and 1 are needed to learn to tell them apart"
        )


_SPLITS = ("grouped", "contiguous", "windows")
