"""What both DataModules know of the order of their training examples: the sampler, and its place for a checkpoint."""

from typing import Any

from electra_lab.data.order import OrderedSampler


class ResumableOrder:
    """Gives a DataModule its sampler, made when there are data and a trainer, and the state that resumes it.

    To be inherited before LightningDataModule, which declares the same hooks and does nothing in them.
    """

    batch_size: int
    micro_batch_size: int | None
    seed: int
    trainer: Any  # Lightning's, once there is one
    _sampler: OrderedSampler | None = None
    _state: dict[str, int] | None = None  # where to go on, until there is a sampler

    def num_training_examples(self) -> int:
        """How many there are in an epoch."""
        raise NotImplementedError

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
        """The order of the training examples."""
        rank, devices = self.place
        if self._sampler is None or (self._sampler.rank, self._sampler.world_size) != self.place:  # a trainer came
            size = self.micro_batch_size or self.batch_size // devices
            number = self.num_training_examples()
            self._sampler = OrderedSampler(number, self.batch_size, size, self.seed, rank, devices)
            if self._state is not None:
                self._sampler.load_state_dict(self._state)
        return self._sampler

    @property
    def place(self) -> tuple[int, int]:
        """Rank and number of devices."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def state_dict(self) -> dict[str, int]:
        """The place in the order, for a checkpoint."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a saved place, also before there is data."""
        self._state = state
        if self._sampler is not None:
            self._sampler.load_state_dict(state)
