"""Dotted names: the value they have in something nested, and options as words of a command line."""

import json
from collections.abc import Mapping
from typing import Any


def value_at(content: Any, name: str) -> Any:
    """What `name` leads to in mappings and namespaces; None if there is nothing."""
    for part in name.split("."):
        content = content if isinstance(content, Mapping) else getattr(content, "__dict__", {})
        if part not in content:
            return None
        content = content[part]
    return content


def as_arguments(values: Mapping[str, object]) -> list[str]:
    """`--name value` for each: texts as they are, everything else as JSON, which the parsers read."""
    return [part for name, value in values.items() for part in (f"--{name}", word(value))]


def word(value: object) -> str:
    """One value as a word."""
    return value if isinstance(value, str) else json.dumps(value)
