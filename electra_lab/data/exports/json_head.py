"""Which keys a JSON file has, told from its beginning, which ends anywhere."""

import re
from collections.abc import Mapping
from functools import lru_cache


@lru_cache(maxsize=1)  # every format asks for the same file's
def keys(head: str) -> Mapping[str, str | None]:
    """The keys of the first value, "*" for elements of lists, each with its first value if that is a string.

    {"a": [{"b": "c"}]} gives {"/a": None, "/a/*/b": "c"}. Never fails: what is no JSON has no keys or odd ones.
    """
    found: dict[str, str | None] = {}
    around: list[str] = []  # the names of the objects and lists that are open, of a list with "/*"
    name = ""  # of the value that comes next
    is_after_key = False
    for token in _TOKEN.finditer(head):
        sign = token[0][0]
        if token["colon"] and around:
            name = f"{around[-1]}/{token['string']}"
            found.setdefault(name, None)
            is_after_key = True
            continue
        if sign in "{[" and len(around) < _DEEPEST:
            name = name if sign == "{" else f"{name}/*"
            around.append(name)
        elif sign == '"' and is_after_key:
            found[name] = found[name] or token["string"]
        elif sign in "}]" and around:
            around.pop()
            name = around[-1] if around else ""
        if not around:
            break
        is_after_key = False
    return found


_TOKEN = re.compile(r'"(?P<string>(?:[^"\\]|\\.)*+)"(?P<colon>\s*:)?|[{}\[\]]', re.DOTALL)
_DEEPEST = 64
