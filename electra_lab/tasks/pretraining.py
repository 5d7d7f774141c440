"""ReplacedTokenDetection: trains a generator to fill masked tokens and a discriminator to find the replaced ones."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import ElectraForMaskedLM, ElectraForPreTraining

from electra_lab import optim
from electra_lab.batches import PretrainingBatch
from electra_lab.metrics import PretrainingMetrics
from electra_lab.models.electra import Electra, ElectraOutput, electra_configs, preset_sizes
from electra_lab.steps import is_logged, total_steps
from electra_lab.tokenizer import load_tokenizer

METRICS = (
    "masked_lm_loss",
    "masked_lm_accuracy",
    "sampled_accuracy",
    "discriminator_loss",
    "discriminator_accuracy",
    "discriminator_precision",
    "discriminator_recall",
    "discriminator_auroc",
    "replaced_rate",
    "all_original_accuracy",
)


class ReplacedTokenDetection(LightningModule):
    """Trains a generator to fill masked tokens and a discriminator to find the replaced ones.

    Args:
        tokenizer: The tokenizer's name or folder; the vocabulary is read from it.
        preset: Sizes of the networks: tiny, small, small++, base or large.
        sizes: Sizes that differ from the preset, e.g. {hidden_size: 64}.
        discriminator_weight: Lambda: weight of the discriminator's loss beside the generator's.
        learning_rate: Highest learning rate.
        warmup_steps: Optimizer steps over which it rises from 0.
        weight_decay: Of matrices and tables; biases and LayerNorm have none.
    """

    logged_names = (
        "train/loss",
        *(f"train/{name}" for name in METRICS),
        "train/learning_rate",
        "train/gradient_norm",
        "val/loss",
        *(f"val/{name}" for name in METRICS),
    )

    def __init__(
        self,
        tokenizer: str,
        preset: str = "small",
        sizes: dict[str, float] | None = None,
        discriminator_weight: float = 50.0,
        learning_rate: float = 5e-4,
        warmup_steps: int = 10_000,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.sizes = preset_sizes(preset, sizes)
        self.train_metrics = PretrainingMetrics()
        self.val_metrics = PretrainingMetrics()
        self.electra: Electra | None = None

    def configure_model(self) -> None:
        if self.electra is None:
            tokenizer = load_tokenizer(self.hparams["tokenizer"])
            configs = electra_configs(self.sizes, len(tokenizer), int(tokenizer.pad_token_id))
            self.electra = Electra(ElectraForMaskedLM(configs[0]), ElectraForPreTraining(configs[1]))

    def forward(self, batch: PretrainingBatch) -> ElectraOutput:
        assert self.electra is not None, "Lightning calls configure_model first"
        return self.electra(batch)

    def losses(self, batch: PretrainingBatch, output: ElectraOutput) -> tuple[Tensor, Tensor]:
        """Sums over chosen positions and over real tokens, divided by the batch's share of the optimizer step.

        Lightning's mean over micro-batches and DDP's over devices then give the mean over the whole step exactly,
        however its tokens are spread (https://github.com/huggingface/transformers/issues/34242 is the other way).
        """
        masked_lm = (output.masked_nll * batch.masked_weights).sum() / batch.num_masked
        per_token = binary_cross_entropy_with_logits(
            output.discriminator_logits, output.labels.float(), reduction="none"
        )
        return masked_lm, (per_token * batch.attention_mask).sum() / batch.num_tokens

    def training_step(self, batch: PretrainingBatch, batch_idx: int) -> Tensor:
        output = self(batch)
        masked_lm, discriminator = self.losses(batch, output)
        if is_logged(self.trainer, self.trainer.global_step + 1):
            _update(self.train_metrics, batch, output)
        return masked_lm + self.hparams["discriminator_weight"] * discriminator

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if is_logged(self.trainer, self.trainer.global_step + 1):
            values = self._values("train", self.train_metrics)
            gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
            values["train/gradient_norm"] = torch.nn.utils.get_total_norm(gradients)  # before clipping
            values["train/learning_rate"] = optimizer.param_groups[0]["lr"]
            self.log("train/loss", values.pop("train/loss"), prog_bar=True)
            self.log_dict(values)

    def on_validation_epoch_start(self) -> None:
        self.val_metrics.reset()

    def validation_step(self, batch: PretrainingBatch, batch_idx: int) -> None:
        # The draw is the same at every validation, and training does not notice that there was one.
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(batch.position[1])
            _update(self.val_metrics, batch, self(batch))

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self._values("val", self.val_metrics))

    def configure_optimizers(self) -> Any:
        hparams = self.hparams
        optimizer = optim.adamw(optim.parameter_groups(self, hparams["weight_decay"]), hparams["learning_rate"])
        total = total_steps(self.trainer)
        return optim.scheduled(optimizer, lambda step: optim.linear(step, hparams["warmup_steps"], total))

    def _values(self, stage: str, metrics: PretrainingMetrics) -> dict[str, Any]:
        values = metrics.compute()
        metrics.reset()
        total = values["masked_lm_loss"] + self.hparams["discriminator_weight"] * values["discriminator_loss"]
        return {f"{stage}/loss": total, **{f"{stage}/{name}": values[name] for name in METRICS}}


def _update(metrics: PretrainingMetrics, batch: PretrainingBatch, output: ElectraOutput) -> None:
    original_ids = batch.input_ids.gather(1, batch.masked_positions)
    metrics.update(
        output.masked_nll.detach(),
        batch.masked_weights,
        output.argmax_ids == original_ids,
        output.sampled_ids == original_ids,
        output.discriminator_logits.detach(),
        output.labels,
        batch.attention_mask,
    )
