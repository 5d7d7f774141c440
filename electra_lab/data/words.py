"""Which tokens go on a word, read from the vocabulary: what masking whole words needs to know."""

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

CONTINUATION = "##"  # WordPiece writes it before every piece but a word's first
WORD_STARTS = ("▁", "Ġ")  # Metaspace and byte-level write the space before a word, and nothing before the rest


def continues_word(tokenizer: PreTrainedTokenizerBase) -> NDArray[np.bool_]:
    """Which of the tokens (V,) go on the word of the token before them; special tokens never do.

    The vocabulary says which mark it uses: the one that most of its tokens begin with. Byte-level and Metaspace
    vocabularies mark spaces alone, so that there a comma belongs to the word before it; WordPiece makes it a word.

    Raises:
        ValueError: no token carries a mark, so that words cannot be told apart.
    """
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    counts = {mark: sum(token.startswith(mark) for token in tokens) for mark in (CONTINUATION, *WORD_STARTS)}
    mark = max(counts, key=counts.__getitem__)
    if not counts[mark]:
        raise ValueError(
            f"whole_words: no token of this vocabulary begins with {', '.join(counts)}, so it does not say where words "
            "begin; leave whole_words off or use a WordPiece, SentencePiece or byte-level tokenizer"
        )
    continues = np.array([token.startswith(mark) for token in tokens]) ^ (mark != CONTINUATION)
    continues[tokenizer.all_special_ids] = False
    return continues


def first_of_word(continues: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Column (B, L) of the first token of the word that each token belongs to; column 0 must begin one."""
    columns = np.where(continues, 0, np.arange(continues.shape[1])[None])
    return np.maximum.accumulate(columns, axis=1)
