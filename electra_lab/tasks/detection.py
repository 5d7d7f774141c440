"""ConversationAnomalyDetection: fine-tunes an encoder to find anomalous windows, messages and conversations."""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from numpy.typing import NDArray
from torch import Tensor

from electra_lab import losses, optim
from electra_lab.batches import ConversationBatch
from electra_lab.calibration import Calibration, check_policy
from electra_lab.decisions import LEVELS, calibrate, conversation_rule, level_scores
from electra_lab.metrics import Collected, DetectionMetrics, MeanTerms, detection_figures
from electra_lab.models.backbone import load_backbone
from electra_lab.models.detector import Detection, Detector
from electra_lab.models.pooling import pooling_named
from electra_lab.steps import is_logged, total_steps
from electra_lab.tokenizer import load_tokenizer

FIGURES = ("f1", "average_precision", "auroc", "precision", "recall", "accuracy")
TERMS = ("window_loss", "attention_loss", "message_loss")
_MONITORED = ("f1", "average_precision")  # of windows: a checkpoint needs them even where they are not defined


class ConversationAnomalyDetection(LightningModule):
    """Fine-tunes an encoder to find anomalous windows, messages and conversations.

    Args:
        backbone: The encoder's name or folder, its tokenizer with it.
        num_speakers: Speakers told apart by a token of their own; the last one is shared by all beyond.
        dropout: In the head that decides about a window.
        encoder_dropout: In the encoder, where it is not what its configuration says; one that was pretrained without
            needs some for few labels.
        pooling: What a window is decided by: attention, gated, cls, or noisy_or (its messages' scores, no other head).
        ngrams: Whether a linear model of character n-grams adds to the encoder's message scores.
        ngram_learning_rate: Highest learning rate of its weights, which are many and of which a message has few.
        loss: Of a window: focal, cross_entropy or weighted.
        loss_options: The loss's own options, e.g. {gamma: 2, alpha: .25}; weighted needs {positive_weight: 24}.
        attention_supervision: What the pooling's attention is moved to: kl (the anomalous messages), original (the same
            as earlier work did it), random (any messages, to compare with) or off.
        attention_weight: Of the term that moves the pooling's attention.
        message_weight: Of the message scores' loss.
        learning_rate: Highest learning rate.
        layer_decay: Factor of the learning rate from each of the encoder's layers to the one below; 1 = all the same.
        weight_decay: Of matrices and tables; biases and normalisation have none.
        warmup_share: Share of all optimizer steps over which the learning rate rises from 0.
        threshold_policy: What the thresholds are chosen for on validation: max_f1, max_f2, fpr<=0.01, precision>=0.9.
        decision: A conversation's score from its windows': max, noisy_or, or K_of_last_N (2_of_last_3).
    """

    logged_names = (
        "train/loss",
        *(f"train/{term}" for term in TERMS),
        "train/attention_to_window",
        "train/learning_rate",
        "train/gradient_norm",
        *(
            f"{stage}/{name}"
            for stage in ("val", "test")
            for name in (
                "loss",
                *FIGURES,
                *(f"message_{figure}" for figure in FIGURES),
                *(f"conversation_{figure}" for figure in FIGURES),
            )
        ),
    )

    def __init__(
        self,
        backbone: str,
        num_speakers: int = 2,
        dropout: float = 0.3,
        encoder_dropout: float | None = None,
        pooling: str = "attention",
        ngrams: bool = False,
        ngram_learning_rate: float = 0.3,
        loss: str = "focal",
        loss_options: dict[str, float] | None = None,
        attention_supervision: str = "kl",
        attention_weight: float = 0.5,
        message_weight: float = 1.0,
        learning_rate: float = 2e-5,
        layer_decay: float = 1.0,
        weight_decay: float = 0.01,
        warmup_share: float = 0.1,
        threshold_policy: str = "max_f1",
        decision: str = "max",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.window_loss = losses.window_loss(loss, loss_options)
        self.attention_loss = losses.attention_supervision(attention_supervision)
        pooling_named(pooling)
        if pooling == "cls" and attention_supervision != "off":
            raise ValueError("the pooling cls looks at no message: give it attention_supervision off")
        check_policy(threshold_policy)
        self.rule = conversation_rule(decision)
        self.calibration = {level: Calibration() for level in LEVELS}  # no buffer: bf16-true would round it
        self.train_terms = MeanTerms(TERMS)
        self.evaluation_terms = MeanTerms(TERMS)
        self.metrics = DetectionMetrics()
        self.detector: Detector | None = None
        self.collected: Collected | None = None  # after a test: what was said about it

    def configure_model(self) -> None:
        if self.detector is None:
            tokenizer = load_tokenizer(self.hparams["backbone"], self.hparams["num_speakers"])
            backbone = load_backbone(self.hparams["backbone"], len(tokenizer), self.hparams["encoder_dropout"])
            hparams = self.hparams
            self.detector = Detector(backbone, hparams["dropout"], hparams["pooling"], hparams["ngrams"])

    def on_fit_start(self) -> None:
        assert self.detector is not None
        longest = self.detector.backbone.max_positions
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is not None and datamodule.max_length > longest:  # said now, not at the first window as long
            raise ValueError(
                f"max_length is {datamodule.max_length}, but the encoder has positions for at most {longest} tokens"
            )

    def forward(self, batch: ConversationBatch) -> Detection:
        assert self.detector is not None, "Lightning calls configure_model first"
        return self.detector(batch)

    def terms(self, batch: ConversationBatch, detection: Detection) -> dict[str, Tensor]:
        """The three losses of each window, (W,) each.

        A micro-batch always has the same number of windows, so the mean over its windows, Lightning's mean over
        micro-batches and DDP's over devices give the mean over the whole optimizer step.
        """
        num_windows = len(batch.window_labels)
        where = (batch.message_labels, batch.window_of_message, num_windows)
        # each part by itself: an encoder that knows the training by heart would leave the n-grams no error
        message_losses = [losses.message_loss(part, *where) for part in detection.message_parts]
        return {
            "window_loss": self.window_loss(detection.window_logits, batch.window_labels),
            "attention_loss": self.attention_loss(detection.attention, detection.message_mass, batch),
            "message_loss": torch.stack(message_losses).sum(0),
        }

    def training_step(self, batch: ConversationBatch, batch_idx: int) -> Tensor:
        terms = self.terms(batch, self(batch))
        if is_logged(self.trainer, self.trainer.global_step + 1):
            self.train_terms.update(terms)
        return self._total({name: values.mean() for name, values in terms.items()})

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if is_logged(self.trainer, self.trainer.global_step + 1):
            means = self.train_terms.compute()
            self.train_terms.reset()
            attention = self.hparams["attention_weight"] * means["attention_loss"]
            gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
            self.log("train/loss", self._total(means), prog_bar=True)
            self.log_dict(
                {
                    **{f"train/{name}": mean for name, mean in means.items()},
                    "train/attention_to_window": attention / means["window_loss"],  # earlier work began at 26
                    "train/learning_rate": optimizer.param_groups[0]["lr"],
                    "train/gradient_norm": torch.nn.utils.get_total_norm(gradients),  # before clipping
                }
            )

    def on_validation_epoch_start(self) -> None:
        self._forget()

    def validation_step(self, batch: ConversationBatch, batch_idx: int) -> None:
        self._evaluate(batch)

    def on_validation_epoch_end(self) -> None:
        if self.trainer.sanity_checking:
            return
        collected = self.metrics.collect()
        policy = self.hparams["threshold_policy"]  # before the checkpoint is written: it is saved with the weights
        self.calibration = calibrate(collected.logits, collected.labels, policy, self.rule)
        self._log_figures("val", collected)

    def on_test_epoch_start(self) -> None:
        self._forget()

    def test_step(self, batch: ConversationBatch, batch_idx: int) -> None:
        self._evaluate(batch)

    def on_test_epoch_end(self) -> None:
        self.collected = self.metrics.collect()
        self._log_figures("test", self.collected)

    def scores(self, collected: Collected, is_scaled: bool = True) -> dict[str, NDArray[np.float64]]:
        """Probabilities of each level; without the temperatures as the network gives them."""
        temperatures = {level: self.calibration[level].temperature if is_scaled else 1.0 for level in LEVELS}
        return level_scores(collected.logits, temperatures, self.rule)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["calibration"] = {level: values._asdict() for level, values in self.calibration.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "calibration" not in checkpoint:
            raise ValueError("the checkpoint has no temperatures: it is of an older electra_lab; fine-tune again")
        # these the weights are made for, or the thresholds
        for name in ("pooling", "ngrams", "num_speakers", "threshold_policy", "decision"):
            chosen, given = checkpoint["hyper_parameters"][name], self.hparams[name]
            if chosen != given:
                raise ValueError(f"the checkpoint is of {name} {chosen}, not {given}: give {chosen}")
        self.calibration = {level: Calibration(**checkpoint["calibration"][level]) for level in LEVELS}

    def configure_optimizers(self) -> Any:
        precision, rate = str(self.trainer.precision), self.hparams["learning_rate"]
        optimizer = optim.adamw(self.parameter_groups(), rate, precision=precision)
        total = total_steps(self.trainer)
        warmup = round(self.hparams["warmup_share"] * total)
        return optim.scheduled(optimizer, lambda step: optim.linear(step, warmup, total))

    def parameter_groups(self) -> list[optim.ParameterGroup]:
        """The parameters by learning rate and weight decay."""
        assert self.detector is not None
        hparams, ngrams = self.hparams, self.detector.ngrams
        own = {} if ngrams is None else dict.fromkeys(ngrams.parameters(), hparams["ngram_learning_rate"])
        decay, rate, layer_decay = (hparams[name] for name in ("weight_decay", "learning_rate", "layer_decay"))
        return optim.layerwise_groups(self, self.detector.backbone.encoder, decay, rate, layer_decay, own)

    def _total(self, terms: dict[str, Tensor]) -> Tensor:
        attention = self.hparams["attention_weight"] * terms["attention_loss"]
        return terms["window_loss"] + attention + self.hparams["message_weight"] * terms["message_loss"]

    def _evaluate(self, batch: ConversationBatch) -> None:
        detection = self(batch)
        self.evaluation_terms.update(self.terms(batch, detection))
        self.metrics.update(
            detection.window_logits,
            batch.window_labels,
            batch.conversation_of_window,
            detection.message_logits,
            batch.message_labels,
            batch.message_ids,
            batch.window_of_message,
        )

    def _forget(self) -> None:
        self.metrics.reset()
        self.evaluation_terms.reset()

    def _log_figures(self, stage: str, collected: Collected) -> None:
        """Log what is defined: with one class only most figures are not."""
        scores = self.scores(collected)
        figures = {}
        for level in LEVELS:
            known = collected.labels[level] >= 0
            threshold = self.calibration[level].threshold
            figures[level] = detection_figures(scores[level][known], collected.labels[level][known], threshold)
        values: dict[str, Any] = {f"{stage}/loss": self._total(self.evaluation_terms.compute())}
        for level, prefix in zip(LEVELS, ("", "message_", "conversation_"), strict=True):
            for name in FIGURES:
                value = figures[level][name]
                if value is not None:
                    values[f"{stage}/{prefix}{name}"] = value
                elif level == "window" and name in _MONITORED:
                    values[f"{stage}/{name}"] = torch.nan
        self.log_dict(values, sync_dist=True)
