"""Conversations through a detector on one device or several, in order, one after another."""

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from electra_lab.data.conversation import Conversation
from electra_lab.inference import ConversationPrediction, TrainedDetector, score

Item = TypeVar("Item")
AHEAD = 2  # conversations that wait for each device; bounds the memory


def devices_named(words: str) -> list[torch.device]:
    """Devices from words: `auto` (all GPUs, else the CPU), `cpu`, `cuda`, or several: `cuda:0,cuda:1`.

    Raises:
        ValueError: a device that torch does not know, or that this machine does not have.
    """
    if words == "auto":
        words = ",".join(f"cuda:{number}" for number in range(torch.cuda.device_count())) or "cpu"
    found = []
    for word in words.split(","):
        try:
            found.append(torch.device(word.strip()))
            torch.empty(0, device=found[-1])
        except (RuntimeError, AssertionError):  # torch built without CUDA asserts
            raise ValueError(f"there is no device {word.strip()!r} here; take cpu, cuda, cuda:1, ... or auto") from None
    return found


def scored(
    model: TrainedDetector,
    items: Iterable[tuple[Item, Conversation]],
    devices: Sequence[torch.device],
    precision: str = "fp32",
) -> Iterator[tuple[Item, ConversationPrediction | None]]:
    """Each item with the prediction for its conversation, in order; None for a conversation without messages.

    Args:
        model: copied to every device.
        items: read while the devices compute.
        devices: each scores whole conversations, so the scores are those of one device.
        precision: see `inference.score`.
    """
    if len(devices) == 1:
        model = model.to(devices[0]).eval()
        for item, conversation in items:
            yield item, score(model, conversation, precision) if conversation.messages else None
        return
    free = deque(copy.deepcopy(model).to(device).eval() for device in devices)

    def work(conversation: Conversation) -> ConversationPrediction | None:
        mine = free.popleft()  # as many workers as models: there is one
        try:
            return score(mine, conversation, precision) if conversation.messages else None
        finally:
            free.append(mine)

    waiting: deque[tuple[Item, Future[ConversationPrediction | None]]] = deque()
    with ThreadPoolExecutor(len(devices)) as pool:
        for item, conversation in items:
            waiting.append((item, pool.submit(work, conversation)))
            if len(waiting) >= len(devices) * AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
