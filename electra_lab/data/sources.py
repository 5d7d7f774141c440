"""Texts to put into conversations, from JSON Lines: `{"id", "kind", "messages": [text, ...]}`, a source a line."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from electra_lab.data.errors import IngestError
from electra_lab.data.formats.fields import string_or_none
from electra_lab.data.formats.strict_json import expect, objects
from electra_lab.data.near_duplicates import near_duplicates
from electra_lab.data.text import for_model

_logger = logging.getLogger(__name__)


class Source(NamedTuple):
    """A foreign text: one message, or a dialogue whose turns alternate."""

    id: str
    kind: str
    messages: tuple[str, ...]


def read_sources(paths: Sequence[str | Path]) -> list[Source]:
    """The sources of all files, in order; of equal and nearly equal ones the first.

    Without an id a source is called FILE.LINE, without a kind it is of the file's name; other keys are not read.

    Raises:
        FileNotFoundError: a path that is not there.
        IngestError: what is not in the form, with its file and line.
        ValueError: two sources with the same id.
    """
    sources = [source for path in paths for source in _read(Path(path))]
    ids = Counter(source.id for source in sources)
    if len(ids) < len(sources):
        twice = ids.most_common(1)[0][0]
        raise ValueError(f"two sources have the id {twice}: every source needs its own, in all files together")
    texts = ["\n".join(for_model(text).strip() for text in source.messages) for source in sources]
    copies = {later for _, later in near_duplicates(texts)}
    if copies:
        _logger.info("%d of %d sources are left out: they are (nearly) equal to another", len(copies), len(sources))
    return [source for place, source in enumerate(sources) if place not in copies]


def _read(path: Path) -> Iterator[Source]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of sources")
    for number, place, item in objects(path):
        texts = [
            expect(text, str, path, f"{place}/messages/{index}")
            for index, text in enumerate(expect(item.get("messages"), list, path, f"{place}/messages"))
        ]
        messages = tuple(text for text in texts if text.strip())
        if not messages:
            raise IngestError("E109", str(path), f"{place}/messages", "at least one text", "none")
        identity, kind = (string_or_none(item.get(key), path, f"{place}/{key}") for key in ("id", "kind"))
        yield Source(identity or f"{path.stem}.{number}", kind or path.stem, messages)
