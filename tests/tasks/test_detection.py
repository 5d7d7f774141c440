from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from electra_lab.batches import ConversationBatch
from electra_lab.calibration import Calibration
from electra_lab.decisions import LEVELS
from electra_lab.tasks.detection import ConversationAnomalyDetection
from electra_lab.tokenizer import MESSAGE_TOKEN, load_tokenizer, speaker_tokens
from tests.detector_settings import NO_NGRAMS

NUM_MESSAGES = 4  # of a window
ANOMALOUS, USUAL = "약", "밥"


def batches(koelectra_folder: Path, num_batches: int, num_windows: int = 4, seed: int = 0) -> list[ConversationBatch]:
    """Windows of four messages, half of them with one message of another word; two windows a conversation."""
    tokenizer = load_tokenizer(str(koelectra_folder), 2)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    vocabulary = tokenizer.get_vocab()
    marks = [vocabulary[token] for token in (MESSAGE_TOKEN, *speaker_tokens(2))]
    words = [vocabulary[USUAL], vocabulary[ANOMALOUS]]
    random = torch.Generator().manual_seed(seed)
    made = []
    for number in range(num_batches):
        labels = torch.zeros(num_windows, NUM_MESSAGES, dtype=torch.int64)
        labels[::2, torch.randint(NUM_MESSAGES, (1,), generator=random)] = 1
        ids: list[int] = []
        owners, lengths = [], []
        for window, window_labels in enumerate(labels.tolist()):
            start = len(ids)
            ids.append(cls)
            owners.append(-1)
            for message, label in enumerate(window_labels):
                text = [words[label]] * int(torch.randint(1, 4, (1,), generator=random))
                ids += [marks[0], marks[1 + message % 2], *text, sep]
                owners += [window * NUM_MESSAGES + message] * (2 + len(text)) + [-1]
            lengths.append(len(ids) - start)
        first_window = number * num_windows
        made.append(
            ConversationBatch(
                input_ids=torch.tensor(ids),
                position_ids=torch.cat([torch.arange(length) for length in lengths]),
                cu_seq_lens=torch.tensor([0, *lengths]).cumsum(0).int(),
                max_length=max(lengths),
                window_of_token=torch.arange(num_windows).repeat_interleave(torch.as_tensor(lengths)),
                message_of_token=torch.tensor(owners),
                window_of_message=torch.arange(num_windows).repeat_interleave(NUM_MESSAGES),
                message_labels=labels.flatten(),
                window_labels=labels.amax(1),
                message_ids=first_window * NUM_MESSAGES + torch.arange(num_windows * NUM_MESSAGES),
                conversation_of_window=(first_window + torch.arange(num_windows)) // 2,
                position=(0, number),
                **NO_NGRAMS,
            )
        )
    return made


def loader(made: list[ConversationBatch]) -> DataLoader:
    return DataLoader(made, batch_size=None)  # type: ignore[arg-type]


def task_of(koelectra_folder: Path, **settings: object) -> ConversationAnomalyDetection:
    torch.manual_seed(0)
    return ConversationAnomalyDetection(str(koelectra_folder), **settings)  # type: ignore[arg-type]


def trainer_of(folder: Path, **settings: object) -> Trainer:
    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    return Trainer(default_root_dir=folder, **{"enable_checkpointing": False, **quiet, **settings})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(koelectra_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, Path]:
    """A run of 25 steps with two micro-batches each, and its checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    checkpoint = ModelCheckpoint(folder, monitor="val/average_precision", mode="max", save_weights_only=True)
    trainer = trainer_of(
        folder,
        max_epochs=5,
        max_steps=25,
        accumulate_grad_batches=2,
        log_every_n_steps=5,
        enable_checkpointing=True,
        callbacks=[checkpoint],
    )
    task = task_of(koelectra_folder, learning_rate=5e-3, dropout=0.0)
    made = batches(koelectra_folder, 12)
    trainer.fit(task, loader(made[:10]), loader(made[10:]))
    return trainer, Path(checkpoint.best_model_path)


def test_learns_windows_messages_and_conversations(trained: tuple[Trainer, Path]) -> None:
    values = trained[0].callback_metrics
    assert values["val/f1"] == 1
    assert values["val/message_f1"] == 1
    assert values["val/message_average_precision"] == 1
    assert values["train/loss"] < 0.2


def test_no_accumulated_gradient_is_left_over(trained: tuple[Trainer, Path]) -> None:
    # 10 micro-batches an epoch, two a step, five epochs; leftovers once crossed into the next epoch.
    assert trained[0].global_step == 25


def test_logs_only_the_names_it_announces(trained: tuple[Trainer, Path]) -> None:
    logged = set(trained[0].callback_metrics)
    announced = set(ConversationAnomalyDetection.logged_names)
    assert logged <= announced
    # conversations are all anomalous here, one class only: their figures are not measured
    missing = announced - logged
    assert all(name.startswith("test/") or "conversation_" in name for name in missing), missing
    assert "val/conversation_accuracy" in logged


def test_the_terms_of_the_loss_and_their_ratio_are_logged(trained: tuple[Trainer, Path]) -> None:
    """In earlier work the attention's term began at 26 times that of the windows, and nothing said so."""
    values = {name: float(value) for name, value in trained[0].callback_metrics.items()}
    attention = 0.5 * values["train/attention_loss"]
    assert values["train/attention_to_window"] == pytest.approx(attention / values["train/window_loss"])
    together = values["train/window_loss"] + attention + values["train/message_loss"]
    assert values["train/loss"] == pytest.approx(together)


def test_the_learning_rate_has_fallen_to_the_last_step(trained: tuple[Trainer, Path]) -> None:
    # 25 steps, warmup 2 (10 %): the 25th step is taken at 1/23 of the highest rate.
    assert trained[0].callback_metrics["train/learning_rate"].item() == pytest.approx(5e-3 / 23, rel=1e-4)


def test_thresholds_are_of_the_validation_and_travel_with_the_weights(
    trained: tuple[Trainer, Path], koelectra_folder: Path, tmp_path: Path
) -> None:
    path = trained[1]
    saved = torch.load(path, weights_only=True)["calibration"]
    assert list(saved) == list(LEVELS) and all(saved[level]["threshold"] != 0.5 for level in LEVELS[:2])
    assert saved["message"]["temperature"] not in (0.05, 1.0, 20.0)
    assert saved["conversation"] == Calibration()._asdict()  # one class only
    task = task_of(koelectra_folder)
    test = batches(koelectra_folder, 2, seed=9)
    trainer_of(tmp_path).test(task, loader(test), ckpt_path=path, weights_only=True, verbose=False)
    assert {level: values._asdict() for level, values in task.calibration.items()} == saved  # not a bit is rounded
    assert task.collected is not None and task.collected.message_ids.tolist() == list(range(32))
    scores = task.scores(task.collected)
    assert [len(scores[level]) for level in LEVELS] == [8, 32, 4]
    alarms = scores["message"] >= saved["message"]["threshold"]
    assert alarms.tolist() == (task.collected.labels["message"] == 1).tolist()
    unscaled = task.scores(task.collected, is_scaled=False)
    logits = np.log(unscaled["message"] / (1 - unscaled["message"]))
    expected = 1 / (1 + np.exp(-logits / saved["message"]["temperature"]))
    assert scores["message"] == pytest.approx(expected, abs=1e-6)


def test_the_test_changes_no_threshold(trained: tuple[Trainer, Path], koelectra_folder: Path, tmp_path: Path) -> None:
    """Thresholds once were 0.5, or swept on the test itself: with all labels turned round they stay what they were."""
    task = ConversationAnomalyDetection.load_from_checkpoint(trained[1], weights_only=True)
    chosen = dict(task.calibration)
    turned = [
        batch._replace(message_labels=1 - batch.message_labels, window_labels=1 - batch.window_labels)
        for batch in batches(koelectra_folder, 2, seed=9)
    ]
    trainer_of(tmp_path).test(task, loader(turned), verbose=False)
    assert task.calibration == chosen
    trainer_of(tmp_path).validate(task, loader(turned), verbose=False)
    assert task.calibration != chosen


def test_half_precision_rounds_no_threshold(trained: tuple[Trainer, Path], koelectra_folder: Path) -> None:
    """As a buffer of a module in bf16, which `precision: bf16-true` makes, a threshold would have three digits."""
    saved = torch.load(trained[1], weights_only=True)
    task = task_of(koelectra_folder).to(torch.bfloat16)
    task.on_load_checkpoint(saved)
    task.to(torch.bfloat16)
    again: dict[str, dict[str, dict[str, float]]] = {}
    task.on_save_checkpoint(again)
    assert again["calibration"] == saved["calibration"]
    for level in LEVELS[:2]:
        threshold = again["calibration"][level]["threshold"]
        assert float(torch.tensor(threshold).bfloat16()) != threshold


def test_a_checkpoint_of_other_settings_is_not_used(trained: tuple[Trainer, Path], koelectra_folder: Path) -> None:
    for options, expected in (
        ({"decision": "noisy_or"}, "decision max, not noisy_or"),
        ({"threshold_policy": "fpr<=0.01"}, "threshold_policy max_f1, not fpr<=0.01"),
        ({"pooling": "gated"}, "pooling attention, not gated"),
        ({"num_speakers": 3}, "num_speakers 2, not 3"),
    ):
        with pytest.raises(ValueError, match=expected):
            task_of(koelectra_folder, **options).on_load_checkpoint(torch.load(trained[1], weights_only=True))


def test_a_checkpoint_without_temperatures_is_refused(trained: tuple[Trainer, Path], tmp_path: Path) -> None:
    old = torch.load(trained[1], weights_only=True)
    del old["calibration"]
    torch.save(old, tmp_path / "old.ckpt")
    with pytest.raises(ValueError, match="older electra_lab; fine-tune again"):
        ConversationAnomalyDetection.load_from_checkpoint(tmp_path / "old.ckpt", weights_only=True)


def test_a_checkpoint_opens_without_naming_its_settings(trained: tuple[Trainer, Path], koelectra_folder: Path) -> None:
    task = ConversationAnomalyDetection.load_from_checkpoint(trained[1], weights_only=True).eval()
    assert task.hparams["backbone"] == str(koelectra_folder)
    (batch,) = batches(koelectra_folder, 1, seed=5)
    assert torch.equal(task(batch).window_logits.argmax(1), batch.window_labels)


def test_micro_batches_together_are_the_large_batch(koelectra_folder: Path) -> None:
    small = batches(koelectra_folder, 1, num_windows=4)[0]
    task = task_of(koelectra_folder)
    task.configure_model()
    task.eval()
    cut = int(small.cu_seq_lens[2])
    owners = small.message_of_token
    sides = (
        (0, slice(0, cut), slice(0, 2 * NUM_MESSAGES), owners[:cut]),
        (2, slice(cut, None), slice(2 * NUM_MESSAGES, None), (owners[cut:] - 2 * NUM_MESSAGES).clamp(min=-1)),
    )
    halves = [
        small._replace(
            input_ids=small.input_ids[tokens],
            position_ids=small.position_ids[tokens],
            cu_seq_lens=small.cu_seq_lens[first : first + 3] - small.cu_seq_lens[first],
            window_of_token=small.window_of_token[tokens] - first,
            message_of_token=message_of_token,
            window_of_message=small.window_of_message[messages] - first,
            message_labels=small.message_labels[messages],
            window_labels=small.window_labels[first : first + 2],
        )
        for first, tokens, messages, message_of_token in sides
    ]
    whole = {name: values.mean() for name, values in task.terms(small, task(small)).items()}
    parts = [{name: values.mean() for name, values in task.terms(half, task(half)).items()} for half in halves]
    for name, value in whole.items():
        assert torch.stack([part[name] for part in parts]).mean().item() == pytest.approx(value.item(), rel=1e-5)
    assert whole["attention_loss"] > 0


def test_the_sanity_check_chooses_no_threshold(koelectra_folder: Path, tmp_path: Path) -> None:
    task = task_of(koelectra_folder)
    made = batches(koelectra_folder, 2)
    trainer = trainer_of(tmp_path, max_steps=0, num_sanity_val_steps=2)
    trainer.fit(task, loader(made), loader(made))
    assert task.calibration == dict.fromkeys(LEVELS, Calibration())


def test_monitored_names_exist_where_they_are_not_defined(koelectra_folder: Path, tmp_path: Path) -> None:
    task = task_of(koelectra_folder)
    (batch,) = batches(koelectra_folder, 1)
    clean = batch._replace(
        message_labels=torch.zeros_like(batch.message_labels), window_labels=torch.zeros_like(batch.window_labels)
    )
    trainer = trainer_of(tmp_path, max_steps=1, log_every_n_steps=1)
    trainer.fit(task, loader([batch]), loader([clean]))
    values = trainer.callback_metrics
    assert values["val/f1"].isnan() and values["val/average_precision"].isnan()
    assert "val/auroc" not in values and "val/message_f1" not in values


def test_an_unknown_loss_policy_or_decision_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(ValueError, match="focal, cross_entropy"):
        ConversationAnomalyDetection("nobody/has-this", loss="hinge")
    with pytest.raises(ValueError, match="known are max_f1, max_f2"):
        ConversationAnomalyDetection("nobody/has-this", threshold_policy="best")
    with pytest.raises(ValueError, match="known are max, noisy_or"):
        ConversationAnomalyDetection("nobody/has-this", decision="mean")


def test_the_tokens_of_messages_and_speakers_have_rows(koelectra_folder: Path) -> None:
    task = task_of(koelectra_folder, num_speakers=4)
    task.configure_model()
    detector = task.detector
    task.configure_model()  # Lightning calls it again before a test
    assert task.detector is detector and detector is not None
    vocabulary_size = len((koelectra_folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    assert detector.backbone.encoder.config.vocab_size == vocabulary_size + 5
