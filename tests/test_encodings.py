"""Files are opened with their encoding said: Korean Windows would otherwise read and write CP949."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import electra_lab

ROOT = Path(electra_lab.__file__).parents[1]
FILES = [path for folder in ("electra_lab", "experiments") for path in sorted((ROOT / folder).rglob("*.py"))]
TEXT = {"read_text", "write_text", "open", "fdopen", "TextIOWrapper", "NamedTemporaryFile", "FileHandler"}
STARTS = {"run", "Popen", "check_output"}  # of processes, where they give text


def silent_about_encoding(source: str) -> Iterator[int]:
    """Lines of calls that take the machine's encoding."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {keyword.arg for keyword in node.keywords}
        modes = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
        is_binary = any(isinstance(mode, str) and "b" in mode and len(mode) <= 3 for mode in modes)
        if name in STARTS and "text" not in given:
            continue
        if name in TEXT | STARTS and "encoding" not in given and not is_binary and not _is_other(node, name):
            yield node.lineno


def _is_other(node: ast.Call, name: str) -> bool:
    """A method of the same name that reads no text: `os.open`, `lzma.open`, an encoding given by place."""
    owner = node.func.value.id if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) else ""
    return (owner, name) == ("os", "open") or (name == "TextIOWrapper" and len(node.args) > 1)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_text_file_has_an_encoding(file: Path) -> None:
    assert not list(silent_about_encoding(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("path.read_text()", 1),
        ("path.write_text(text)", 1),
        ("open(path)", 1),
        ("path.open('w')", 1),
        ("subprocess.run(words, text=True)", 1),
        ("path.open('rb')", 0),
        ("open(path, mode='wb')", 0),
        ("path.read_text(encoding='utf-8')", 0),
        ("os.open(path, os.O_RDONLY)", 0),
        ("subprocess.run(words)", 0),
    ],
)
def test_it_would_be_found(source: str, number: int) -> None:
    assert len(list(silent_about_encoding(source))) == number
