"""Ten steps whose losses are on file: a change that should not change the numbers leaves them as they are.

Float64, one thread, dropout on, a vocabulary and a text made here. Where the numbers change on purpose, write them
anew with `python tests/tasks/test_golden.py`, and show both in the message of the commit.
"""

import json
import platform
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from transformers import BertTokenizer

from electra_lab.callbacks.exact_resume import ExactResume
from electra_lab.data.pretraining import PretrainingDataModule
from electra_lab.tasks.pretraining import ReplacedTokenDetection

GOLDEN = Path(__file__).parents[1] / "golden/pretraining_tiny.json"
LOSSES = ("loss", "masked_lm_loss", "discriminator_loss")
WORDS = [f"w{number:02d}" for number in range(60)]
SIZES = {"num_layers": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "embedding_size": 16}


def losses_of_ten_steps(folder, mask_probability=0.15, discriminator_weight=50.0):
    """The losses of each step, from an empty folder on."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    BertTokenizer(vocab=vocabulary, do_lower_case=False).save_pretrained(str(folder / "tokenizer"))
    rng = np.random.default_rng(0)
    lines = [" ".join(WORDS[word] for word in rng.integers(0, 60, rng.integers(4, 30))) for _ in range(60)]
    (folder / "text.txt").write_text("\n\n".join(lines), encoding="utf-8")
    datamodule = PretrainingDataModule(
        str(folder / "text.txt"),
        tokenizer=str(folder / "tokenizer"),
        cache=str(folder / "cache"),
        max_length=32,
        batch_size=8,
        micro_batch_size=4,
        mask_probability=mask_probability,
        seed=0,
    )
    task = ReplacedTokenDetection(
        datamodule.tokenizer_source,
        "tiny",
        {**SIZES, "dropout": 0.1},
        discriminator_weight=discriminator_weight,
        learning_rate=1e-3,
        warmup_steps=3,
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums are taken in one order
    try:
        torch.manual_seed(0)
        rows = _Rows()
        Trainer(
            accelerator="cpu",
            devices=1,
            precision="64-true",
            max_steps=10,
            accumulate_grad_batches=2,
            gradient_clip_val=1.0,
            log_every_n_steps=1,
            limit_val_batches=0,
            callbacks=[ExactResume(0), rows],
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(task, datamodule=datamodule)
    finally:
        torch.set_num_threads(threads)
    return {name: [row[name] for row in rows.rows] for name in LOSSES}


class _Rows(Callback):
    def __init__(self):
        self.rows = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx % 2:
            self.rows.append({name: float(trainer.callback_metrics[f"train/{name}"]) for name in LOSSES})


def largest_difference(losses, golden):
    """Relative, over all steps and losses."""
    return max(float(np.abs(np.array(losses[name]) / golden["losses"][name] - 1).max()) for name in LOSSES)


@pytest.fixture(scope="module")
def golden():
    content = json.loads(GOLDEN.read_text(encoding="utf-8"))
    if content["machine"] != platform.machine():
        pytest.skip(f"dropout draws other numbers on {platform.machine()} than on {content['machine']}")
    return content


def test_the_losses_are_those_on_file(golden, tmp_path):
    assert golden["torch"].split(".")[:2] == torch.__version__.split(".")[:2], "another torch: write the file anew"
    assert largest_difference(losses_of_ten_steps(tmp_path), golden) <= 1e-6


@pytest.mark.parametrize("change", [{"mask_probability": 0.2}, {"discriminator_weight": 49.0}], ids=str)
def test_a_changed_setting_does_not_pass_for_the_same(golden, tmp_path, change):
    assert largest_difference(losses_of_ten_steps(tmp_path, **change), golden) > 1e-3


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        content = {
            "torch": torch.__version__.split("+")[0],
            "machine": platform.machine(),
            "losses": losses_of_ten_steps(Path(temporary)),
        }
    GOLDEN.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {GOLDEN}")
