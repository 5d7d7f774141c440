"""An examiner's own words with their everyday senses, and where they stand in a text: marks beside a score."""

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from electra_lab.data.text import aligned, for_model


class Term(NamedTuple):
    """A word to look out for."""

    word: str
    senses: tuple[str, ...]  # what else it means: 아이스, iced coffee


class Hit(NamedTuple):
    """An occurrence, in characters of the text as it was written."""

    start: int
    end: int
    word: str
    senses: tuple[str, ...]


def read_senses(path: str | Path) -> list[Term]:
    """The terms of a YAML list whose items are `word`, `word: sense` or `word: [sense, sense]`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a list, with the number of the item.
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of words")
    try:
        items = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not YAML in UTF-8") from error
    if not isinstance(items, list) or not items:
        raise ValueError(f"{path}: expected a list of words, each a line `- word` or `- word: [everyday sense]`")
    return [_term(path, number, item) for number, item in enumerate(items, start=1)]


def hits(text: str, terms: Sequence[Term]) -> list[Hit]:
    """Where the terms stand in a text, from left to right; where two begin together, the longer one.

    Words are found anywhere, also before a particle and within another word, whatever their case, and in spite of
    invisible characters and of jamo that only look like the usual ones.
    """
    if not terms:
        return []  # the usual case; to align a text takes longer than to read it
    pattern, longest_first = _pattern(tuple(terms))
    normal, places = aligned(text)
    return [
        Hit(places[match.start()], places[match.end()], *longest_first[(match.lastindex or 0) - 1])
        for match in pattern.finditer(normal)
    ]


@functools.lru_cache(maxsize=1)  # of a run, not of each of its messages
def _pattern(terms: tuple[Term, ...]) -> tuple[re.Pattern[str], list[Term]]:
    """Finds any of the terms, each as a group of its own; and the terms in the order of their groups."""
    longest_first = sorted(terms, key=lambda term: len(term.word), reverse=True)
    return re.compile("|".join(f"({re.escape(term.word)})" for term in longest_first), re.IGNORECASE), longest_first


def _term(path: Path, number: int, item: Any) -> Term:
    word, senses = next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else (item, [])
    senses = [senses] if isinstance(senses, str) else senses
    are_words = isinstance(word, str) and isinstance(senses, list) and all(isinstance(sense, str) for sense in senses)
    if not are_words or not for_model(word).strip():
        raise ValueError(f"{path}: item {number} must be `word`, `word: sense` or `word: [sense, sense]`")
    return Term(for_model(word).strip(), tuple(senses))
