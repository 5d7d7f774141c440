"""`import electra_lab` is quick, offers what the documentation names, and stops the malicious lightning releases."""

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

import electra_lab

ROOT = Path(electra_lab.__file__).parent.parent


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_loads_nothing_heavy() -> None:
    heavy = "torch transformers lightning numpy matplotlib optuna wandb jsonargparse huggingface_hub".split()  # noqa: SIM905
    code = f"import sys, electra_lab; dir(electra_lab); print([name for name in {heavy} if name in sys.modules])"
    assert python(code) == "[]"


def test_words_of_the_domain_need_no_torch() -> None:
    code = "import sys, electra_lab; electra_lab.Message, electra_lab.Conversation; print('torch' in sys.modules)"
    assert python(code) == "False"


@pytest.mark.parametrize("name", electra_lab.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(electra_lab, name)
    assert name in dir(electra_lab)
    if name != "__version__":
        assert value.__name__ == name and value.__doc__


def test_unknown_names_are_said() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'load_modle'; it has .*load_model_for_inference"):
        _ = electra_lab.load_modle


def test_device_is_looked_up_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for available, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert electra_lab.Config.DEVICE == electra_lab.Config().DEVICE == device


def test_version_is_that_of_the_package() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["metadata"]["version"] in (electra_lab.__version__, "attr: electra_lab.__version__")


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
def test_malicious_lightning_is_refused_before_it_runs(version: str) -> None:
    code = (
        "import sys, importlib.metadata as m; m.version = lambda name: "
        f"'{version}' if name == 'lightning' else '1.0'\n"
        "try:\n    import electra_lab\n"
        "except ImportError as error: print(error, '| imported:', 'lightning' in sys.modules)"
    )
    said = python(code)
    assert f"lightning {version} was a malicious release" in said and said.endswith("imported: False")


def test_no_lightning_at_all_is_fine() -> None:
    code = (
        "import importlib.metadata as m\n"
        "def version(name): raise m.PackageNotFoundError(name)\n"
        "m.version = version\nimport electra_lab; print(electra_lab.__version__)"
    )
    assert python(code) == electra_lab.__version__
