"""ConversationDataModule: labelled conversations, split whole, cut into windows and fed in an order that resumes."""

from pathlib import Path

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from electra_lab.batches import ConversationBatch
from electra_lab.data.conversation import Conversation
from electra_lab.data.documents import as_list
from electra_lab.data.encoding import ConversationEncoder
from electra_lab.data.formats import read_conversations
from electra_lab.data.labelled_windows import LabelledWindows
from electra_lab.data.order import MicroBatch, OrderedSampler, in_order
from electra_lab.data.splits import Splits, assert_no_leakage, contiguous, grouped, load, save
from electra_lab.tokenizer import load_tokenizer


class ConversationDataModule(LightningDataModule):
    """Reads labelled conversations, splits them whole, cuts them into windows and feeds these packed.

    Args:
        tokenizer: The tokenizer's name or folder.
        paths: Files or folders: NIKL Messenger with labels ("modified") or JSONL. Embedded synthetic ones if not given.
        num_speakers: Speakers told apart; the last token is shared by all beyond.
        window: Messages of a window.
        stride: Messages from one window's first to the next one's.
        max_length: Tokens of a window, at most; a longer window becomes several with fewer messages.
        split: "grouped" (at random), or "contiguous" for files that continue each other.
        gap: Conversations left out between the parts of a contiguous split.
        validation_share: Share of the conversations that choose the best weights and the thresholds.
        test_share: Share of the conversations that are kept for the test.
        splits_file: A splits.json to use instead of splitting.
        augmentation: Share of the training windows that are changed a little, anew in every epoch.
        batch_size: Windows of an optimizer step, over all devices.
        micro_batch_size: Windows of a forward pass on one device, when memory runs out. All of them if not given.
        num_workers: Processes that make batches.
        seed: Of the split, the order and the augmentation.
    """

    def __init__(
        self,
        tokenizer: str,
        paths: list[str] | str | None = None,
        num_speakers: int = 2,
        window: int = 10,
        stride: int = 5,
        max_length: int = 512,
        split: str = "grouped",
        gap: int = 1,
        validation_share: float = 0.15,
        test_share: float = 0.15,
        splits_file: str | None = None,
        augmentation: float = 0.3,
        batch_size: int = 32,
        micro_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 42,
    ) -> None:
        super().__init__()
        if split not in _SPLITS:
            raise ValueError(f"no split is called {split!r}; there are {', '.join(_SPLITS)}")
        self.tokenizer_source = tokenizer  # the task reads the same
        self.paths = as_list(paths)
        self.num_speakers = num_speakers
        self.window = window
        self.stride = stride
        self.max_length = max_length
        self.split_kind = split
        self.gap = gap
        self.validation_share = validation_share
        self.test_share = test_share
        self.splits_file = splits_file
        self.augmentation = augmentation
        self.batch_size = batch_size
        self.micro_batch_size = micro_batch_size
        self.num_workers = num_workers
        self.seed = seed
        self._conversations: list[Conversation] = []
        self._windows: dict[str, LabelledWindows] = {}
        self._sampler: OrderedSampler | None = None
        self._state: dict[str, int] | None = None  # where to go on, until there is a sampler

    @property
    def accumulation(self) -> int:
        """Micro-batches of an optimizer step on one device."""
        return self.sampler.accumulation

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return self.sampler.steps_per_epoch

    @property
    def sampler(self) -> OrderedSampler:
        """The order of the training windows."""
        place = self._place()
        if self._sampler is None or (self._sampler.rank, self._sampler.world_size) != place:  # a trainer came since
            num_windows = len(self.windows("train"))
            size = self.micro_batch_size or self.batch_size // place[1]
            self._sampler = OrderedSampler(num_windows, self.batch_size, size, self.seed, *place)
            if self._state is not None:
                self._sampler.load_state_dict(self._state)
        return self._sampler

    def setup(self, stage: str | None = None) -> None:
        """Read, split and encode, once.

        Raises:
            IngestError: a file that cannot be used.
            ValueError: conversations that cannot be split or learned from.
        """
        if self._windows:
            return
        everything = self._read()
        self._conversations = [conversation for conversation in everything if conversation.messages]
        _check_labels(self._conversations, "the data")
        self._splits = self._split()
        assert_no_leakage(self._splits, self._conversations)
        tokenizer = load_tokenizer(self.tokenizer_source, self.num_speakers)
        self._encoder = ConversationEncoder(tokenizer, self.window, self.stride, self.max_length, self.num_speakers)
        windows = {}
        for name, indices in self._splits._asdict().items():
            conversations = [self._conversations[index] for index in indices]
            if name != "test":
                _check_labels(conversations, f"the {name} part")
            augmentation = self.augmentation if name == "train" else 0.0
            windows[name] = LabelledWindows(conversations, self._encoder, augmentation, self.seed)
        self._windows = windows
        self._num_left_out = len(everything) - sum(map(len, self._splits))

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
        """Counts and shares of anomalous ones for each part; what was left out, capped or shortened."""
        self.setup()
        return {
            **{name: windows.summary() for name, windows in self._windows.items()},
            "left_out_conversations": self._num_left_out,
            "capped_messages": self._encoder.num_capped,
            "shortened_windows": self._encoder.num_shortened,
        }

    def write_splits(self, folder: str | Path) -> Path:
        """Write splits.json, to be given back as `splits_file`."""
        self.setup()
        path = Path(folder) / "splits.json"
        save(self._splits, self._conversations, path)
        return path

    def state_dict(self) -> dict[str, int]:
        """The place in the order, for a checkpoint."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a saved place, also before there is data."""
        self._state = state
        if self._sampler is not None:
            self._sampler.load_state_dict(state)

    def _read(self) -> list[Conversation]:
        if self.paths is None:
            from electra_lab.data.synthetic import conversations

            return conversations(seed=self.seed)
        return list(read_conversations(self.paths))

    def _split(self) -> Splits:
        if self.splits_file is not None:
            return load(Path(self.splits_file), self._conversations)
        if self.split_kind == "grouped":
            return grouped(self._conversations, self.validation_share, self.test_share, self.seed)
        return contiguous(self._conversations, self.validation_share, self.test_share, self.gap)

    def _evaluation_loader(self, name: str) -> DataLoader[ConversationBatch]:
        size = self.micro_batch_size or self.batch_size
        return self._loader(name, in_order(len(self.windows(name)), size, *self._place()))

    def _loader(self, name: str, order: OrderedSampler | list[MicroBatch]) -> DataLoader[ConversationBatch]:
        return DataLoader(self.windows(name), batch_size=None, sampler=order, num_workers=self.num_workers)

    def _place(self) -> tuple[int, int]:
        """Rank and number of devices."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


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


_SPLITS = ("grouped", "contiguous")
