"""Nothing is sent or asked for: training, testing and prediction make no connection, nor look up a name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WATCHED = """
import sys
tried = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind"):
        is_local = event in ("socket.connect", "socket.bind") and not isinstance(arguments[1], tuple)  # a Unix socket
        if not is_local:
            tried.append(f"{event} {arguments[1:]}")
            raise OSError("no network here")
sys.addaudithook(watch)
import socket
try:
    socket.create_connection(("192.0.2.1", 9), timeout=1)
except OSError:
    pass
assert len(tried) == 1, "the watch sees nothing"
tried.clear()
"""
FINETUNE = """
from electra_lab.__main__ import main
options = {options!r}
assert main(["finetune", *options]) == 0
assert main(["test", *options, "--checkpoint", str(next(folder.glob("runs/finetune/*/checkpoints/*.ckpt")))]) == 0
"""
PREDICT = """
from electra_lab import load_model_for_inference, predict_conversation
detector = next(folder.glob("runs/finetune/*/detector"))
model, tokenizer = load_model_for_inference(detector)
assert 0 <= predict_conversation(model, tokenizer, ["형 왔어?", "응 지금 가"]).score <= 1
(folder / "chat.txt").write_text("[2019-12-24, 12:23] 가: https://example.com 봐\\n", encoding="utf-8")
assert main(["predict", str(folder / "chat.txt"), "--model", str(detector), "--output", str(folder / "report")]) == 0
assert "example.com" in (folder / "report/report.html").read_text(encoding="utf-8")
"""


@pytest.mark.timeout(300)
def test_fit_test_and_predict_ask_nobody(tmp_path: Path, koelectra_folder: Path) -> None:
    options = [
        *("--run_name", "a", "--output", str(tmp_path / "runs"), "--model.backbone", str(koelectra_folder)),
        *("--data.max_length", "64", "--data.batch_size", "64", "--trainer.accelerator", "cpu"),
        *("--trainer.devices", "1", "--trainer.max_steps", "2", "--trainer.limit_val_batches", "2"),
        *("--trainer.check_val_every_n_epoch", "null", "--trainer.val_check_interval", "2"),
    ]
    parts = [WATCHED, "from pathlib import Path", f"folder = Path({str(tmp_path)!r})"]
    parts += [FINETUNE.format(options=options), PREDICT, "import json; print(json.dumps(tried))"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "WANDB_"))}
    environment |= {"HF_HUB_DISABLE_TELEMETRY": "0", "OMP_NUM_THREADS": "1"}  # nothing but us keeps it silent
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(parts)],
        env=environment,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == []
