"""Every dependency has a reason and bounds; every one, and what it brings, has an exact version that was tested."""

import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
NOT_PINNED = {"setuptools", "pip", "triton"}  # pip brings them itself, or they are of one platform


def declared() -> dict[str, tuple[Requirement, str]]:
    """Requirements of setup.cfg with their reasons: the comment above each, in extras also that above several."""
    found: dict[str, tuple[Requirement, str]] = {}
    section = comment = ""
    for line in (ROOT / "setup.cfg").read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith(("[", "#")):
            section, comment = (text, "") if text.startswith("[") else (section, text)
        elif section in ("[options]", "[options.extras_require]") and line.startswith("    ") and "%" not in text:
            requirement = Requirement(text)
            found[requirement.name] = requirement, comment
            comment = "" if section == "[options]" else comment
    return found


def pinned() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", line) for line in lines)
    return {canonicalize_name(name): Version(number) for name, number in (line.split("==") for line in lines)}


@pytest.mark.parametrize("name", declared())
def test_a_requirement_has_a_reason_bounds_and_a_tested_version(name: str) -> None:
    requirement, comment = declared()[name]
    assert comment, f"{name}: say above it what it is for"
    assert any(bound.operator == ">=" for bound in requirement.specifier), f"{name}: from which version on?"
    tested = pinned()[canonicalize_name(name)]
    assert tested in requirement.specifier, f"{name}: {tested} is tested but not allowed"


@pytest.mark.parametrize("name", declared())
def test_what_runs_has_an_upper_bound(name: str) -> None:
    requirement, _ = declared()[name]
    if name not in ("hypothesis", "pytest-timeout"):  # tests only
        assert any(bound.operator in ("<", "==", "~=") for bound in requirement.specifier)


def test_what_they_bring_is_pinned_too() -> None:
    pins, waiting, seen = pinned(), list(declared()), set[str]()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            needed = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            continue
        for requirement in needed:
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    there = {name for name in seen if _is_installed(name)}
    assert there > {"torch", "numpy", "pyyaml"}
    assert not sorted(there - pins.keys() - NOT_PINNED)


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


@pytest.mark.parametrize("release", ["2.6.2", "2.6.3"])
def test_the_stolen_releases_of_lightning_are_allowed_by_nothing(release: str) -> None:
    requirement, _ = declared()["lightning"]
    assert release not in requirement.specifier
