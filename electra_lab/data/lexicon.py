"""A user's words whose occurrences are hidden in training, so that what is learned is their context and not the words.

Delexicalised training as in JEDIS (KDD 2025, https://arxiv.org/abs/2503.14926). Labels are not known here.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

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


def occurrences(encoder: ConversationEncoder, texts: Sequence[str], words: Sequence[str]) -> list[Ids]:
    """For each token (T,) of every text the occurrence of a word that it is a part of, 0, 1, ...; -1 for none.

    Words are found anywhere, also before a particle and within another word, whatever their case; where two begin
    together, the longer. A token that is only partly in an occurrence belongs to it.
    """
    found = re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))), re.IGNORECASE)
    numbers = []
    for text, spans in zip(texts, encoder.token_spans(texts), strict=True):
        number = np.full(len(spans), -1)
        for occurrence, match in enumerate(found.finditer(for_model(text))):
            number[(spans[:, 0] < match.end()) & (spans[:, 1] > match.start())] = occurrence
        numbers.append(number)
    return numbers


def with_hidden_words(
    message_ids: Sequence[Ids],
    occurrences: Sequence[Ids],
    probability: float,
    rng: np.random.Generator,
    mask_token_id: int,
) -> list[Ids]:
    """The messages with every occurrence masked with this probability, all of its tokens or none.

    Args:
        message_ids: tokens of the messages.
        occurrences: of the same tokens.
        probability: 1 hides them all.
        rng: where chance comes from.
        mask_token_id: what stands for a masked token.
    """
    hidden = []
    for ids, numbers in zip(message_ids, occurrences, strict=True):
        is_hidden = rng.random(1 + numbers.max(initial=-1)) < probability
        hidden.append(np.where(np.append(is_hidden, False)[numbers], mask_token_id, ids))  # -1 reads the last
    return hidden


def _yaml_list(path: Path, text: str) -> list[str]:
    import yaml

    try:
        words = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: the lexicon is not YAML") from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{path}: the lexicon must be a list of words, each a line `- word`")
    return words
