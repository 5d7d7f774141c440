"""The one error for input that cannot be used: says where and what, never what people wrote."""


class IngestError(ValueError):
    """`path:pointer: expected ..., got ... (code)`; `got` names a type, a length or a key, never a message's text."""

    def __init__(self, code: str, path: str, pointer: str, expected: str, got: str) -> None:
        self.code = code
        self.path = path
        self.pointer = pointer
        self.expected = expected
        self.got = got
        place = f"{path}:{pointer}" if pointer else path
        super().__init__(f"{place}: expected {expected}, got {got} ({code})")

    def __reduce__(self) -> tuple[type["IngestError"], tuple[str, str, str, str, str]]:
        return IngestError, (self.code, self.path, self.pointer, self.expected, self.got)  # out of a worker process
