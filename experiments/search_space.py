"""A search space: YAML with dotted names of a verb's options, checked by parsing alone.

    model.learning_rate: {float: [1e-5, 1e-4], log: true}
    model.warmup_share: {float: [0.0, 0.2], step: 0.05}
    patience: {int: [2, 8]}
    data.batch_size: {choice: [16, 32, 64]}

Values are compared and kept as the verb's own parser reads them.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonargparse import ArgumentParser, Namespace
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from electra_lab import cli
from experiments.dotted import as_arguments, value_at, word

Value = None | bool | int | float | str
_OF_THE_SWEEP = {"run_name", "output", "config", "test"}  # options that it fills itself
_KINDS = ("float", "int", "choice")


class SearchSpace(NamedTuple):
    """What is searched, and where it starts."""

    options: dict[str, BaseDistribution]
    start: dict[str, Value]  # the configuration's own values
    remarks: list[str]  # what is to be said about them


class _Said(NamedTuple):
    """One line of the file."""

    kind: str
    values: list[Any]  # the two ends, or the choices
    extras: dict[str, Any]  # log, step


def read_space(path: Path, parser: ArgumentParser, arguments: Sequence[str]) -> SearchSpace:
    """Read a space for the configuration that the verb's `arguments` give.

    Raises:
        ValueError: no such option, a range that is none or has ends that the option does not take, or a configuration
            with a value that the space cannot hold, from which the search would have to start.
        UsageError: the arguments themselves cannot be parsed.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML in UTF-8: {' '.join(str(error).split())}") from None
    if not (isinstance(content, dict) and content):
        raise ValueError(f"{path}: expected options with ranges, as in `model.learning_rate: {{float: [1e-5, 1e-4]}}`")
    said = {name: _said(f"{path}: {name}", name, line) for name, line in content.items()}
    configured, read = _parsed(parser, arguments), _read_all(path, parser, arguments, said)
    space = SearchSpace({}, {}, [])
    for name, one in said.items():
        place = f"{path}: {name}"
        space.options[name] = _distribution(place, one, read[name])
        space.start[name] = _start(place, space.options[name], value_at(configured, name), space.remarks)
    return space


def grid(options: Mapping[str, BaseDistribution]) -> Iterator[dict[str, Value]]:
    """Every combination of values.

    Raises:
        ValueError: a range without steps.
    """
    values = [list(_steps(name, distribution)) for name, distribution in options.items()]
    for combination in itertools.product(*values):
        yield dict(zip(options, combination, strict=True))


def _steps(name: str, distribution: BaseDistribution) -> Sequence[Value]:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution) and not distribution.log:
        return range(distribution.low, distribution.high + 1, distribution.step)
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        number = round((distribution.high - distribution.low) / distribution.step)
        return [round(distribution.low + step * distribution.step, 12) for step in range(number + 1)]
    raise ValueError(f"a grid needs steps: give {name} a `step` (without `log`), or a `choice` of values")


def _said(place: str, name: str, line: object) -> _Said:
    """One line of the file, in the right form."""
    if name in _OF_THE_SWEEP:
        raise ValueError(f"{place} is given by the sweep itself and cannot be searched")
    kinds = [kind for kind in _KINDS if isinstance(line, dict) and kind in line]
    if len(kinds) != 1 or not isinstance(line, dict) or set(line) - {kinds[0], "log", "step"}:
        raise ValueError(f"{place}: expected one of {', '.join(_KINDS)} and perhaps log or step, found {line}")
    kind, values = kinds[0], line[kinds[0]]
    extras = {name: line[name] for name in ("log", "step") if name in line}
    if kind == "choice":
        if extras or not isinstance(values, list) or not values:
            raise ValueError(f"{place}: expected a list of values and nothing else, as in {{choice: [16, 32]}}")
        return _Said(kind, values, extras)
    if not (isinstance(values, list) and len(values) == 2):
        raise ValueError(f"{place}: expected the two ends of a range, as in {{{kind}: [1, 8]}}, found {values}")
    if "step" in extras:
        extras["step"] = _number(place, kind, extras["step"])
    return _Said(kind, [_number(place, kind, end) for end in values], extras)


def _read_all(
    path: Path, parser: ArgumentParser, arguments: Sequence[str], said: Mapping[str, _Said]
) -> dict[str, list[Any]]:
    """Every end and choice as the parser reads it: first those of all options in one go, then the second ones, ..."""
    read: dict[str, list[Any]] = {name: [] for name in said}
    for turn in range(max(len(one.values) for one in said.values())):
        values = {name: one.values[turn] for name, one in said.items() if turn < len(one.values)}
        try:
            config = _parsed(parser, [*arguments, *as_arguments(values)])
        except cli.UsageError as error:
            raise ValueError(f"{path}: {error}") from None
        for name in values:
            read[name].append(value_at(config, name))
    return read


def _distribution(place: str, said: _Said, read: Sequence[Any]) -> BaseDistribution:
    if said.kind == "choice":
        return CategoricalDistribution([_kept(choice) for choice in read])
    make: Callable[..., BaseDistribution] = FloatDistribution if said.kind == "float" else IntDistribution
    try:
        return make(*said.values, **said.extras)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{place}: {' '.join(str(error).split())}") from None


def _number(place: str, kind: str, end: object) -> float | int:
    """A number as YAML should have read it: to YAML 1.1, 1e-5 is a text."""
    try:
        number = float(end) if isinstance(end, str | int | float) and not isinstance(end, bool) else None
    except ValueError:
        number = None
    if number is None or not math.isfinite(number) or (kind == "int" and number != int(number)):
        raise ValueError(f"{place}: expected {kind} numbers, found {end!r}")
    return int(number) if kind == "int" else number


def _parsed(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    return cli.parse(parser, [*arguments, "--run_name", "trial"])


def _start(place: str, distribution: BaseDistribution, configured: Any, remarks: list[str]) -> Value:
    """The configuration's value as the space holds it; one outside a range is kept, and said."""
    value = _kept(configured)
    if isinstance(distribution, CategoricalDistribution):
        held = [choice for choice in distribution.choices if choice == value and type(choice) is type(value)]
        if held:
            return held[0]
    elif isinstance(distribution, FloatDistribution | IntDistribution) and isinstance(value, int | float):
        if not distribution.low <= value <= distribution.high:
            ends = f"{distribution.low:g} to {distribution.high:g}"
            remarks.append(f"{place} is {value:g} in the configuration, outside {ends}: only the first trial has it")
        return value
    raise ValueError(
        f"{place} is {word(configured)} in the configuration, which the space does not hold, so that the first trial "
        "cannot be the configuration's; add it to the choices, or give a value of the space on the command line"
    )


def _kept(value: Any) -> Value:
    """As storages keep it: plain values as they are, lists and mappings as JSON."""
    return value if isinstance(value, Value) else json.dumps(value, sort_keys=True)
