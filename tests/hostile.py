"""What tests of hostile files share: code that leaves a folder where it runs, and how a file is refused."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CODE = "import os; os.mkdir({!r})\nclass Evil:\n    pass\ndef make(*arguments, **options):\n    return Evil()\n"


def watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that code would make. The module `evil` is there to be imported; afterwards nothing has run."""
    ran = folder / "ran"
    (folder / "evil.py").write_text(CODE.format(str(ran)), encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    yield ran
    assert not ran.exists() and "evil" not in sys.modules


def refused(open_it: Callable[[], object], says: str) -> None:
    """One sentence that says where and why, and does not advise to run what is in the file."""
    with pytest.raises(ValueError, match=says) as caught:
        open_it()
    assert "\n" not in str(caught.value) and "weights_only=False" not in str(caught.value)
