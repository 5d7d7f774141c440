"""ReplacedTokenDetection: trains a generator to fill masked tokens and a discriminator to find the replaced ones."""

import logging
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.functional import binary_cross_entropy_with_logits

from electra_lab import optim
from electra_lab.batches import PretrainingBatch
from electra_lab.metrics import PretrainingMetrics
from electra_lab.models.electra import Electra, ElectraOutput
from electra_lab.models.flops import training_flops
from electra_lab.models.loading import checkpoint_activations, load_config
from electra_lab.models.pair import (
    assert_initialisation,
    is_configuration,
    load_pair,
    max_positions,
    new_pair,
)
from electra_lab.models.sampling import temperature as temperature_of_draw
from electra_lab.models.sharded import shard
from electra_lab.models.sharing import assert_same_tables, assert_sharing, start_from_the_same_tables
from electra_lab.models.sizes import preset_sizes
from electra_lab.steps import is_logged, total_steps
from electra_lab.tokenizer import load_tokenizer

_log = logging.getLogger(__name__)

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
        sizes: Sizes that differ from the preset, e.g. {hidden_size: 64, generator_width: 0.5, generator_depth: 0.5}.
        generator: A masked language model to start from instead of preset, sizes and init: a Hugging Face name or
            folder, or a configuration (config.json) for random weights. Needs `discriminator`.
        discriminator: Any Hugging Face encoder, likewise; an ELECTRA discriminator brings its head.
        new_head: Start from a `discriminator` that is none yet, e.g. the generator (two-stage training).
        sharing: Of the embeddings: es (one module for both), gdes (the discriminator adds a difference), none.
        init: Of new weights: huggingface (normal) or google (as published: cut off at two standard deviations).
        generator_dropout: Of the generator, where it is not the discriminator's; 0 draws from an undisturbed one.
        train_generator: Whether the generator learns. If not, sharing must be gdes or none.
        temperature: Of the draw; above 1 the replacements are easier to find.
        temperature_decay: Share of the training in which a temperature falls towards 1 by the factor e; constant if
            not given.
        discriminator_weight: Lambda: weight of the discriminator's loss beside the generator's.
        learning_rate: Highest learning rate.
        schedule: Of the learning rate: linear, google-linear or warmup-stable-decay.
        warmup_steps: Optimizer steps over which it rises from 0.
        bias_correction: Of Adam; the published optimizer has none.
        weight_decay: Of matrices and tables; biases and LayerNorm have none.
        gradient_checkpointing: Compute activations twice instead of keeping them: less memory, a third more work.
        compile: Run the networks through torch.compile.
    """

    logged_names = (
        "train/loss",
        *(f"train/{name}" for name in METRICS),
        "train/learning_rate",
        "train/gradient_norm",
        "train/temperature",
        "val/loss",
        *(f"val/{name}" for name in METRICS),
    )

    def __init__(
        self,
        tokenizer: str,
        preset: str = "small",
        sizes: dict[str, float] | None = None,
        generator: str | None = None,
        discriminator: str | None = None,
        new_head: bool = False,
        sharing: str = "es",
        init: str = "huggingface",
        generator_dropout: float | None = None,
        train_generator: bool = True,
        temperature: float = 1.0,
        temperature_decay: float | None = None,
        discriminator_weight: float = 50.0,
        learning_rate: float = 5e-4,
        schedule: str = "linear",
        warmup_steps: int = 10_000,
        bias_correction: bool = True,
        weight_decay: float = 0.01,
        gradient_checkpointing: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__()
        if (generator is None) != (discriminator is None):
            raise ValueError("generator and discriminator are given together, or neither")
        if new_head and not discriminator:
            raise ValueError("new_head goes with a discriminator that is given; all is new without")
        if not (bias_correction or warmup_steps):
            raise ValueError("without bias_correction the first steps are several times too long: give warmup_steps")
        if temperature <= 0 or (temperature_decay is not None and temperature_decay <= 0):
            raise ValueError(f"temperature and its decay must be above 0, got {temperature} and {temperature_decay}")
        if not (train_generator or generator):
            raise ValueError(
                "a generator that is not trained must be given (model.generator), or its guesses are random"
            )
        assert_initialisation(init)
        assert_sharing(sharing, train_generator)
        self.schedule = optim.schedule(schedule)
        self.save_hyperparameters()
        self.sizes = preset_sizes(preset, sizes)
        self.train_metrics = PretrainingMetrics()
        self.val_metrics = PretrainingMetrics()
        self.electra: Electra | None = None

    @property
    def max_positions(self) -> int:
        """The longest example that both networks have positions for."""
        if not self.hparams["generator"]:
            return self.sizes.max_positions
        return min(max_positions(load_config(self.hparams[role])) for role in ("generator", "discriminator"))

    def configure_model(self) -> None:
        if self.electra is None:
            hparams = self.hparams
            tokenizer = load_tokenizer(hparams["tokenizer"])
            if hparams["generator"]:
                pair = load_pair(
                    hparams["generator"],
                    hparams["discriminator"],
                    tokenizer,
                    hparams["generator_dropout"],
                    hparams["new_head"],
                )
                is_new = all(is_configuration(hparams[role]) for role in ("generator", "discriminator"))
                if hparams["sharing"] == "es" and not is_new:
                    assert_same_tables(*pair)
            else:
                pair = new_pair(self.sizes, tokenizer, hparams["init"], hparams["generator_dropout"])
                is_new = True
            if hparams["sharing"] == "gdes" and is_new:
                start_from_the_same_tables(*pair)
            if hparams["gradient_checkpointing"]:
                for model in pair:
                    checkpoint_activations(model)
            self.electra = Electra(*pair, hparams["sharing"], len(tokenizer), hparams["train_generator"])
            if self.device_mesh is not None:
                shard(self.electra, self.device_mesh["data_parallel"])
            if hparams["compile"]:
                self.electra.compile()

    def forward(self, batch: PretrainingBatch, done: float = 1.0) -> ElectraOutput:
        """Both networks; `done` is the share of the training that is behind, for the temperature of the draw."""
        assert self.electra is not None, "Lightning calls configure_model first"
        temperature = self._temperature(done)
        # on the device: as a number it would be compiled in
        return self.electra(batch, None if temperature == 1 else torch.full((), temperature, device=self.device))

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

    def flops(self, batch: PretrainingBatch) -> int:
        """FLOPs of a forward and backward pass over this batch, for `train/mfu`."""
        assert self.electra is not None
        configs = self.electra.generator.config, self.electra.discriminator.config
        (num_examples, length), num_masked = batch.input_ids.shape, batch.masked_positions.shape[1]
        return training_flops(*configs, num_examples, length, num_masked, self.hparams["train_generator"])

    def training_step(self, batch: PretrainingBatch, batch_idx: int) -> Tensor:
        output = self(batch, self._done())
        masked_lm, discriminator = self.losses(batch, output)
        if is_logged(self.trainer, self.trainer.global_step + 1):
            _update(self.train_metrics, batch, output)
        return masked_lm + self.hparams["discriminator_weight"] * discriminator

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if is_logged(self.trainer, self.trainer.global_step + 1):
            values = self._values("train", self.train_metrics)
            gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
            norm = torch.nn.utils.get_total_norm(gradients)  # before clipping
            values["train/gradient_norm"] = norm.full_tensor() if isinstance(norm, DTensor) else norm
            values["train/learning_rate"] = optimizer.param_groups[0]["lr"]
            values["train/temperature"] = self._temperature(self._done())
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
        self.log_dict(self._values("val", self.val_metrics), sync_dist=True)  # equal already; Lightning asks for it

    def configure_optimizers(self) -> Any:
        hparams = self.hparams
        optimizer = optim.adamw(
            optim.parameter_groups(self, hparams["weight_decay"]),
            hparams["learning_rate"],
            hparams["bias_correction"],
            precision=str(self.trainer.precision),
        )
        total = total_steps(self.trainer)
        if total <= hparams["warmup_steps"]:
            _log.warning(
                "the warmup of %d steps does not end in a run of %d: the learning rate never reaches %g; lower "
                "model.warmup_steps",
                hparams["warmup_steps"],
                total,
                hparams["learning_rate"],
            )
        return optim.scheduled(optimizer, lambda step: self.schedule(step, hparams["warmup_steps"], total))

    def _done(self) -> float:
        return self.trainer.global_step / total_steps(self.trainer)

    def _temperature(self, done: float) -> float:
        return temperature_of_draw(done, self.hparams["temperature"], self.hparams["temperature_decay"])

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
        output.likelihoods.argmax(dim=-1) == original_ids,
        output.sampled_ids == original_ids,
        output.discriminator_logits.detach(),
        output.labels,
        batch.attention_mask,
    )
