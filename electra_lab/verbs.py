"""What each verb does with its parsed options."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from electra_lab import bundle, runs
from electra_lab.callbacks.collapse import RecallWarning
from electra_lab.data import nouns
from electra_lab.data.corpus import parse_shard, prepare_corpus
from electra_lab.data.detection import ConversationDataModule
from electra_lab.data.documents import as_list
from electra_lab.data.formats import read_conversations
from electra_lab.data.nouns import write_modified
from electra_lab.data.pretraining import PretrainingDataModule
from electra_lab.models.electra import Electra
from electra_lab.models.pair import pair_tokenizer
from electra_lab.models.sharded import is_sharded
from electra_lab.report.test_run import example_predictions, write_figures
from electra_lab.tasks.detection import LEVELS, ConversationAnomalyDetection
from electra_lab.tasks.pretraining import ReplacedTokenDetection
from electra_lab.tokenizer import assert_can_mask, load_tokenizer

_PRETRAIN_PROGRESS = ("loss", "masked_lm_loss", "masked_lm_accuracy", "discriminator_auroc", "discriminator_recall")
_FINETUNE_PROGRESS = ("loss", "f1", "average_precision", "message_f1", "message_average_precision")
_BEST = "val/average_precision"


def pretrain(config: Namespace, yaml: str) -> None:
    """Pretrain; leave Hugging Face folders of generator and discriminator in the run's folder."""
    folder = runs.start("pretrain", config, yaml)
    task, datamodule = _pretraining(config)
    watchers = [RecallWarning(config.model.warmup_steps)]
    trainer, results = runs.pretrain(config, folder, task, datamodule, _PRETRAIN_PROGRESS, watchers)
    results["validation"] = _without_stage(results["validation"])
    electra = _whole_pair(task, trainer)
    if electra is not None:
        tokenizer = load_tokenizer(datamodule.tokenizer_source)
        bundle.export_pretrained(electra.generator, electra.discriminator, tokenizer, folder, results)
        runs.write_results(folder, results)
        runs.summary(
            folder, {"held-out text": results["validation"]}, ("loss", "masked_lm_loss", "discriminator_auroc")
        )


def finetune(config: Namespace, yaml: str) -> None:
    """Train a detector with early stopping, take the best by validation average precision, test it."""
    folder = runs.start("finetune", config, yaml)
    task, datamodule = _detection(config)
    best = ModelCheckpoint(
        folder / "checkpoints",
        filename="epoch={epoch}-f1={val/f1:.4f}",
        auto_insert_metric_name=False,
        monitor=_BEST,
        mode="max",
        save_weights_only=True,
    )
    stopping = EarlyStopping(_BEST, patience=config.patience, mode="max", strict=False)
    trainer = runs.make_trainer(config, folder, task, datamodule, _FINETUNE_PROGRESS, [best, stopping])
    started = time.monotonic()
    trainer.fit(task, datamodule=datamodule)
    results = runs.facts(task, trainer, time.monotonic() - started)
    if not best.best_model_path:
        raise ValueError(
            "the run ended before its first validation: give more trainer.max_steps, or a smaller "
            "trainer.val_check_interval"
        )
    results |= {"best_checkpoint": Path(best.best_model_path).name, "data": datamodule.summary()}
    validation = trainer.validate(task, datamodule=datamodule, ckpt_path=best.best_model_path, verbose=False)[0]
    results["validation"] = _without_stage(validation)
    if config.test:
        trainer.test(task, datamodule=datamodule, verbose=False)  # with the best weights, loaded a line above
        results["test"] = task.test_results
    if trainer.is_global_zero:
        datamodule.write_splits(folder)
        _save_detector(config, folder, task, results["steps"])
        if config.test:
            results["examples"] = _look_at_test(task, datamodule, folder)
        runs.write_results(folder, results)
        runs.summary(folder, results.get("test", {"validation": results["validation"]}), runs.DETECTION_FIGURES)


def test(config: Namespace, yaml: str) -> None:
    """Test a checkpoint of `finetune` with its own thresholds, on the test part of the data that is given."""
    folder = runs.start("test", config, yaml)
    checkpoint = Path(config.checkpoint)
    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint}: no such checkpoint; look into the checkpoints/ of a finetune run")
    task, datamodule = _detection(config)
    trainer = runs.make_trainer(config, folder, task, datamodule, _FINETUNE_PROGRESS, [])
    trainer.test(task, datamodule=datamodule, ckpt_path=str(checkpoint), verbose=False)
    if trainer.is_global_zero:
        results = {"checkpoint": str(checkpoint), "data": datamodule.summary(), "test": task.test_results}
        results["examples"] = _look_at_test(task, datamodule, folder)
        runs.write_results(folder, results)
        runs.summary(folder, task.test_results, runs.DETECTION_FIGURES)


def prepare(config: Namespace, yaml: str) -> None:
    """Tokenise and pack a corpus; `pretrain` with the same options finds it made."""
    runs.log_to(None)
    shard = parse_shard(config.shard)
    datamodule = PretrainingDataModule(**_with_tokenizer(config), seed=config.seed)
    prepare_corpus(datamodule.settings, datamodule.folder, shard)
    if datamodule.folder.is_dir():  # no other share is missing
        print(datamodule.folder)


def modify(
    paths: list[str] | str,
    output: str,
    share: float = 0.7,
    nouns_per_conversation: int = 3,
    words: str | None = None,
    seed: int = 42,
) -> None:
    """Replace nouns in raw conversations: labelled data for `finetune`, one file a conversation.

    Args:
        paths: Files or folders of conversations (NIKL Messenger or JSONL).
        output: A new folder.
        share: Share of the conversations that are changed.
        nouns_per_conversation: Different nouns that are exchanged in each.
        words: A text file of words to put in, one a line. If not given, nouns of other conversations.
        seed: The same seed makes the same choices.
    """
    runs.log_to(None)
    chosen = None if words is None else [word for word in Path(words).read_text(encoding="utf-8").split("\n") if word]
    conversations = read_conversations(as_list(paths) or [])
    numbers = write_modified(nouns.modify(conversations, share, nouns_per_conversation, chosen, seed), output)
    print(f"{output}: " + ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in numbers.items()))


def _pretraining(config: Namespace) -> tuple[ReplacedTokenDetection, PretrainingDataModule]:
    """Task and data that go together; what cannot be is refused here, before a corpus is prepared."""
    model = config.model
    datamodule = PretrainingDataModule(**_with_tokenizer(config), seed=config.seed)
    task = ReplacedTokenDetection(tokenizer=datamodule.tokenizer_source, **model)
    if task.max_positions < config.data.max_length:
        raise ValueError(
            f"data.max_length is {config.data.max_length}, but the networks have {task.max_positions} positions"
        )
    return task, datamodule


def _whole_pair(task: ReplacedTokenDetection, trainer: Trainer) -> Electra | None:
    """The networks on the first rank, with all their weights even if it has held a part of them; None on others."""
    assert task.electra is not None
    if not is_sharded(task.electra):
        return task.electra if trainer.is_global_zero else None
    weights = trainer.strategy.lightning_module_state_dict()  # on the first rank; all of them must ask
    whole = ReplacedTokenDetection(**task.hparams)
    if trainer.is_global_zero:
        whole.configure_model()
        whole.load_state_dict(weights)
    return whole.electra


def _with_tokenizer(config: Namespace) -> dict[str, Any]:
    """The data's options, with the tokenizer that a released pair brings unless another is given."""
    options = vars(config.data)
    if config.model.generator and config.model.discriminator:
        brought = pair_tokenizer(config.model.generator, config.model.discriminator)
        options = {**options, "tokenizer": options["tokenizer"] or brought}
    if options["tokenizer"]:
        assert_can_mask(load_tokenizer(options["tokenizer"]))
    return options


def _detection(config: Namespace) -> tuple[ConversationAnomalyDetection, ConversationDataModule]:
    backbone = config.model.backbone
    if backbone.startswith(config.output) and not Path(backbone).is_dir():
        raise FileNotFoundError(
            f"no encoder at {backbone}; run `make pretrain` first, or give one: "
            "make finetune BACKBONE=monologg/koelectra-base-v3-discriminator (a Hugging Face name or a folder)"
        )
    task = ConversationAnomalyDetection(**config.model)
    options = {"tokenizer": backbone, "num_speakers": config.model.num_speakers, "seed": config.seed}
    return task, ConversationDataModule(**config.data, **options)


def _save_detector(config: Namespace, folder: Path, task: ConversationAnomalyDetection, steps: int) -> None:
    assert task.detector is not None
    settings = bundle.DetectorSettings(
        window=config.data.window,
        stride=config.data.stride,
        max_length=config.data.max_length,
        num_speakers=config.model.num_speakers,
        dropout=config.model.dropout,
        thresholds=dict(zip(LEVELS, task.thresholds.tolist(), strict=True)),
        trained_on="given conversations" if config.data.paths else "made-up conversations (embedded in electra_lab)",
        backbone=config.model.backbone,
        steps=steps,
    )
    tokenizer = load_tokenizer(config.model.backbone, config.model.num_speakers)
    bundle.save_detector(task.detector, tokenizer, settings, folder / "detector", task.test_results)


def _look_at_test(
    task: ConversationAnomalyDetection, datamodule: ConversationDataModule, folder: Path
) -> dict[str, Any]:
    assert task.collected is not None
    write_figures(task.test_results, task.predictions, folder)
    threshold = float(task.thresholds[LEVELS.index("message")])
    return example_predictions(task.collected, datamodule.split("test"), threshold)


def _without_stage(values: Mapping[str, float]) -> dict[str, float]:
    """`val/loss` as `loss`."""
    return {name.split("/", 1)[1]: value for name, value in values.items()}
