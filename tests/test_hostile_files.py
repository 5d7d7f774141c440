"""Files made to run code where they are opened: each is refused with a sentence, and none of them is run.

Every file would make the folder `ran` if its code were run.
"""

import io
import json
import os
import pickle
import shutil
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from electra_lab.bundle import load_detector, save_detector
from electra_lab.checkpoint import AtomicCheckpointIO
from electra_lab.models.backbone import load_backbone
from electra_lab.models.detector import Detector
from electra_lab.models.pair import load_pair
from electra_lab.tokenizer import load_tokenizer
from tests.detector_settings import SETTINGS, change_record
from tests.hostile import refused, watched


class Runs:
    """Pickled, it is the call `function(argument)`."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


@pytest.fixture(autouse=True)
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from watched(tmp_path, monkeypatch)


# checkpoints; sealed, for whoever can read our source can seal


def _torch(ran: Path) -> bytes:
    return _saved({"state_dict": Runs(os.mkdir, str(ran))})


def _torch_of_old(ran: Path) -> bytes:
    return _saved({"state_dict": Runs(os.mkdir, str(ran))}, _use_new_zipfile_serialization=False)


def _pickle(ran: Path) -> bytes:
    return pickle.dumps(Runs(os.mkdir, str(ran)))


def _opcodes(ran: Path) -> bytes:
    return b"cos\nmkdir\n(V" + str(ran).encode() + b"\ntR."


def _stack_global(ran: Path) -> bytes:
    return b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c" + bytes([len(str(ran))]) + str(ran).encode() + b"\x85R."


def _import(ran: Path) -> bytes:
    return b"cevil\nmake\n(tR."


def _import_in_an_archive(ran: Path) -> bytes:
    return _saved({"state_dict": Runs(__import__, "evil")})


def _module(ran: Path) -> bytes:
    sys.modules["evil_module"] = module = type(sys)("evil_module")
    module.Evil = type("Evil", (), {"__module__": "evil_module", "__qualname__": "Evil"})  # type: ignore[attr-defined]
    try:
        return _saved({"state_dict": module.Evil()})  # type: ignore[attr-defined]
    finally:
        del sys.modules["evil_module"]


def _network(ran: Path) -> bytes:
    return _saved({"state_dict": nn.Linear(1, 1)})


def _script(ran: Path) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = ran.with_name("script.pt")
        torch.jit.save(torch.jit.script(nn.Linear(1, 1)), str(file))
    return file.read_bytes()


def _class_path(ran: Path) -> bytes:
    return _saved({"state_dict": {}, "hyper_parameters": {"_class_path": "evil.Evil", "_instantiator": "evil.make"}})


def _no_mapping(ran: Path) -> bytes:
    return _saved({"state_dict": {}, "hyper_parameters": ["_instantiator"]})


def _saved(value: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


CHECKPOINTS = [
    _torch,
    _torch_of_old,
    _pickle,
    _opcodes,
    _stack_global,
    _import,
    _import_in_an_archive,
    _module,
    _network,
    _script,
]
CHECKPOINTS += [_class_path, _no_mapping]


@pytest.mark.parametrize("made", CHECKPOINTS)
def test_checkpoints(made: Callable[[Path], bytes], tmp_path: Path, ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = made(ran)
    path = tmp_path / "step=1.ckpt"
    monkeypatch.setattr(torch, "save", lambda checkpoint, file: file.write(checkpoint))  # as it is
    AtomicCheckpointIO().save_checkpoint(content, path)  # type: ignore[arg-type]
    says = "never run" if "class" not in made.__name__ and "mapping" not in made.__name__ else "names classes"
    refused(lambda: AtomicCheckpointIO().load_checkpoint(path, weights_only=False), says)


@pytest.mark.parametrize("made", [_torch, _torch_of_old, _pickle, _opcodes, _import])
def test_these_files_would_run_code(made: Callable[[Path], bytes], ran: Path) -> None:
    """So that the tests here are not of files that do nothing."""
    content = made(ran)
    with suppress(TypeError):  # of torch, when all is done
        torch.load(io.BytesIO(content), weights_only=False) if made in (_torch, _torch_of_old) else pickle.loads(
            content
        )
    assert ran.is_dir()
    ran.rmdir()
    sys.modules.pop("evil", None)


# encoders


def _bin(made: Callable[[Path], bytes]) -> Callable[[Path, Path], None]:
    return lambda folder, ran: (folder / "pytorch_model.bin").write_bytes(made(ran)) and None


def _written(name: str, content: bytes) -> Callable[[Path, Path], None]:
    def change(folder: Path, ran: Path) -> None:
        (folder / "pytorch_model.bin").unlink()
        (folder / name).write_bytes(content)

    return change


def _index_out_of_the_folder(folder: Path, ran: Path) -> None:
    (folder / "pytorch_model.bin").unlink()
    (folder.parent / "weights.bin").write_bytes(_torch(ran))
    index = {"metadata": {}, "weight_map": {"electra.embeddings.word_embeddings.weight": "../weights.bin"}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def _json(name: str, **keys: object) -> Callable[[Path, Path], None]:
    def change(folder: Path, ran: Path) -> None:
        shutil.copy(ran.with_name("evil.py"), folder)
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | keys))

    return change


AUTO_MAP = {
    name: "evil.Evil" for name in ("AutoConfig", "AutoModel", "AutoModelForMaskedLM", "AutoModelForPreTraining")
}
ENCODERS = {
    "a pickle with code": (_bin(_torch), "never run"),
    "an old pickle with code": (_bin(_torch_of_old), "never run"),
    "a bare pickle with code": (_bin(_pickle), "never run"),
    "an import in a pickle": (_bin(_import), "never run"),
    "TorchScript": (_bin(_script), "no encoder could be loaded"),
    "no weights": (_bin(lambda ran: b"abc"), "no encoder could be loaded"),
    "an index out of the folder": (_index_out_of_the_folder, "never run"),
    "a header beyond the file": (_written("model.safetensors", struct.pack("<Q", 1 << 60)), "header too large"),
    "a header of nothing": (_written("model.safetensors", b"{}"), "header too small"),
    "auto_map": (_json("config.json", auto_map=AUTO_MAP), r"asks for code \(auto_map\)"),
    "auto_map of an unknown kind": (_json("config.json", auto_map=AUTO_MAP, model_type="evil"), "asks for code"),
    "auto_map from elsewhere": (_json("config.json", auto_map={"AutoModel": "a/b--evil.Evil"}), "asks for code"),
    "kernels": (_json("config.json", _attn_implementation_internal="evil/kernels"), "_attn_implementation_internal"),
    "kernels by name": (_json("config.json", attn_implementation="evil/kernels:make"), "attn_implementation"),
    "kernels within": (_json("config.json", text_config={"_attn_implementation": "a/b"}), "_attn_implementation"),
    "kernels of experts": (_json("config.json", _experts_implementation_internal="a/b"), "_experts_implementation"),
    "a kind that is a path": (_json("config.json", model_type="../evil"), "no model configuration"),
    "a kind that is a list": (_json("config.json", model_type=["evil"]), "no model configuration"),
    "an activation that is a function": (_json("config.json", hidden_act="os.mkdir"), "no encoder could be loaded"),
    "a size that is code": (_json("config.json", hidden_size="__import__('evil')"), "no model configuration"),
    "a size below nothing": (_json("config.json", hidden_size=-1), "no encoder could be loaded"),
}


@pytest.fixture
def encoder(koelectra_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(koelectra_folder, tmp_path / "encoder")


@pytest.mark.parametrize(("change", "says"), ENCODERS.values(), ids=ENCODERS)
def test_encoders(change: Callable[[Path, Path], None], says: str, encoder: Path, ran: Path) -> None:
    size = json.loads((encoder / "config.json").read_text())["vocab_size"]
    change(encoder, ran)
    refused(lambda: load_backbone(str(encoder), size), says)


@pytest.mark.parametrize("name", ["a pickle with code", "auto_map", "kernels", "a header of nothing"])
def test_pairs(name: str, encoder: Path, ran: Path) -> None:
    change, says = ENCODERS[name]
    tokenizer = load_tokenizer(str(encoder))
    change(encoder, ran)
    refused(lambda: load_pair(str(encoder), str(encoder), tokenizer), says.replace("no encoder", "no .*"))


TOKENIZERS: dict[str, Callable[[Path, Path], None]] = {
    "auto_map": _json("tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]}),
    "auto_map of old": _json("tokenizer_config.json", auto_map=["evil.Evil", None]),
    "a class of elsewhere": _json("tokenizer_config.json", tokenizer_class="evil.Evil"),
    "a class that is a list": _json("tokenizer_config.json", tokenizer_class=["evil.Evil"]),
    "no tokenizer": lambda folder, ran: (folder / "tokenizer.json").write_text('{"a": 1}') and None,
    "nothing but nesting": lambda folder, ran: (folder / "tokenizer.json").write_text("[" * 100_000) and None,
    "no text": lambda folder, ran: (folder / "vocab.txt").write_bytes(b"\xff\xfe\xfa") and None,
}


@pytest.mark.parametrize("change", TOKENIZERS.values(), ids=TOKENIZERS)
def test_tokenizers(change: Callable[[Path, Path], None], encoder: Path, ran: Path) -> None:
    change(encoder, ran)
    refused(lambda: load_tokenizer(str(encoder)), "no tokenizer|asks for code")


# detectors, whose hashes are right


@pytest.fixture
def detector(koelectra_folder: Path, tmp_path: Path) -> Path:
    tokenizer = load_tokenizer(str(koelectra_folder), SETTINGS.num_speakers)
    folder = tmp_path / "detector"
    save_detector(Detector(load_backbone(str(koelectra_folder), len(tokenizer))), tokenizer, SETTINGS, folder)
    return folder


@pytest.mark.parametrize("name", ["auto_map", "kernels", "kernels within"])
def test_detectors(name: str, detector: Path, ran: Path) -> None:
    change, says = ENCODERS[name]
    change(detector, ran)
    change_record(detector)
    refused(lambda: load_detector(detector), says)


def test_a_pickle_beside_the_weights_of_a_detector_is_not_read(detector: Path, ran: Path) -> None:
    (detector / "pytorch_model.bin").write_bytes(_torch(ran))
    load_detector(detector)


def test_a_detector_with_a_pickle_in_place_of_its_weights(detector: Path, ran: Path) -> None:
    (detector / "model.safetensors").write_bytes(_torch(ran))
    change_record(detector)
    refused(lambda: load_detector(detector), "does not fit")
