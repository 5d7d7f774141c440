"""A keyword list as a detector: the terms of a YAML file, counted in messages. What a detector replaces, at least.

The file is a list; an item is a term or `term: weight`. Text and terms are compared without regard to case and to how
Unicode writes them. Where a term begins or ends in Hangul it is also found inside a word, because Korean glues
particles to nouns: 얼음 in 얼음은, but in 얼음땡 too. Where it begins or ends in a Latin letter or digit, none may
stand beside it: GHB is not in GHBX. Spaces within a term may be missing. Of overlapping terms the longest counts, once.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from electra_lab.data.parts import Part
from electra_lab.data.text import for_model
from electra_lab.evaluation import Scores


class KeywordList:
    """Finds weighted terms in texts.

    Args:
        weights: of each term, above 0.
    """

    def __init__(self, weights: dict[str, float]) -> None:
        self._weights = {_key(term): weight for term, weight in weights.items()}
        longest_first = sorted(weights, key=lambda term: len(_key(term)), reverse=True)
        self._pattern = re.compile("|".join(map(_pattern, longest_first)))

    def hits(self, text: str) -> float:
        """Sum of the weights of all terms found in a text; 0 where there is none."""
        return sum(self._weights[_key(match[0])] for match in self._pattern.finditer(_normal(text)))

    def scores(self, part: Part) -> Scores:
        """Scores hits / (1 + hits) of each message, and of all messages of each window and conversation together."""
        hits = np.array([self.hits(message.text) for message in part.messages])
        before = np.concatenate([[0.0], hits.cumsum()])
        return Scores(
            message=_squashed(hits),
            window=_squashed(before[part.windows[:, 1]] - before[part.windows[:, 0]]),
            conversation=_squashed(before[part.bounds[:, 1]] - before[part.bounds[:, 0]]),
        )


def read_keywords(path: Path) -> KeywordList:
    """The list of a YAML file.

    Raises:
        ValueError: not a list of terms and `term: weight`, or a weight that is not above 0.
    """
    try:
        items = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML in UTF-8: {' '.join(str(error).split())}") from None
    if not isinstance(items, list) or not items:
        raise ValueError(f"{path} must be a list of terms, one `- term` a line")
    return KeywordList(dict(_item(path, number, item) for number, item in enumerate(items, start=1)))


def _item(path: Path, number: int, item: Any) -> tuple[str, float]:
    term, weight = next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else (item, 1.0)
    if not isinstance(term, str) or not _key(term) or not isinstance(weight, int | float) or not weight > 0:
        raise ValueError(f"{path}: item {number} must be a term or `term: weight` with a weight above 0")
    return term, float(weight)


def _normal(text: str) -> str:
    return for_model(text).casefold()


def _key(term: str) -> str:
    return "".join(_normal(term).split())


def _pattern(term: str) -> str:
    words = r"\s*".join(map(re.escape, _normal(term).split()))
    key = _key(term)
    before = "(?<![a-z0-9])" if _is_latin(key[0]) else ""
    after = "(?![a-z0-9])" if _is_latin(key[-1]) else ""
    return before + words + after


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _squashed(hits: NDArray[np.float64]) -> NDArray[np.float64]:
    hits = np.maximum(hits, 0.0).round(9)  # differences of sums leave crumbs, which would be hits
    return hits / (1 + hits)
