from pathlib import Path

import pytest
import torch

from electra_lab.tasks.detection import ConversationAnomalyDetection
from tests.tasks.test_detection import batches, loader, task_of, trainer_of


@pytest.mark.parametrize("supervision", ["kl", "original", "random", "off"])
def test_the_attention_term_is_that_of_the_supervision(koelectra_folder: Path, supervision: str) -> None:
    (batch,) = batches(koelectra_folder, 1)
    task = task_of(koelectra_folder, attention_supervision=supervision, dropout=0.0)
    task.configure_model()
    task.eval()
    detection = task(batch)
    values = task.terms(batch, detection)["attention_loss"]
    assert (values[1::2] == 0).all()  # windows without an anomalous message
    mass = detection.message_mass[batch.message_labels == 1]
    if supervision == "kl":
        torch.testing.assert_close(values[::2], -mass.log())
    elif supervision == "off":
        assert (values == 0).all()
    else:
        assert (values[::2] > 0).all() and not torch.allclose(values[::2], -mass.log())


@pytest.mark.parametrize(("pooling", "supervision"), [("gated", "original"), ("cls", "off"), ("noisy_or", "kl")])
def test_a_task_of_every_pooling_takes_a_step_with_layer_decay(
    koelectra_folder: Path, tmp_path: Path, pooling: str, supervision: str
) -> None:
    options = {"loss": "weighted", "loss_options": {"positive_weight": 3.0}, "layer_decay": 0.5}
    task = task_of(
        koelectra_folder,
        pooling=pooling,
        attention_supervision=supervision,
        learning_rate=0.4,
        warmup_share=0.0,
        **options,
    )
    made = batches(koelectra_folder, 2)
    trainer = trainer_of(tmp_path, max_steps=2, log_every_n_steps=1)
    trainer.fit(task, loader(made), loader(made))
    found = trainer.optimizers[0].param_groups
    assert sorted({round(group["initial_lr"], 6) for group in found}) == [0.05, 0.1, 0.2, 0.4]  # two layers
    assert trainer.callback_metrics["train/learning_rate"].item() == pytest.approx(0.2)  # the highest, half way down


def test_what_cannot_be_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(ValueError, match="off, kl, original, random"):
        ConversationAnomalyDetection("nobody/has-this", attention_supervision="ce")
    with pytest.raises(ValueError, match="cls looks at no message: give it attention_supervision off"):
        ConversationAnomalyDetection("nobody/has-this", pooling="cls")
    with pytest.raises(ValueError, match="positive_weight"):
        ConversationAnomalyDetection("nobody/has-this", loss="weighted")
    with pytest.raises(ValueError, match="attention, gated, cls, noisy_or"):
        ConversationAnomalyDetection("nobody/has-this", pooling="mean")
