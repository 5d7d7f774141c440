"""Which example comes when: a pure function of (seed, epoch, position), and the sampler that walks along it.

The order never depends on the number of devices, workers or interruptions: an optimizer step is a run of
`batch_size` positions; devices and accumulation only say who computes which part of it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from electra_lab.data.chance import hash64

_ROUNDS = 8  # of the Feistel network; with four, orders of fewer than 20 examples are measurably uneven


class MicroBatch(NamedTuple):
    """What one forward pass on one device works on: the key that the dataset turns into a batch."""

    epoch: int
    index: int  # type: ignore[assignment]  # of the micro-batch in the epoch, counted over all devices
    examples: NDArray[np.int64]  # (micro_batch_size,) of this forward pass
    step_examples: NDArray[np.int64]  # (batch_size,) of the whole optimizer step, for its denominators


def shuffled(positions: NDArray[np.int64], num_examples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The examples at these positions of the epoch's order, without ever holding the order (memory stays flat).

    A Feistel network on the smallest even number of bits that holds `num_examples`; a value that falls outside
    walks on until it is inside (cycle walking, Black & Rogaway, CT-RSA 2002), which keeps it a permutation.
    """
    if not num_examples:
        raise ValueError("there is no example to order")
    half = max(1, (int(num_examples - 1).bit_length() + 1) // 2)
    values = positions.astype(np.uint64)
    outside = np.ones(values.shape, dtype=bool)
    while outside.any():
        values[outside] = _feistel(values[outside], half, seed, epoch)
        outside = values >= num_examples
    return values.astype(np.int64)


def _feistel(values: NDArray[np.uint64], half: int, seed: int, epoch: int) -> NDArray[np.uint64]:
    bits, low = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> bits, values & low
    for round_ in range(_ROUNDS):
        left, right = right, left ^ (hash64(seed, epoch, round_, right) & low)
    return (left << bits) | right


class OrderedSampler(Sampler[MicroBatch]):
    """Yields this device's micro-batches of one epoch, from where the last run stopped.

    Give it to a `DataLoader` as `sampler` with `batch_size=None`; the dataset's `__getitem__` gets a `MicroBatch`.
    The last examples that do not fill an optimizer step are left out of that epoch (another shuffle, others).
    """

    def __init__(
        self, num_examples: int, batch_size: int, micro_batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        if batch_size % (micro_batch_size * world_size):
            raise ValueError(
                f"batch_size {batch_size} must be a multiple of micro_batch_size x devices "
                f"= {micro_batch_size} x {world_size}"
            )
        if num_examples < batch_size:
            raise ValueError(f"batch_size {batch_size} is more than the {num_examples} training examples there are")
        self.num_examples = num_examples
        self.batch_size = batch_size
        self.micro_batch_size = micro_batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self._next = (0, 0)  # (epoch, optimizer step of it) not yet done
        self._started: tuple[int, int] | None = None  # where the running iteration began

    @property
    def accumulation(self) -> int:
        """Micro-batches a device computes for one optimizer step."""
        return self.batch_size // (self.micro_batch_size * self.world_size)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return self.num_examples // self.batch_size

    def __len__(self) -> int:
        return self.steps_per_epoch * self.accumulation

    def __iter__(self) -> Iterator[MicroBatch]:
        if self._next == self._started:  # nobody reports finished steps: the iteration before was a whole epoch
            self._next = (self._next[0] + 1, 0)
        self._started = epoch, first_step = self._next
        for step in range(first_step, self.steps_per_epoch):
            yield from self.micro_batches(epoch, step)

    def finished(self, epoch: int, step: int) -> None:
        """Take note that this optimizer step is in the weights; what is saved from now on continues after it."""
        self._next = (epoch, step + 1) if step + 1 < self.steps_per_epoch else (epoch + 1, 0)

    def state_dict(self) -> dict[str, int]:
        """Where a run that is resumed goes on; never "the end of an epoch", always the start of the next."""
        return {"epoch": self._next[0], "step": self._next[1]}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a saved place."""
        self._next = (state["epoch"], state["step"])
        self._started = None

    def micro_batches(self, epoch: int, step: int) -> Iterator[MicroBatch]:
        """This device's share of one optimizer step."""
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        examples = shuffled(positions, self.num_examples, self.seed, epoch)
        for part in range(self.accumulation):
            in_step = part * self.world_size + self.rank
            first = in_step * self.micro_batch_size
            yield MicroBatch(
                epoch=epoch,
                index=step * self.accumulation * self.world_size + in_step,
                examples=examples[first : first + self.micro_batch_size],
                step_examples=examples,
            )


def in_order(
    num_examples: int, batch_size: int, rank: int = 0, world_size: int = 1, even: bool = False
) -> list[MicroBatch]:
    """Every example exactly once, in order, this device's share: for validation, test and prediction.

    Where there are few examples the batches are smaller, so that each device has one: a device without would not
    come to the sums of the metrics, and the others would wait for it. `even` leaves out the last examples that would
    give some devices a batch more than others.

    Raises:
        ValueError: there are fewer examples than devices.
    """
    if 0 < num_examples < world_size:
        raise ValueError(f"{num_examples} examples to evaluate on are fewer than the {world_size} devices")
    batch_size = max(1, min(batch_size, num_examples // world_size))
    num_examples -= num_examples % (batch_size * world_size) if even else 0
    starts = range(rank * batch_size, num_examples, batch_size * world_size)
    batches = (np.arange(start, min(start + batch_size, num_examples)) for start in starts)
    return [MicroBatch(0, int(examples[0]) // batch_size, examples, examples) for examples in batches]
