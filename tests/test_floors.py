"""The house stands: imports go down only, files stay readable, and nothing opens a door to code from data."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import electra_lab

PACKAGE = Path(electra_lab.__file__).parent
EXPERIMENTS = PACKAGE.parent / "experiments"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 300  # lines; a file is one idea

FLOORS = {
    "batches": 0,
    "losses": 0,
    "metrics": 0,
    "optim": 0,
    "steps": 0,
    "calibration": 0,
    "curves": 0,
    "decisions": 0,
    "ranking": 0,
    "tokenizer": 0,
    "data": 1,
    "models": 1,
    "tasks": 2,
    "callbacks": 2,
    "strategies": 2,
    "checkpoint": 2,
    "loggers": 2,
    "evaluation": 3,
    "bundle": 3,
    "model_card": 3,
    "snippets": 3,
    "auto_classes": 3,
    "export": 3,
    "inference": 3,
    "serving": 3,
    "results": 3,
    "evidence": 3,
    "zero_shot": 3,
    "report": 3,
    "dashboard": 3,
    "runs": 3,
    "verbs": 3,
    "cli": 3,
    "__main__": 3,
    "__init__": 3,
}
STRANGERS = {("data", "models"), ("models", "data"), ("tasks", "data")}  # the second is never imported by the first
LIGHTNING = {"data.pretraining", "data.detection"}  # may import it below floor 2: the DataModules
NO_TORCH = [
    *("data.conversation", "data.errors", "data.text", "data.windows", "data.splits", "data.formats"),
    "data.exports",
    *("data.injection", "data.sources", "data.synthetic", "data.near_duplicates"),
]
COMMAND_LINE = {"cli", "runs", "verbs"}  # nothing below knows that there is one
ON_DEMAND = {
    *("optuna", "wandb", "wandb_workspaces", "jsonargparse", "kiwipiepy", "sklearn", "datasets", "matplotlib"),
    *("onnx", "onnxruntime", "onnxscript"),
}
FORBIDDEN = {
    "weights_only=False": r"weights_only\s*=\s*False",
    "pickle": r"\bpickle\.loads?\(|^\s*(import|from) pickle\b",
    "eval(": r"(?<![.\w])(eval|exec)\(",
    "yaml.load(": r"\byaml\.(unsafe_)?load\(",
    "shell=True": r"shell\s*=\s*True",
    "trust_remote_code=True": r"trust_remote_code[\"']?\s*[=:]\s*True",
}


def module_name(file: Path) -> str:
    """`data.formats` for electra_lab/data/formats/__init__.py."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


@cache
def parsed(file: Path) -> ast.Module:
    """The syntax tree, read once."""
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(file: Path, at_load: bool = False) -> Iterator[str]:
    """Full names a file imports; with `at_load` only what runs when it is imported: no functions, no type checking."""
    tree = parsed(file)
    nodes = list(_run_at_load(tree)) if at_load else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: relative imports hide the floor"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _run_at_load(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _run_at_load(child)


def ours(file: Path) -> list[str]:
    """Modules of electra_lab a file imports, e.g. `data.order`; names inside them are cut off."""
    found = []
    for name in imports(file):
        parts = name.split(".")
        if parts[0] != "electra_lab":
            continue
        while len(parts) > 1 and not (PACKAGE.joinpath(*parts[1:]).is_dir() or _file(parts[1:]).is_file()):
            parts.pop()
        found.append(".".join(parts[1:]) or "__init__")
    return found


def _file(parts: list[str]) -> Path:
    return PACKAGE.joinpath(*parts).with_suffix(".py") if parts else PACKAGE / "__init__.py"


def floor(module: str) -> int:
    """The floor of a module; a new part of the house must be given one."""
    return FLOORS[module.split(".")[0]]


def test_every_part_has_a_floor() -> None:
    assert {module_name(file).split(".")[0] for file in FILES} <= FLOORS.keys()


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_imports_go_down_only(file: Path) -> None:
    module = module_name(file)
    for imported in ours(file):
        assert floor(imported) <= floor(module), f"{module} (floor {floor(module)}) imports {imported}"
        pair = (module.split(".")[0], imported.split(".")[0])
        assert pair not in STRANGERS, f"{module} imports {imported}: {pair[0]} does not know {pair[1]}"


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_lightning_only_where_a_trainer_is(file: Path) -> None:
    module = module_name(file)
    if floor(module) < 2 and module not in LIGHTNING:
        assert not [name for name in imports(file, at_load=True) if name.split(".")[0] == "lightning"]


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_optional_packages_are_imported_where_they_are_used(file: Path) -> None:
    allowed = {"jsonargparse"} if module_name(file) in COMMAND_LINE else set()
    assert not (ON_DEMAND - allowed) & {name.split(".")[0] for name in imports(file, at_load=True)}


@pytest.mark.parametrize(
    "module",
    [name for name in NO_TORCH if (PACKAGE / name.replace(".", "/")).exists() or _file(name.split(".")).is_file()],
)
def test_words_formats_windows_and_splits_need_no_torch(module: str) -> None:
    """Followed through our own modules: what they import must not bring torch either."""
    root = PACKAGE / module.replace(".", "/")
    waiting = list(root.rglob("*.py")) if root.is_dir() else [_file(module.split("."))]
    seen = set(waiting)
    while waiting:
        file = waiting.pop()
        heavy = {name.split(".")[0] for name in imports(file, at_load=True)} & {"torch", "transformers", "lightning"}
        assert not heavy, f"{module} needs {module_name(file)}, which imports {heavy}"
        for name in ours(file):
            below = (
                _file(name.split(".")) if _file(name.split(".")).is_file() else _file([*name.split("."), "__init__"])
            )
            if below not in seen:
                seen.add(below)
                waiting.append(below)


@pytest.mark.parametrize("file", [*FILES, *sorted(EXPERIMENTS.rglob("*.py"))], ids=lambda file: file.name)
def test_files_are_one_idea(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST, f"{file.name} has {lines} lines"
    assert file.stem not in ("utils", "util", "helpers", "common", "misc"), f"{file.name}: name the idea"
    assert (ast.get_docstring(parsed(file)) or "").strip(), f"{file.name} says nothing"


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_no_door_for_code_from_data(file: Path) -> None:
    found = forbidden(file.read_text(encoding="utf-8"))
    assert not found, f"{module_name(file)}: {found}"


def forbidden(source: str) -> list[str]:
    """Which of the forbidden calls stand in the code; docstrings and comments may speak of them."""
    bare = ast.unparse(_without_docstrings(ast.parse(source)))
    return [name for name, pattern in FORBIDDEN.items() if re.search(pattern, bare, re.MULTILINE)]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
    return tree


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, weights_only=False)",
        "import pickle",
        "pickle.load(file)",
        "eval(text)",
        "exec(text)",
        "yaml.load(text)",
        "yaml.unsafe_load(text)",
        "subprocess.run(line, shell = True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "options = {'trust_remote_code': True}",
    ],
)
def test_the_doors_would_be_found(source: str) -> None:
    assert forbidden(source)


@pytest.mark.parametrize("source", ["model.eval()", "yaml.safe_load(text)", "torch.load(path, weights_only=True)"])
def test_harmless_calls_are_not(source: str) -> None:
    assert not forbidden(source)
