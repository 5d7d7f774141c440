"""Fine-tuning in half precision, through a Trainer: what is trained, what comes out, and what is made of it."""

from pathlib import Path

import pytest
import torch

from electra_lab.batches import ConversationBatch
from electra_lab.models.detector import Detection
from electra_lab.models.pooling import POOLINGS
from tests.tasks.test_detection import batches, loader, task_of, trainer_of

WEIGHTS = {"bf16-mixed": torch.float32, "bf16-true": torch.bfloat16}


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("precision", WEIGHTS)
def test_every_pooling_is_trained_and_tested(
    koelectra_folder: Path, tmp_path: Path, precision: str, pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bf16-true, float32 means of bf16 states once met bf16 weights, which torch refuses."""
    supervision = "off" if pooling == "cls" else "kl"
    task = task_of(koelectra_folder, pooling=pooling, attention_supervision=supervision, learning_rate=5e-3)
    made = batches(koelectra_folder, 12)
    seen: list[Detection] = []
    terms = task.terms

    def noted(batch: ConversationBatch, found: Detection) -> dict[str, torch.Tensor]:
        seen.append(found)
        return terms(batch, found)

    monkeypatch.setattr(task, "terms", noted)
    trainer = trainer_of(tmp_path, precision=precision, max_steps=6, log_every_n_steps=1)
    trainer.fit(task, loader(made[:10]), loader(made[10:]))
    trainer.test(task, loader(made[10:]), verbose=False)
    assert {parameter.dtype for parameter in task.parameters()} == {WEIGHTS[precision]}
    assert {part.dtype for detection in seen for part in detection} == {torch.float32}
    assert all(part.isfinite().all() for detection in seen for part in detection)
    assert trainer.callback_metrics["test/loss"].isfinite() and task.collected is not None


@pytest.mark.parametrize("precision", WEIGHTS)
def test_half_precision_says_nearly_the_same(koelectra_folder: Path, tmp_path: Path, precision: str) -> None:
    """bf16 has eight bits: a logit of about .1 is off by some thousandths, not by what a lost head would give."""
    (batch,) = batches(koelectra_folder, 1)
    task = task_of(koelectra_folder)
    task.configure_model()
    task.eval()
    with torch.no_grad():
        expected = task(batch)
    predictions = trainer_of(tmp_path, precision=precision).predict(task, loader([batch]))
    assert predictions is not None
    (found,) = predictions
    assert isinstance(found, Detection)
    torch.testing.assert_close(found.window_logits, expected.window_logits, atol=0.01, rtol=0)
    torch.testing.assert_close(found.message_logits, expected.message_logits, atol=0.01, rtol=0)
    assert found.message_logits.std() > 0.02
