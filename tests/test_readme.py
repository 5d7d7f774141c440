"""What the README tells a reader to type or to open is there."""

import re
from pathlib import Path

import electra_lab
from electra_lab.cli import build_parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = (ROOT / "experiments/README.md").read_text(encoding="utf-8")


def test_every_target_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert (
        {"pretrain", "finetune", "test"} <= set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE)) <= targets
    )


def test_every_option_is_understood():
    known = {
        f"--{name}" for verb in ("pretrain", "finetune") for name in vars(build_parser(verb).get_defaults().as_flat())
    }
    options = re.findall(r"--(?:model|data|trainer)\.[a-z_.]+", README + EXPERIMENTS)
    assert len(options) > 10
    for option in options:
        assert option in known or option.startswith("--model.sizes."), option


def test_every_option_of_predict_is_understood():
    section = README.split("## Chat exports")[1].split("\n## ")[0]
    options = set(re.findall(r"--[a-z_]+", section))
    known = {f"--{name}" for name in vars(build_parser("predict").get_defaults())}
    assert {"--self", "--redact", "--columns", "--output"} <= options <= known


def test_every_name_and_file_exists():
    imported = re.findall(r"from electra_lab import (.+)", README)
    names = {name.strip() for line in imported for name in line.strip("`|. ").split(",")} - {"..", ""}
    assert len(names) == 6 and all(hasattr(electra_lab, name) for name in names)
    files = re.findall(r"experiments/[\w+-]+\.(?:yaml|py|png|md)", README)
    assert all((ROOT / file).is_file() for file in [*files, "LICENSE", "constraints.txt"])
    named = re.findall(r"^\| `([\w+-]+\.(?:yaml|py))`", EXPERIMENTS, re.MULTILINE)
    assert named and all((ROOT / "experiments" / name).is_file() for name in named)


def test_its_python_is_python():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        compile(block, "README.md", "exec")
