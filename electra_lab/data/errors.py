"""The one error for input that cannot be used: says where and what, never what people wrote."""

from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


class IngestError(ValueError):
    """`path:pointer: expected ..., got ... (code)`; `got` names a type, a length or a key, never a message's text."""

    def __init__(self, code: str, path: str, pointer: str, expected: str, got: str) -> None:
        self.code = code
        self.path = path
        self.pointer = pointer
        self.expected = expected
        self.got = got
        place = f"{path}:{pointer}" if pointer else path
        super().__init__(f"{visible(place)}: expected {expected}, got {got} ({code})")

    def __reduce__(self) -> tuple[type["IngestError"], tuple[str, str, str, str, str]]:
        return IngestError, (self.code, self.path, self.pointer, self.expected, self.got)  # out of a worker process

    def as_dict(self) -> dict[str, str]:
        """The same for a report."""
        fields = {"code": self.code, "path": self.path, "pointer": self.pointer}
        return {name: visible(text) for name, text in fields.items()} | {"expected": self.expected, "got": self.got}


def attempted(make: Callable[..., Result], *arguments: Any) -> Result | IngestError:
    """What a function makes of its arguments, or why it cannot: for those who go on with the next."""
    try:
        return make(*arguments)
    except IngestError as error:
        return error


def visible(name: str) -> str:
    """On one line and in any encoding: a file may be named by bytes that are no text, or by control characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)
