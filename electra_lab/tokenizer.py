"""The tokenizer of an encoder, with the tokens that mark a message and its speaker: one call for data and models."""

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import get_tokenizer_config

MESSAGE_TOKEN = "[MSG]"


def speaker_tokens(num_speakers: int) -> list[str]:
    """`[SPEAKER_0]`, `[SPEAKER_1]`, ...: one for each speaker that is told apart."""
    return [f"[SPEAKER_{speaker}]" for speaker in range(num_speakers)]


def load_tokenizer(name_or_folder: str, num_speakers: int = 0) -> PreTrainedTokenizerFast:
    """The tokenizer of a Hugging Face name or folder; with speakers, `[MSG]` and the speaker tokens are in it.

    The new tokens come after the vocabulary, always in the same order, and only those that are missing.

    Raises:
        ValueError: nothing usable there, no vocabulary, or a Korean vocabulary read with lower-casing.
    """
    tokenizer = _loaded(name_or_folder)
    vocabulary = tokenizer.get_vocab()
    if len(vocabulary) <= len(set(tokenizer.all_special_tokens)):
        # transformers 5 makes such a tokenizer without a word where vocab.txt and tokenizer.json are missing
        raise ValueError(
            f"{name_or_folder}: the tokenizer has {len(vocabulary)} special tokens and not one word; "
            "put vocab.txt or tokenizer.json into the folder"
        )
    if _decomposes_hangul(tokenizer) and any("가" <= character <= "힣" for character in "".join(vocabulary)):
        raise ValueError(
            f"{name_or_folder}: the tokenizer takes Hangul syllables apart, but its vocabulary holds whole ones, "
            'so that Korean becomes [UNK]; set "do_lower_case": false in tokenizer_config.json'
        )
    if num_speakers:
        wanted = [MESSAGE_TOKEN, *speaker_tokens(num_speakers)]
        missing = [token for token in wanted if token not in tokenizer.all_special_tokens]
        # without the flag the list of earlier extra tokens would be replaced, and they would be split as text
        tokenizer.add_special_tokens({"extra_special_tokens": missing}, replace_extra_special_tokens=False)
    return tokenizer


def assert_can_mask(tokenizer: PreTrainedTokenizerFast) -> None:
    """Raise a ValueError for a tokenizer without the special tokens that pretraining writes."""
    missing = [name for name in ("cls", "sep", "mask", "pad") if getattr(tokenizer, f"{name}_token_id") is None]
    if missing:
        raise ValueError(
            f"{tokenizer.name_or_path}: the tokenizer has no {', '.join(missing)} token, which pretraining needs; take "
            "one of an encoder such as BERT or ELECTRA"
        )


def _loaded(name_or_folder: str) -> PreTrainedTokenizerFast:
    if "://" in name_or_folder:
        raise ValueError(f"{name_or_folder} is an address: give a folder or the name of a model")
    try:
        asks_for_code = "auto_map" in get_tokenizer_config(name_or_folder)
        tokenizer = None if asks_for_code else AutoTokenizer.from_pretrained(name_or_folder, trust_remote_code=False)
    except Exception as error:  # `tokenizers` raises nothing narrower for a file that it cannot read
        reason = (
            "the folder has no tokenizer that can be read (tokenizer.json, or vocab.txt and config.json)"
            if Path(name_or_folder).is_dir()
            else "there is no such folder, and the Hugging Face hub does not have the name or cannot be reached"
        )
        raise ValueError(f"{name_or_folder}: no tokenizer; {reason}") from error
    if asks_for_code:
        raise ValueError(f"{name_or_folder}: the tokenizer asks for code (auto_map), which is never run here")
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ValueError(f"{name_or_folder}: the tokenizer has no fast version (tokenizer.json), which is needed here")
    return tokenizer


def _decomposes_hangul(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether "안" would reach the vocabulary as conjoining jamo; lower-casing BERT strips accents by way of NFD."""
    normalizer = tokenizer.backend_tokenizer.normalizer
    if normalizer is None:
        return False
    return any("\u1100" <= character <= "\u11ff" for character in normalizer.normalize_str("안"))
