"""What a run leaves behind: encoders as Hugging Face folders, a detector as one folder that is whole or absent.

Weights are safetensors, everything else is JSON and text, so that opening a folder never runs code from it.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers.models import WordPiece
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from electra_lab.model_card import detector_card, pretrained_card, write_card
from electra_lab.models.backbone import backbone_from_config
from electra_lab.models.detector import Detector
from electra_lab.models.detector_config import DetectorConfig
from electra_lab.models.loading import load_config
from electra_lab.models.sharing import without_sharing
from electra_lab.tokenizer import MESSAGE_TOKEN, load_tokenizer

VERSION = 4  # of the detector folder; raised when an older reader would misread it
SETTINGS_FILE = "detector.json"
WEIGHTS_FILE = "model.safetensors"
MADE_UP = "made-up conversations (embedded in electra_lab)"  # what a detector was trained on where no data was given


@dataclass(frozen=True)
class DetectorSettings:
    """What serving must know beside the weights to do exactly what training did."""

    window: int  # messages
    stride: int  # messages
    max_length: int  # tokens of a window
    context: str  # what the encoder reads together, one of `data.encoding.CONTEXTS`
    num_speakers: int
    dropout: float
    pooling: str  # of the detector, one of `models.pooling.POOLINGS`
    ngrams: bool  # whether the detector reads the messages' character n-grams
    temperatures: dict[str, float]  # of "window", "message", "conversation": logits are divided by them
    thresholds: dict[str, float]  # likewise: anomalous from there on
    review_thresholds: dict[str, float]  # likewise: worth a look from there on; never above the other
    threshold_policy: str  # what the thresholds were chosen for
    decision: str  # how windows make the score of their conversation
    trained_on: str  # the data, in words
    backbone: str  # name of the encoder it was fine-tuned from
    steps: int  # optimizer steps; 0 = untrained, which is never served
    version: int = VERSION


def export_pretrained(
    generator: PreTrainedModel,
    discriminator: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    training: Mapping[str, object],
) -> None:
    """Write `folder/generator` and `folder/discriminator`, each complete, though the two share their embeddings.

    Args:
        generator: with the embeddings it was trained with.
        discriminator: likewise.
        tokenizer: goes into both folders, with `vocab.txt` where it is WordPiece.
        folder: of the run.
        training: names and values for the table of the model card; no text of the corpus.
    """
    for name, model in (("generator", generator), ("discriminator", without_sharing(discriminator))):
        with written_whole(Path(folder) / name) as unfinished:
            model.save_pretrained(str(unfinished))
            save_tokenizer(tokenizer, unfinished)
            write_card(pretrained_card(name, type(model).__name__, training), unfinished)


def save_detector(
    detector: Detector,
    tokenizer: PreTrainedTokenizerFast,
    settings: DetectorSettings,
    folder: Path,
    figures: Mapping[str, Mapping[str, object]] | None = None,
) -> None:
    """Write everything that `load_detector` needs into one folder, an earlier detector there is replaced.

    Args:
        detector: all its weights are saved, on whatever device they are.
        tokenizer: the one it was trained with.
        settings: see `DetectorSettings`.
        folder: takes its place only when complete.
        figures: of the test set, level -> name -> value.
    """
    with written_whole(Path(folder)) as unfinished:
        _config(detector, tokenizer, settings).save_pretrained(str(unfinished))
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in detector.state_dict().items()}
        save_file(weights, unfinished / WEIGHTS_FILE, metadata={"format": "pt"})
        save_tokenizer(tokenizer, unfinished)
        write_record(unfinished, settings, figures or {})
        write_card(detector_card(asdict(settings), figures or {}), unfinished)


def load_detector(
    folder: str | Path, device: str = "cpu"
) -> tuple[Detector, PreTrainedTokenizerFast, DetectorSettings]:
    """The detector of a folder that `save_detector` wrote, ready to score: evaluation mode, every file checked.

    Raises:
        FileNotFoundError: nothing there, or a file of the folder is missing.
        ValueError: a training checkpoint, an encoder without detector, a damaged, foreign or untrained detector.
    """
    folder = _detector_folder(Path(folder))
    record = read_record(folder)
    settings = DetectorSettings(**record["settings"])
    for name, digest in record["sha256"].items():
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder}: {name} is missing; copy the whole folder again")
        if _sha256(folder / name) != digest:
            raise ValueError(
                f"{folder}: {name} is not the file that was saved (its SHA-256 differs from {SETTINGS_FILE}); "
                "copy the whole folder again"
            )
    tokenizer = load_tokenizer(str(folder), settings.num_speakers)
    config = load_config(str(folder)).encoder
    if len(tokenizer) > config.vocab_size:  # fewer is usual: tables are padded to round sizes
        raise ValueError(
            f"{folder}: the tokenizer has {len(tokenizer)} tokens but the encoder only {config.vocab_size}; "
            "files of two detectors are mixed"
        )
    detector = Detector(backbone_from_config(config), settings.dropout, settings.pooling, settings.ngrams)
    _load_weights(detector, folder)
    return detector.to(device).eval(), tokenizer, settings


def read_record(folder: str | Path) -> dict[str, dict[str, Any]]:
    """What a detector folder says about itself: its "settings", the "sha256" of its files, its test "figures".

    The settings are those of `DetectorSettings`; the figures go level -> name -> value and are empty if it was not
    tested. All of it is plain data, as in the file.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: not a detector, or an untrained one, or one of another version.
    """
    path = _detector_folder(Path(folder)) / SETTINGS_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        settings, digests, figures = dict(record["settings"]), dict(record["sha256"]), dict(record.get("figures", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read; copy the whole folder again") from error
    if "model.onnx" in digests:
        raise ValueError(f"{folder} is a detector exported to ONNX; give the folder that it was exported from")
    if settings.get("version") != VERSION:
        raise ValueError(f"{path} is of version {settings.get('version')}; this electra_lab reads version {VERSION}")
    expected = {field.name for field in fields(DetectorSettings)}
    if settings.keys() != expected or not {WEIGHTS_FILE, "config.json"} <= digests.keys():
        odd = ", ".join(sorted(settings.keys() ^ expected)) or "the hashes of the files"
        raise ValueError(f"{path} is not complete or not of this electra_lab: {odd}")
    if settings["steps"] < 1:
        raise ValueError(f"{folder} holds an untrained detector (0 steps), whose scores mean nothing; train it first")
    return {"settings": settings, "sha256": digests, "figures": figures}


def write_record(folder: Path, settings: DetectorSettings, figures: Mapping[str, Mapping[str, object]]) -> None:
    """detector.json: what `read_record` reads, with the SHA-256 of every file that is in the folder."""
    digests = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    record = {"settings": asdict(settings), "sha256": digests, "figures": figures}
    (folder / SETTINGS_FILE).write_text(json.dumps(record, indent=2, ensure_ascii=False), encoding="utf-8")


def is_demo(settings: DetectorSettings) -> bool:
    """Whether a detector was trained on the made-up conversations, so that its scores show how things work, no more."""
    return settings.trained_on == MADE_UP


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a tokenizer into a folder, with `vocab.txt` where it is WordPiece."""
    tokenizer.save_pretrained(str(folder))
    write_vocabulary(tokenizer, folder)


def write_vocabulary(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """`vocab.txt`, one token a line in the order of ids, which older readers want; only WordPiece has such a file."""
    if not isinstance(tokenizer.backend_tokenizer.model, WordPiece):
        return
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if [number for _, number in tokens] != list(range(len(tokens))):
        raise ValueError("the tokenizer's ids have gaps, so that line numbers of vocab.txt would not be its ids")
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in tokens), encoding="utf-8")


@contextmanager
def written_whole(folder: Path, ours: str = "config.json") -> Iterator[Path]:
    """A sibling to write into; it takes the folder's place at the end, or vanishes when something fails.

    Args:
        folder: new, empty, or one that was written before.
        ours: the file by which that is told.
    """
    folder = folder.resolve()  # of a link, the target is replaced
    if folder == Path.cwd():  # whoever is in it would go on in the replaced one
        raise ValueError(f"{folder} is the current folder; give a new one")
    is_taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if is_taken and not (folder / ours).is_file():
        raise ValueError(f"{folder} holds other files; give a folder that is new, or one saved here before")
    unfinished, replaced = folder.with_name(f".{folder.name}.unfinished"), folder.with_name(f".{folder.name}.replaced")
    for leftover in (unfinished, replaced):  # of a process that was killed here
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise OSError(f"{folder}: no folder can be made there: {error.strerror}") from error
    try:
        yield unfinished
        for path in unfinished.glob("*.safetensors"):  # which only the owner could read, whatever the umask says
            path.chmod(unfinished.stat().st_mode & 0o666)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    if is_taken:
        folder.rename(replaced)
    unfinished.rename(folder)  # over an empty one; what somebody has put there in the meantime is not lost
    shutil.rmtree(replaced, ignore_errors=True)


def _detector_folder(path: Path) -> Path:
    """The path if it is a detector; otherwise one sentence that says what it is and what to give instead."""
    if (path / SETTINGS_FILE).is_file():
        return path
    nearby = next(
        (parent / "detector" for parent in (path, *path.parents) if (parent / "detector" / SETTINGS_FILE).is_file()),
        None,
    )
    instead = f"give the folder {nearby}" if nearby else "give the folder `detector` of a run of `finetune`"
    if path.suffix in (".pt", ".ckpt", ".bin", ".pth"):
        raise ValueError(f"{path} is a training checkpoint, which is not opened for prediction; {instead}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such folder; {instead}")
    if (path / "config.json").is_file():
        raise ValueError(f"{path} is an encoder, not a detector; fine-tune it first: make finetune BACKBONE={path}")
    raise FileNotFoundError(f"{path} has no {SETTINGS_FILE}, so it is not a detector; {instead}")


def _config(detector: Detector, tokenizer: PreTrainedTokenizerFast, settings: DetectorSettings) -> DetectorConfig:
    """What transformers' auto classes read, and `load_detector` the encoder's part of."""
    encoder = detector.backbone.encoder.config.to_dict()
    return DetectorConfig(
        encoder={name: value for name, value in encoder.items() if name != "_name_or_path"},  # of this machine
        dropout=settings.dropout,
        pooling=settings.pooling,
        ngrams=settings.ngrams,
        context=settings.context,
        message_token_id=tokenizer.get_vocab()[MESSAGE_TOKEN],
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        architectures=["DetectorForSequenceClassification"],
    )


def _load_weights(detector: Detector, folder: Path) -> None:
    try:
        detector.load_state_dict(load_file(folder / WEIGHTS_FILE), strict=True)
    except (RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder}: {WEIGHTS_FILE} does not fit the encoder in config.json: {reason}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
