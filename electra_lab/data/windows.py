"""Which messages stand together in a window: pure arithmetic on counts and lengths."""

from collections.abc import Sequence

Bounds = tuple[int, int]  # first message, one past the last


def window_bounds(num_messages: int, size: int = 10, stride: int = 5) -> list[Bounds]:
    """Windows of `size` messages, one every `stride`; the last is moved back so that it ends with the conversation.

    Every message is in a window; a conversation shorter than `size` is one window, an empty one has none.
    """
    if not 1 <= stride <= size:
        raise ValueError(f"a stride of {stride} with windows of {size} messages leaves messages out; use 1 to {size}")
    if num_messages <= size:
        return [(0, num_messages)] if num_messages else []
    starts = list(range(0, num_messages - size + 1, stride))
    if starts[-1] + size < num_messages:
        starts.append(num_messages - size)
    return [(start, start + size) for start in starts]


def fitted(bounds: Sequence[Bounds], message_lengths: Sequence[int], budget: int) -> list[Bounds]:
    """The windows, those longer than `budget` tokens cut in half until they fit; every message stays covered.

    Halves that two overlapping windows share are kept once. A single message must fit: cap it before.
    """
    parts = (part for window in bounds for part in _halved(window, message_lengths, budget))
    return sorted(set(parts))


def _halved(window: Bounds, message_lengths: Sequence[int], budget: int) -> list[Bounds]:
    start, end = window
    if sum(message_lengths[start:end]) <= budget:
        return [window]
    if end - start == 1:
        raise ValueError(f"a message of {message_lengths[start]} tokens does not fit into a window of {budget}")
    middle = (start + end) // 2
    return [
        *_halved((start, middle), message_lengths, budget),
        *_halved((middle, end), message_lengths, budget),
    ]
