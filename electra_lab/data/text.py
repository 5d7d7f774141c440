"""Text as the model reads it: one spelling for what looks the same. The text of a message itself is never changed."""

import codecs
import re
import unicodedata
from itertools import pairwise

_NEWLINE = re.compile("\r\n?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_HANGUL = re.compile("[가-힣]")
_NOT_TEXT = re.compile("[\ufffd\ue000-\uf8ff]")  # replacement character, private use
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


def aligned(text: str) -> tuple[str, list[int]]:
    """`for_model(text)`, and for each of its characters, and its end, where in `text` what it was made of begins.

    What is written together (a letter with its accents, the jamo of a syllable, invisible characters after it) is one
    piece, and begins where its first character does.
    """
    starts = [index for index, character in enumerate(text) if index == 0 or not _joins(character, text[index - 1])]
    pieces = [for_model(text[start:end]) for start, end in pairwise([*starts, len(text)])]
    normal = for_model(text)
    if "".join(pieces) != normal:  # letters of other scripts that compose: no place is known but the whole
        pieces, starts = [normal], [0]
    places = [start for start, piece in zip(starts, pieces, strict=True) for _ in piece]
    return normal, [*places, len(text)]


def without_surrogates(text: str) -> str:
    """The text with lone surrogates (legal in JSON, not in any file or tokenizer) replaced by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def is_decomposed(text: str) -> bool:
    """Whether it is not in NFC, or has Hangul in pieces, as macOS writes file names and some write on purpose."""
    return not unicodedata.is_normalized("NFC", text) or _CONJOINING.search(text) is not None


def has_invisible(text: str) -> bool:
    """Whether it holds characters that nobody sees, which `for_model` leaves out: controls, zero-width, bidi."""
    return _INVISIBLE.search(text) is not None


def byte_order_mark(raw: bytes) -> tuple[bytes, str | None]:
    """The mark that bytes begin with and the encoding of what is behind it; none and None if there is no mark."""
    return next((found for found in _MARKS if raw.startswith(found[0])), (b"", None))


def is_cp949(raw: bytes) -> bool:
    """Whether bytes are text in CP949 (EUC-KR and more), as Korean Windows writes it: only if that gives Hangul."""
    try:
        text = raw.decode("cp949")
    except UnicodeDecodeError:
        return False
    return _HANGUL.search(text) is not None and _NOT_TEXT.search(text) is None


def _joins(character: str, before: str) -> bool:
    """Whether a character is written together with the one before it."""
    return (
        unicodedata.combining(character) != 0
        or "\u1160" <= character <= "\u11ff"  # vowels and final consonants of a syllable
        or _INVISIBLE.match(character) is not None
        or (before, character) == ("\r", "\n")
    )


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
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
