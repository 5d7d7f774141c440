"""Who speaks in a line "name : text" where names may hold the separator: by the names that the whole file shows."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

_LONGEST_NAME = 200  # characters; more is no name
_MOST_SEPARATORS = 8  # of one name


class Speech(NamedTuple):
    """A line in two parts."""

    speaker: str
    text: str
    is_ambiguous: bool  # the name may be longer or shorter


def speeches(
    bodies: Sequence[str],
    separator: str,
    known: Iterable[str] = (),
    noticed_name: Callable[[str], str | None] = lambda text: None,
) -> list[Speech | None]:
    """What each line says and who says it; None where there is no separator behind what may be a name.

    Lines with one separator give the names. Of the others the longest known name counts, else what all lines that
    begin alike have in common, else what is before the first separator.

    Args:
        bodies: lines without their time.
        separator: between name and text: " : ", ": ".
        known: names from elsewhere: of the room.
        noticed_name: whom a notice is about, None if a text does not look like one; names are learnt from it.
    """
    candidates = [_candidates(body, separator) for body in bodies]
    counts = Counter(name for names in candidates for name in names)
    roster = set(known)
    for body, names in zip(bodies, candidates, strict=True):
        if len(names) == 1:
            roster.add(noticed_name(body) or names[0])
    return [_speech(body, names, separator, roster, counts) for body, names in zip(bodies, candidates, strict=True)]


def _candidates(body: str, separator: str) -> list[str]:
    names: list[str] = []
    end = body.find(separator, 0, _LONGEST_NAME)
    while end >= 0 and len(names) < _MOST_SEPARATORS:
        names.append(body[:end])
        end = body.find(separator, end + 1, _LONGEST_NAME)
    return names


def _speech(body: str, names: Sequence[str], separator: str, roster: set[str], counts: Counter[str]) -> Speech | None:
    if not names:
        return None
    in_roster = [name for name in names if name in roster]
    if in_roster:
        name = in_roster[-1]
        is_ambiguous = len(in_roster) > 1 or any(counts[longer] > 1 for longer in names[names.index(name) + 1 :])
    else:
        shared = [name for name in names if counts[name] == counts[names[0]] > 1]
        name = shared[-1] if shared else names[0]
        is_ambiguous = True
    return Speech(name, body[len(name) + len(separator) :], is_ambiguous)
