"""Checkpoints are whole or absent: damage is found, set aside and passed over; a failing disk leaves the old one."""

import errno
import logging
import os
import random
from pathlib import Path

import pytest
import torch

from electra_lab import checkpoint
from electra_lab.checkpoint import AtomicCheckpointIO, is_whole, keep_newest, newest_valid

STATE = {
    "state_dict": {"weight": torch.arange(3000, dtype=torch.float32).reshape(50, 60)},
    "optimizer_states": [{"step": torch.tensor(7.0), "lr": 1e-3}],
    "global_step": 7,
}
PAGE = 4096


@pytest.fixture
def saved(tmp_path):
    """Two checkpoints of a run, of steps 4 and 12."""
    for step in (4, 12):
        AtomicCheckpointIO().save_checkpoint({**STATE, "global_step": step}, tmp_path / f"step={step}.ckpt")
    return tmp_path


def test_what_is_saved_is_loaded(saved):
    loaded = AtomicCheckpointIO().load_checkpoint(saved / "step=12.ckpt")
    assert loaded["global_step"] == 12 and loaded["state_dict"]["weight"].equal(STATE["state_dict"]["weight"])
    assert sorted(path.name for path in saved.iterdir()) == ["step=12.ckpt", "step=4.ckpt"]
    stock = torch.load(saved / "step=12.ckpt", weights_only=True)  # a reader that does not know of the seal
    assert stock["state_dict"]["weight"].equal(STATE["state_dict"]["weight"])


def damages(content, flips, truncations, pages):
    """Copies with one bit flipped, the end cut off, or a page zeroed; every one differs from the content."""
    chance = random.Random(0)
    for _ in range(flips):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        yield damaged
    for _ in range(truncations):
        yield content[: chance.randrange(len(content))]
    starts = [n for n in range(0, len(content) - 64) if content[n : n + PAGE].strip(b"\0")]
    for _ in range(pages):
        start = chance.choice(starts)
        yield content[:start] + bytes(len(content[start : start + PAGE])) + content[start + PAGE :]


def undetected(path, flips, truncations, pages):
    """How many of the damages are taken for whole, and how many there were."""
    content = path.read_bytes()
    found = []
    for damaged in damages(content, flips, truncations, pages):
        path.write_bytes(damaged)
        found.append(is_whole(path))
    path.write_bytes(content)
    assert is_whole(path)
    return sum(found), len(found)


def test_damage_is_detected(saved):
    assert undetected(saved / "step=12.ckpt", flips=100, truncations=30, pages=30) == (0, 160)


@pytest.mark.slow
def test_much_damage_is_detected(saved):
    assert undetected(saved / "step=12.ckpt", flips=1000, truncations=300, pages=300) == (0, 1600)


def test_stock_loading_does_not_notice_most_of_it(saved):
    """The control: without the checksum more than half of the flipped bits go through."""
    path = saved / "step=12.ckpt"
    noticed = 0
    for damaged in damages(path.read_bytes(), flips=50, truncations=0, pages=0):
        path.write_bytes(damaged)
        try:
            torch.load(path, weights_only=True)
        except Exception:  # of many kinds
            noticed += 1
    assert noticed < 25


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken(saved, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("electra_lab"), "propagate", True)
    newest = saved / "step=12.ckpt"
    newest.write_bytes(newest.read_bytes()[:-100])
    (saved / ".step=16.ckpt.tmp").write_bytes(b"half of a save")
    (saved / "epoch=9-f1=0.5000.ckpt").write_bytes(b"not for resuming")
    assert newest_valid(saved, set_aside=False) == saved / "step=4.ckpt"
    assert newest.exists() and (saved / ".step=16.ckpt.tmp").exists()  # another process may be at it
    assert newest_valid(saved) == saved / "step=4.ckpt"
    names = {path.name for path in saved.iterdir()}
    assert names == {"step=4.ckpt", "step=12.ckpt.damaged", "epoch=9-f1=0.5000.ckpt"}
    assert "step=12.ckpt is damaged: set aside" in caplog.text


def test_the_last_one_is_newer_than_all_steps(saved):
    assert newest_valid(saved) == saved / "step=12.ckpt"
    AtomicCheckpointIO().save_checkpoint(STATE, saved / "last.ckpt")
    assert newest_valid(saved) == saved / "last.ckpt"


def test_a_run_without_a_valid_checkpoint_is_not_started_anew(saved):
    """Also not at the second try, when all of them have been set aside already."""
    for path in saved.iterdir():
        path.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"all checkpoints in .* are damaged"):
            newest_valid(saved)
    assert newest_valid(saved / "never") is None


def test_damaged_and_foreign_files_are_not_loaded(saved, tmp_path):
    path = saved / "step=4.ckpt"
    path.write_bytes(path.read_bytes()[:-1])
    torch.save(STATE, saved / "foreign.ckpt")
    for name in ("step=4.ckpt", "foreign.ckpt", "none.ckpt"):
        with pytest.raises(ValueError, match="is damaged, or was not saved by electra_lab"):
            AtomicCheckpointIO().load_checkpoint(saved / name)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    """Sealed as ours: the seal says that it is whole, not that it is good."""

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    AtomicCheckpointIO().save_checkpoint({"state_dict": Evil()}, tmp_path / "step=1.ckpt")
    with pytest.raises(ValueError, match="more than tensors and plain values, which is never run"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "step=1.ckpt", weights_only=False)
    assert not (tmp_path / "ran").exists()


class FullDisk:
    """A file that takes so many bytes and then says that there is no space left."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def fileno(self):
        return self.file.fileno()

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = self.file.write(data[: self.room])
        self.room -= taken
        return taken


@pytest.mark.parametrize("room", [0, 1, 5000, "all but a byte"])
def test_a_full_disk_leaves_the_old_checkpoint(saved, monkeypatch, room):
    path = saved / "step=12.ckpt"
    before = path.read_bytes()
    room = len(before) - 1 if isinstance(room, str) else room
    plain = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: FullDisk(plain(self, *a, **k), room))
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({**STATE, "global_step": 12}, path)
    monkeypatch.undo()
    assert path.read_bytes() == before and len(list(saved.iterdir())) == 2


def denied(*anything, **options):
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("at", ["open", "replace", "fsync"])
def test_missing_permission_is_said_and_leaves_the_old_checkpoint(saved, monkeypatch, at):
    path = saved / "step=12.ckpt"
    before = path.read_bytes()
    monkeypatch.setattr(Path if at == "open" else checkpoint.os, at, denied)
    with pytest.raises(PermissionError):
        AtomicCheckpointIO().save_checkpoint(STATE, path)
    monkeypatch.undo()
    assert path.read_bytes() == before and len(list(saved.iterdir())) == 2


def test_the_temporary_file_is_never_on_another_file_system(saved, monkeypatch):
    """A rename across file systems would be a copy over the live file."""
    moves = []
    plain = os.replace
    monkeypatch.setattr(checkpoint.os, "replace", lambda old, new: (moves.append((old, new)), plain(old, new)))
    AtomicCheckpointIO().save_checkpoint(STATE, saved / "step=16.ckpt")
    ((old, new),) = moves
    assert old.parent == new.parent == saved


def test_content_is_on_disk_before_its_name_and_the_name_before_the_end(saved, monkeypatch):
    happened = []
    for name in ("fsync", "replace"):
        plain = getattr(os, name)
        monkeypatch.setattr(
            checkpoint.os, name, lambda *a, name=name, plain=plain: (happened.append(name), plain(*a))[1]
        )
    AtomicCheckpointIO().save_checkpoint(STATE, saved / "step=16.ckpt")
    assert happened == ["fsync", "replace", "fsync"]


def test_old_ones_go_when_the_new_one_is_known_to_be_whole(saved):
    new = saved / "step=16.ckpt"
    AtomicCheckpointIO().save_checkpoint(STATE, new)
    (saved / "epoch=1-f1=0.5000.ckpt").write_bytes(b"the best")
    content = new.read_bytes()
    new.write_bytes(content[:-1])
    with pytest.raises(OSError, match="check the disk"):
        keep_newest(saved, 1, new)
    assert len(list(saved.iterdir())) == 4
    new.write_bytes(content)
    keep_newest(saved, 2, new)
    assert {path.name for path in saved.iterdir()} == {"step=12.ckpt", "step=16.ckpt", "epoch=1-f1=0.5000.ckpt"}
