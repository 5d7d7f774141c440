"""Text as evidence: every character shown as it was written, and those that hide or reorder others by their number."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

# What takes U+FE0F and is joined by U+200D: there the two are part of one picture and stay.
_PICTURE = "[\u00a9\u00ae\u203c\u2049\u2122-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
# Unicode 15.1, categories Cc, Cf, Zl, Zp, Cs, Co and the default-ignorable or blank letters (Hangul fillers, braille
# blank), without tab, line feed and the prepended marks of Arabic, Syriac and Kaithi, which are seen.
_ALWAYS_HIDDEN = (
    "\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufe00-\ufe0e\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
)
_HIDDEN = re.compile(
    rf"[{_ALWAYS_HIDDEN}]|\r(?!\n)|(?<!{_PICTURE})\ufe0f(?!\u20e3)"
    rf"|(?<!{_PICTURE})(?<!{_PICTURE}\ufe0f)\u200d|\u200d(?!{_PICTURE})"
)
_KOREAN = re.compile("[\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7fb]")


class Piece(NamedTuple):
    """A run of characters that are shown alike."""

    text: str  # as written, or "U+202E" where the character is hidden
    is_hidden: bool
    is_word: bool  # inside a hit of the examiner's list of words


def marked_pieces(text: str, spans: Sequence[tuple[int, int]] = ()) -> list[Piece]:
    """The text in runs, each hidden character one of its own; none if it is shown as it stands, which is usual.

    Line ends stay (CR LF too, a single CR is shown), nothing is normalised: decomposed Hangul stays decomposed.

    Args:
        text: as it stands in the file.
        spans: first and one past the last character of hits; they may overlap.
    """
    hidden = {match.start() for match in _HIDDEN.finditer(text)}
    if not hidden and not spans:
        return []
    cuts = sorted({0, len(text), *hidden, *(at + 1 for at in hidden), *(at for span in spans for at in span)})
    begun = Counter(first for first, _ in spans)
    begun.subtract(last for _, last in spans)
    open_spans = accumulate(begun[cut] for cut in cuts)  # how many go on from each cut; linear, however many hits
    return [
        Piece(f"U+{ord(text[start]):04X}" if start in hidden else text[start:end], start in hidden, number > 0)
        for (start, end), number in zip(pairwise(cuts), open_spans, strict=False)
    ]


def plain(text: str) -> str:
    """The text with hidden characters as [U+202E], for places that hold no marks, such as the title of a page."""
    return _HIDDEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def shortened(text: str, longest: int = 160) -> tuple[str, bool]:
    """The beginning of a text, not cut inside a letter or a picture of several characters, and whether it was cut."""
    end = longest
    while longest // 2 < end < len(text) and _continues(text, end):
        end -= 1
    return text[:end], end < len(text)


def language(text: str) -> str:
    """Value of `lang`: "ko" if there is Hangul in the text, else "", which says that it is not known."""
    return "ko" if _KOREAN.search(text) else ""


def _continues(text: str, at: int) -> bool:
    character, before = text[at], text[at - 1]
    return (
        unicodedata.category(character).startswith("M")
        or character == "\u200d"
        or before == "\u200d"
        or ord(character) in _SKIN_TONES
        or "\u1160" <= character <= "\u11ff"  # vowel or final consonant of a decomposed syllable
    )
