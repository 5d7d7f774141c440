"""Masked-language-model pretraining of the discriminator's network alone, to hold replaced-token detection against.

    python -m experiments.masked_lm --config experiments/pretrain-cpu.yaml --run_name mlm --data.paths corpus.txt

Options as those of `electra-lab pretrain`, and the same data, masks, optimizer and schedule; there is no second network
and no loss on the tokens that were not masked. Leaves `encoder`, a Hugging Face folder, in runs/masked_lm/RUN_NAME.
"""

# ruff: noqa: D102 - hooks are documented where they are called from: in Lightning

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch import LightningModule
from torch import Tensor
from torchmetrics import MeanMetric
from transformers import ElectraForMaskedLM

from electra_lab import bundle, cli, optim, runs
from electra_lab.batches import PretrainingBatch
from electra_lab.data.pretraining import PretrainingDataModule
from electra_lab.models.sampling import gather_positions
from electra_lab.models.sizes import electra_configs, preset_sizes
from electra_lab.steps import is_logged, total_steps
from electra_lab.tokenizer import load_tokenizer


class MaskedLanguageModel(LightningModule):
    """Trains the network that would be the discriminator to fill masked tokens.

    Args:
        tokenizer: The tokenizer's name or folder; the vocabulary is read from it.
        preset: Sizes of the network: those of the preset's discriminator.
        sizes: Sizes that differ from the preset, e.g. {hidden_size: 64}; those of a generator change nothing.
        learning_rate: Highest learning rate.
        warmup_steps: Optimizer steps over which it rises from 0.
        weight_decay: Of matrices and tables; biases and LayerNorm have none.
    """

    logged_names = (
        "train/loss",
        "train/masked_lm_accuracy",
        "train/learning_rate",
        "train/gradient_norm",
        "val/loss",
        "val/masked_lm_accuracy",
    )

    def __init__(
        self,
        tokenizer: str,
        preset: str = "small",
        sizes: dict[str, float] | None = None,
        learning_rate: float = 5e-4,
        warmup_steps: int = 10_000,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.sizes = preset_sizes(preset, sizes)
        self.mean_loss = MeanMetric()
        self.mean_accuracy = MeanMetric()
        self.network: ElectraForMaskedLM | None = None

    def configure_model(self) -> None:
        if self.network is None:
            tokenizer = load_tokenizer(self.hparams["tokenizer"])
            config = electra_configs(self.sizes, len(tokenizer), int(tokenizer.pad_token_id))[1]
            self.network = ElectraForMaskedLM(config)

    def forward(self, batch: PretrainingBatch) -> Tensor:
        """Log-probabilities of every token at the masked positions, (B, N, V) fp32."""
        assert self.network is not None, "Lightning calls configure_model first"
        hidden = self.network.electra(
            input_ids=batch.masked_input_ids,
            attention_mask=batch.attention_mask,
            token_type_ids=batch.token_type_ids,
        ).last_hidden_state  # (B, L, hidden)
        hidden = gather_positions(hidden, batch.masked_positions)  # (B, N, hidden)
        logits = self.network.generator_lm_head(self.network.generator_predictions(hidden))
        return logits.float().log_softmax(dim=-1)

    def loss(self, batch: PretrainingBatch, log_probabilities: Tensor) -> Tensor:
        """Sum over the masked positions, divided by the batch's share of the optimizer step."""
        return (_nll(batch, log_probabilities) * batch.masked_weights).sum() / batch.num_masked

    def training_step(self, batch: PretrainingBatch, batch_idx: int) -> Tensor:
        log_probabilities = self(batch)
        if is_logged(self.trainer, self.trainer.global_step + 1):
            self._update(batch, log_probabilities)
        return self.loss(batch, log_probabilities)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if is_logged(self.trainer, self.trainer.global_step + 1):
            values = self._values("train")
            gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
            values["train/gradient_norm"] = torch.nn.utils.get_total_norm(gradients)  # before clipping
            values["train/learning_rate"] = optimizer.param_groups[0]["lr"]
            self.log("train/loss", values.pop("train/loss"), prog_bar=True)
            self.log_dict(values)

    def validation_step(self, batch: PretrainingBatch, batch_idx: int) -> None:
        self._update(batch, self(batch))

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self._values("val"))

    def configure_optimizers(self) -> Any:
        hparams = self.hparams
        optimizer = optim.adamw(optim.parameter_groups(self, hparams["weight_decay"]), hparams["learning_rate"])
        total = total_steps(self.trainer)
        return optim.scheduled(optimizer, lambda step: optim.linear(step, hparams["warmup_steps"], total))

    def _update(self, batch: PretrainingBatch, log_probabilities: Tensor) -> None:
        correct = log_probabilities.argmax(dim=-1) == batch.input_ids.gather(1, batch.masked_positions)
        self.mean_loss.update(_nll(batch, log_probabilities).detach(), batch.masked_weights)
        self.mean_accuracy.update(correct.float(), batch.masked_weights)

    def _values(self, stage: str) -> dict[str, Any]:
        values = {
            f"{stage}/loss": self.mean_loss.compute(),
            f"{stage}/masked_lm_accuracy": self.mean_accuracy.compute(),
        }
        self.mean_loss.reset()
        self.mean_accuracy.reset()
        return values


def main(arguments: Sequence[str] | None = None) -> None:
    """Pretrain; leave the encoder in the run's folder."""
    parser = ArgumentParser(prog="python -m experiments.masked_lm", exit_on_error=False, allow_abbrev=False)
    cli.training_options(parser, MaskedLanguageModel, PretrainingDataModule, {"model": {"tokenizer"}, "data": set()})
    try:
        config = cli.parse(parser, sys.argv[1:] if arguments is None else arguments)
        _pretrain(config, parser.dump(config, skip_unset=False))
    except (cli.UsageError, ValueError, OSError) as error:
        sys.exit(f"experiments.masked_lm: {error}")


def _pretrain(config: Namespace, yaml: str) -> None:
    folder = runs.start("masked_lm", config, yaml)
    if runs.is_finished(folder):
        return
    datamodule = PretrainingDataModule(**config.data, seed=config.seed)
    task = MaskedLanguageModel(tokenizer=datamodule.tokenizer_source, **config.model)
    trainer, results = runs.pretrain(config, folder, task, datamodule, ("loss", "masked_lm_accuracy"), [])
    if trainer.is_global_zero:
        assert task.network is not None
        export(task.network, datamodule.tokenizer_source, folder / "encoder")
        runs.write_results(folder, results, trainer)
        runs.summary(folder, {"held-out text": results["validation"]}, ("val/loss", "val/masked_lm_accuracy"))


def export(network: ElectraForMaskedLM, tokenizer: str, folder: Path) -> None:
    """A Hugging Face folder with weights and tokenizer."""
    network.save_pretrained(str(folder))
    bundle.save_tokenizer(load_tokenizer(tokenizer), folder)


def _nll(batch: PretrainingBatch, log_probabilities: Tensor) -> Tensor:
    """-log p(original token), (B, N)."""
    original_ids = batch.input_ids.gather(1, batch.masked_positions)
    return -log_probabilities.gather(2, original_ids[..., None]).squeeze(2)


if __name__ == "__main__":
    main()
