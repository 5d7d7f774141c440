"""A user's words whose occurrences are hidden in training, so that what is learned is their context and not the words.

Delexicalised training as in JEDIS (KDD 2025, https://arxiv.org/abs/2503.14926). Labels are not known here.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from electra_lab.data.encoding import ConversationEncoder, Ids
from electra_lab.data.text import for_model


def read_lexicon(path: str | Path) -> list[str]:
    """The words of a text file with one a line, or of a YAML list (`.yaml`, `.yml`); each once.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not UTF-8, not a list of words, or no word at all.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of words")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: the lexicon is not UTF-8 text; save it as UTF-8") from error
    lines = _yaml_list(path, text) if path.suffix in (".yaml", ".yml") else text.splitlines()
    words = dict.fromkeys(for_model(line).strip() for line in lines)
    if not any(words):
        raise ValueError(f"{path}: the lexicon has no words; write one a line")
    return [word for word in words if word]


def occurrences(texts: Sequence[str], words: Sequence[str]) -> list[Ids]:
    """Where words occur in each text: (n, 2), the characters of `for_model(text)` from and to.

    Words are found anywhere, also before a particle and within another word, whatever their case; where two begin
    together, the longer.
    """
    pattern = re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))), re.IGNORECASE)
    found = ([match.span() for match in pattern.finditer(for_model(text))] for text in texts)
    return [np.array(spans, dtype=np.int64).reshape(-1, 2) for spans in found]


def of_tokens(encoder: ConversationEncoder, texts: Sequence[str], occurrences: Sequence[Ids]) -> list[Ids]:
    """For each token (T,) of every text the occurrence that it is a part of, 0, 1, ...; -1 for none.

    A token that is only partly in an occurrence belongs to it.
    """
    numbers = []
    for tokens, spans in zip(encoder.token_spans(texts), occurrences, strict=True):
        number = np.full(len(tokens), -1)
        for occurrence, (start, end) in enumerate(spans):
            number[(tokens[:, 0] < end) & (tokens[:, 1] > start)] = occurrence
        numbers.append(number)
    return numbers


def with_masked_tokens(message_ids: Ids, of_tokens: Ids, is_hidden: NDArray[np.bool_], mask_token_id: int) -> Ids:
    """A message's tokens (T,), those of hidden occurrences masked.

    Args:
        message_ids: (T,).
        of_tokens: (T,) from `of_tokens`.
        is_hidden: (n,) of each occurrence.
        mask_token_id: what stands for a masked token.
    """
    return np.where(np.append(is_hidden, False)[of_tokens], mask_token_id, message_ids)  # -1 reads the last


def without_words(text: str, occurrences: Ids, is_hidden: NDArray[np.bool_]) -> str:
    """`for_model(text)` with a space for each hidden occurrence."""
    text, end = for_model(text), 0
    kept = []
    for start, stop in occurrences[is_hidden]:
        kept.append(text[end:start])
        end = stop
    return " ".join([*kept, text[end:]])


def _yaml_list(path: Path, text: str) -> list[str]:
    import yaml

    try:
        words = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: the lexicon is not YAML") from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{path}: the lexicon must be a list of words, each a line `- word`")
    return words
