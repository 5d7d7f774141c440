"""What each verb does with its parsed options."""

import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from electra_lab import bundle, runs
from electra_lab.callbacks.collapse import RecallWarning
from electra_lab.checkpoint import remove_resumable
from electra_lab.data import injection, nouns
from electra_lab.data.corpus import parse_shard, prepare_corpus
from electra_lab.data.detection import ConversationDataModule
from electra_lab.data.documents import as_list
from electra_lab.data.formats import read_conversations
from electra_lab.data.lexicon import read_lexicon
from electra_lab.data.modified_writer import ModifiedConversation, prevalence, write_modified
from electra_lab.data.parts import part_of
from electra_lab.data.pretraining import PretrainingDataModule
from electra_lab.data.sources import read_sources
from electra_lab.decisions import LEVELS
from electra_lab.evaluation import aligned, evaluate, measurable
from electra_lab.models.electra import Electra
from electra_lab.models.pair import pair_tokenizer
from electra_lab.models.sharded import is_sharded
from electra_lab.report.test_run import example_predictions, table, write_figures
from electra_lab.tasks.detection import ConversationAnomalyDetection
from electra_lab.tasks.pretraining import ReplacedTokenDetection
from electra_lab.tokenizer import assert_can_mask, load_tokenizer

_PRETRAIN_PROGRESS = ("loss", "masked_lm_loss", "masked_lm_accuracy", "discriminator_auroc", "discriminator_recall")
_FINETUNE_PROGRESS = ("loss", "f1", "average_precision", "message_f1", "message_average_precision")
_BEST = "val/average_precision"


def pretrain(config: Namespace, yaml: str) -> None:
    """Pretrain; leave Hugging Face folders of generator and discriminator in the run's folder."""
    folder = runs.start("pretrain", config, yaml)
    if runs.is_finished(folder):
        return
    task, datamodule = _pretraining(config)
    watchers = [RecallWarning(config.model.warmup_steps)]
    trainer, results = runs.pretrain(config, folder, task, datamodule, _PRETRAIN_PROGRESS, watchers)
    results["validation"] = _without_stage(results["validation"])
    electra = _whole_pair(task, trainer)
    if electra is not None:
        tokenizer = load_tokenizer(datamodule.tokenizer_source)
        bundle.export_pretrained(electra.generator, electra.discriminator, tokenizer, folder, results)
        runs.write_results(folder, results, trainer)
        runs.summary(
            folder, {"held-out text": results["validation"]}, ("loss", "masked_lm_loss", "discriminator_auroc")
        )


def finetune(config: Namespace, yaml: str) -> None:
    """Train a detector with early stopping, take the best by validation average precision, test it."""
    folder = runs.start("finetune", config, yaml)
    if runs.is_finished(folder):
        return
    task, datamodule = _detection(config)
    best = ModelCheckpoint(
        folder / "checkpoints",
        filename="epoch={epoch}-f1={val/f1:.4f}",
        auto_insert_metric_name=False,
        monitor=_BEST,
        mode="max",
        save_weights_only=True,
        enable_version_counter=False,  # a resumed run comes to the same best weights again
    )
    # where all validation windows are anomalous there is no such figure, which is no reason to stop at once
    stopping = EarlyStopping(_BEST, patience=config.patience, mode="max", strict=False, check_finite=False)
    resumed = runs.resumed_from(config, folder)
    trainer = runs.make_trainer(config, folder, task, datamodule, _FINETUNE_PROGRESS, [best, stopping])
    started = time.monotonic()
    trainer.fit(task, datamodule=datamodule, ckpt_path=resumed)
    results = runs.facts(task, trainer, time.monotonic() - started)
    if not best.best_model_path:
        raise ValueError(
            "the run ended before its first validation: give more trainer.max_steps, or a smaller "
            "trainer.val_check_interval"
        )
    results |= {"best_checkpoint": Path(best.best_model_path).name, "data": datamodule.summary()}
    measured = trainer.validate(task, datamodule=datamodule, ckpt_path=best.best_model_path, verbose=False)[0]
    results["validation"] = validation = _without_stage(measured)
    if config.test:
        started = time.monotonic()
        trainer.test(task, datamodule=datamodule, verbose=False)  # with the best weights, loaded a line above
        results["windows_per_second"] = round(len(datamodule.windows("test")) / (time.monotonic() - started), 1)
    if trainer.is_global_zero:
        datamodule.write_splits(folder)
        if best.best_model_score is not None and not math.isfinite(best.best_model_score):
            runs.log.warning("all validation windows are anomalous: no epoch is the best, the first is kept")
        results |= _calibration(task)
        if config.test:
            results |= _tested(task, datamodule, folder)
        _save_detector(config, folder, task, results["steps"], results.get("test", {}))
        runs.write_results(folder, results, trainer)
        remove_resumable(folder / "checkpoints")  # the detector is there, and they are three times its size
        untested = {} if config.test else {"validation": validation}
        runs.summary(folder, untested, runs.DETECTION_FIGURES)


def test(config: Namespace, yaml: str) -> None:
    """Test a checkpoint of `finetune` with its own thresholds, on the test part of the data that is given."""
    folder = runs.start("test", config, yaml)
    checkpoint = Path(config.checkpoint)
    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint}: no such checkpoint; look into the checkpoints/ of a finetune run")
    if not is_zipfile(checkpoint):
        raise ValueError(f"{checkpoint} is not a checkpoint; look into the checkpoints/ of a finetune run")
    task, datamodule = _detection(config)
    trainer = runs.make_trainer(config, folder, task, datamodule, _FINETUNE_PROGRESS, [])
    trainer.test(task, datamodule=datamodule, ckpt_path=str(checkpoint), verbose=False)
    if trainer.is_global_zero:
        results = {"checkpoint": str(checkpoint), "data": datamodule.summary()}
        results |= _calibration(task) | _tested(task, datamodule, folder)
        runs.write_results(folder, results, trainer)
        runs.summary(folder, {}, ())


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
    share: float | None = None,
    nouns_per_conversation: int = 3,
    words: str | None = None,
    sources: list[str] | str | None = None,
    harmless: list[str] | str | None = None,
    most: int = 4,
    placement: str = "mixed",
    host_messages: int | None = None,
    seed: int = 42,
) -> None:
    """Replace nouns in raw conversations, or insert messages: labelled data for `finetune`, one file a conversation.

    Args:
        paths: Files or folders of conversations (NIKL Messenger or JSONL).
        output: A new folder.
        share: Share of the conversations that are made anomalous: 0.7 by nouns, 0.15 by insertions if not given.
        nouns_per_conversation: Different nouns that are exchanged in each.
        words: Words to put in, one a line or a YAML list. If not given, nouns of other conversations.
        sources: JSONL files of anomalous texts to insert, instead of exchanging nouns.
        harmless: JSONL files of foreign but harmless texts; as many conversations get one of these.
        most: Messages of an insertion, at most.
        placement: How they are inserted: "together", "scattered" or "mixed".
        host_messages: Cut longer conversations into ones of so many messages; then train with the split contiguous.
        seed: The same seed makes the same choices.
    """
    runs.log_to(None)
    if harmless and not sources:
        raise ValueError("--harmless goes with --sources: harmless insertions match the anomalous ones")
    conversations = read_conversations(as_list(paths) or [])
    if host_messages is not None:
        conversations = iter(injection.blocks(conversations, host_messages))
    modified: Iterable[ModifiedConversation]
    if sources:
        anomalous, foreign = (read_sources(as_list(files) or []) for files in (sources, harmless))
        share = 0.15 if share is None else share
        harmless_share = share if harmless else 0.0
        modified = injection.inject(
            conversations, anomalous, foreign, share, harmless_share, 0.0, most, placement, seed
        )
    else:
        chosen = None if words is None else read_lexicon(words)
        modified = nouns.modify(conversations, 0.7 if share is None else share, nouns_per_conversation, chosen, seed)
    print(f"{output}: {prevalence(write_modified(modified, output))}")


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
    if (config.model.pooling, config.data.context) == ("cls", "message"):
        raise ValueError(
            "model.pooling cls reads the first token of a window, which with data.context message has seen one "
            "message only; choose another pooling, or data.context window"
        )
    task = ConversationAnomalyDetection(**config.model)
    same = {name: config.model[name] for name in ("num_speakers", "ngrams")}
    return task, ConversationDataModule(**config.data, **same, tokenizer=backbone, seed=config.seed)


def _save_detector(
    config: Namespace,
    folder: Path,
    task: ConversationAnomalyDetection,
    steps: int,
    figures: Mapping[str, Mapping[str, object]],
) -> None:
    assert task.detector is not None
    settings = bundle.DetectorSettings(
        window=config.data.window,
        stride=config.data.stride,
        max_length=config.data.max_length,
        context=config.data.context,
        num_speakers=config.model.num_speakers,
        dropout=config.model.dropout,
        pooling=config.model.pooling,
        ngrams=config.model.ngrams,
        temperatures={level: values.temperature for level, values in task.calibration.items()},
        thresholds={level: values.threshold for level, values in task.calibration.items()},
        review_thresholds={level: values.review for level, values in task.calibration.items()},
        threshold_policy=config.model.threshold_policy,
        decision=config.model.decision,
        trained_on="given conversations" if config.data.paths else bundle.MADE_UP,
        backbone=config.model.backbone,
        steps=steps,
    )
    tokenizer = load_tokenizer(config.model.backbone, config.model.num_speakers)
    bundle.save_detector(task.detector, tokenizer, settings, folder / "detector", figures)


def _calibration(task: ConversationAnomalyDetection) -> dict[str, Any]:
    """What the validation part has chosen; a policy that it cannot keep is said."""
    policy = task.hparams["threshold_policy"]
    for level, values in task.calibration.items():
        if not values.is_met:
            said = "no threshold for %ss is known to find anything within %s on the validation part; it is %.3f"
            runs.log.warning(said, level, policy, values.threshold)
    chosen = {level: values._asdict() for level, values in task.calibration.items()}
    return {"calibration": {"threshold_policy": policy, "decision": task.hparams["decision"], **chosen}}


def _tested(task: ConversationAnomalyDetection, datamodule: ConversationDataModule, folder: Path) -> dict[str, Any]:
    """The figures of the test part, with pictures in the folder and a table in the log; and example messages."""
    assert task.collected is not None
    part = part_of(datamodule.windows("test"))
    scores, unscaled = (
        aligned(part, task.collected, task.scores(task.collected, is_scaled)) for is_scaled in (True, False)
    )
    thresholds = {level: values.threshold for level, values in task.calibration.items()}
    assert scores.message is not None
    figures = evaluate(part, scores, thresholds, unscaled=unscaled)
    write_figures(figures, {level: measurable(part, level, getattr(scores, level))[:2] for level in LEVELS}, folder)
    for line in table(figures):
        runs.log.info(line)
    return {"test": figures, "examples": example_predictions(part, scores.message, thresholds["message"])}


def _without_stage(values: Mapping[str, float]) -> dict[str, float]:
    """`val/loss` as `loss`."""
    return {name.split("/", 1)[1]: value for name, value in values.items()}
