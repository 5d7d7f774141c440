"""Checkpoints that are whole or absent: written beside the old one, sealed with a checksum, renamed when on disk.

Lightning 2.6.6 writes through a temporary file in another folder, which across file systems is a copy over the live
file, and syncs nothing (https://github.com/Lightning-AI/pytorch-lightning/issues/19970, 21431); `torch.load` reads
most files with a flipped bit without a word.
"""

import hashlib
import logging
import os
import re
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from lightning.fabric.plugins import CheckpointIO

LAST = "last.ckpt"  # of a training that is over
_MAGIC = b"ELAB1"
_SEAL = len(_MAGIC) + hashlib.sha256().digest_size  # bytes after the content; torch.load does not mind them
_DAMAGED = ".damaged"
_CODE = {"_instantiator", "_class_path"}  # what lightning would import; before 2.6.6 it did so from any checkpoint
_STEP = re.compile(r"step=(\d+)\.ckpt")

log = logging.getLogger(__name__)


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's way to checkpoint files: never half a file, never a damaged one taken for good, never code.

    A save ends when content and name are on disk. If it fails (disk full, no permission) the file that was there
    before is untouched.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write, seal, sync, rename.

        Raises:
            OSError: it could not be written.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with temporary.open("wb", buffering=0) as file:
                _write_sealed(checkpoint, file)
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            said = (
                f"{error.strerror}: {path} is not saved; what was saved before is whole, --resume auto goes on from it"
            )
            raise OSError(error.errno, said) from error  # of the same kind
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read tensors and plain values, whatever is asked for.

        Raises:
            ValueError: the file is damaged, not ours, or holds more than that, which could be code.
        """
        if not is_whole(path):
            raise ValueError(f"{path} is damaged, or was not saved by electra_lab; give another checkpoint")
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # the seal says that it is whole, not that it is good; torch advises to run it
            said = f"{path} holds more than tensors and plain values, which is never run; give another checkpoint"
            raise ValueError(said) from error
        hyper_parameters = checkpoint.get("hyper_parameters", {}) if isinstance(checkpoint, dict) else None
        if not isinstance(hyper_parameters, dict) or _CODE & hyper_parameters.keys():
            raise ValueError(f"{path} is not a checkpoint of electra_lab: it names classes to be made; give another")
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove the file, if it is still there."""
        Path(path).unlink(missing_ok=True)


def is_whole(path: str | Path) -> bool:
    """Whether the file can be read and its content is what was sealed."""
    try:
        with Path(path).open("rb") as file:
            left = os.fstat(file.fileno()).st_size - _SEAL
            digest = hashlib.sha256()
            while left > 0 and (part := file.read(min(left, 1 << 20))):
                digest.update(part)
                left -= len(part)
            return left == 0 and file.read() == _MAGIC + digest.digest()
    except OSError:
        return False


def newest_valid(folder: Path, set_aside: bool = True) -> Path | None:
    """The checkpoint to go on from, None where there never was one; what lies in the way is cleared.

    Args:
        folder: Holds `step=N.ckpt`, and LAST once the training is over. Other names are not looked at.
        set_aside: Rename damaged files to `.damaged` and remove what a cut-off save has left; for one process only.

    Raises:
        ValueError: there are checkpoints, and all are damaged: a fresh start would hide that work is lost.
    """
    found = _newest_first(folder)
    newest = next((path for path in found if is_whole(path)), None)
    if set_aside:
        for path in folder.glob(".*.tmp"):
            path.unlink()
        for path in found[: len(found) if newest is None else found.index(newest)]:
            path.rename(path.with_name(path.name + _DAMAGED))
            log.warning("%s is damaged: set aside as %s%s", path, path.name, _DAMAGED)
    if newest is None and (found or any(folder.glob(f"*{_DAMAGED}"))):
        raise ValueError(
            f"all checkpoints in {folder} are damaged: nothing to go on from; remove the run to start anew"
        )
    return newest


def keep_newest(folder: Path, number: int, new: Path) -> None:
    """Remove all but the newest checkpoints of the steps, if the new one can be read back from the disk.

    Raises:
        OSError: it cannot, which nothing but the disk explains.
    """
    if not is_whole(new):
        raise OSError(f"{new} is not what was written to it; the checkpoints before it are kept; check the disk")
    for path in [path for path in _newest_first(folder) if path.name != LAST][number:]:
        path.unlink()


def remove_resumable(folder: Path) -> None:
    """Remove all checkpoints that only serve to go on with a run, once that is over."""
    for path in _newest_first(folder):
        path.unlink()


def _write_sealed(checkpoint: dict[str, Any], file: BinaryIO) -> None:
    """Content and seal, without a copy of either in memory."""
    sealed = _Sealed(file)
    try:
        torch.save(checkpoint, cast(BinaryIO, sealed))
    except RuntimeError as error:  # torch's own, about what is missing, hides what the disk said
        raise sealed.failure or error from None
    _write_all(file, memoryview(_MAGIC + sealed.digest.digest()))


class _Sealed:
    """A file to write to that keeps the checksum of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        self.digest.update(data)
        try:
            return _write_all(self.file, memoryview(data))
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        pass  # nothing is held back


def _write_all(file: BinaryIO, data: memoryview) -> int:
    """An unbuffered file may take less than it is given."""
    done = 0
    while done < len(data):
        done += file.write(data[done:])
    return done


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _newest_first(folder: Path) -> list[Path]:
    """The checkpoints to go on from."""
    steps = {path: int(match[1]) for path in folder.glob("*.ckpt") if (match := _STEP.fullmatch(path.name))}
    last = [folder / LAST] if (folder / LAST).exists() else []
    return last + sorted(steps, key=lambda path: -steps[path])
