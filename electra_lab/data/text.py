"""Text as the model reads it: one spelling for what looks the same. The text of a message itself is never changed."""

import re
import unicodedata

_NEWLINE = re.compile("\r\n?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONJOINING = re.compile("[\u1100-\u11ff]")
_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls, except tab and newline
    "\u00ad\u034f\u061c\u180b-\u180f"  # soft hyphen, grapheme joiner, Arabic mark, Mongolian selectors
    "\u115f\u1160\u3164\uffa0"  # Hangul fillers
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f"  # zero-width, joiners, bidi controls
    "\ufe00-\ufe0f\ufeff\ufff0-\ufff8"  # variation selectors, BOM
    "\U000e0000-\U000e0fff"  # tags, more variation selectors
    "]"
)


def for_model(text: str) -> str:
    """The text in NFC, without invisible characters, with stray jamo that a vocabulary knows; idempotent.

    macOS writes Hangul decomposed (NFD), and jamo typed to get past filters ("ᄋais") are conjoining ones: WordPiece
    vocabularies know neither. Never NFKC: it turns ㅋ (U+314B) into a conjoining jamo, that is, into [UNK].
    """
    if text.isascii() and text.isprintable():
        return text
    text = _SURROGATE.sub("\ufffd", _NEWLINE.sub("\n", text))
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))  # first removed: what they held apart may compose
    return _CONJOINING.sub(_compatible, text)


def without_surrogates(text: str) -> str:
    """The text with lone surrogates (legal in JSON, not in any file or tokenizer) replaced by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def _compatible(match: re.Match[str]) -> str:
    return _COMPATIBILITY_JAMO.get(match[0], match[0])


def _compatibility_jamo() -> dict[str, str]:
    """Conjoining jamo -> the letter of the same name; old clusters that have none stay as they are."""
    letters = {}
    for code in range(0x1100, 0x1200):
        name = unicodedata.name(chr(code), "").split(maxsplit=2)  # HANGUL CHOSEONG KIYEOK
        try:
            letters[chr(code)] = unicodedata.lookup(f"HANGUL LETTER {name[-1]}")
        except (KeyError, IndexError):
            continue
    return letters


_COMPATIBILITY_JAMO = _compatibility_jamo()
