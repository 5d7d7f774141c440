"""A discriminator that finds nothing looks like a success: one warning when its recall stays at zero."""

import logging

from lightning.pytorch import Callback, LightningModule, Trainer

from electra_lab.steps import total_steps

LOWEST_RECALL = 0.01
_SHARE, _MOST_STEPS = 4, 10_000  # grace after the warmup: a quarter of the run, or so many steps

log = logging.getLogger(__name__)


class RecallWarning(Callback):
    """Warns once when held-out recall is below 1 % at two validations in a row, after the warmup and a time of grace.

    About nine tokens in ten are original, so a discriminator that calls every token original is right nine times in
    ten and its loss looks normal (https://github.com/ymcui/Chinese-ELECTRA/issues/66: recall 0 until the learning
    rate went from 5e-4 to 1e-4). Early on that is as it should be: there is nothing to find out about the
    replacements before the generator has learned what text looks like.

    Args:
        warmup_steps: of the learning rate.
    """

    def __init__(self, warmup_steps: int) -> None:
        self.warmup_steps = warmup_steps
        self._num_low = 0  # validations in a row
        self._has_warned = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit" or self._has_warned:
            return
        grace = min(total_steps(trainer) // _SHARE, _MOST_STEPS)
        names = ("recall", "auroc", "accuracy")
        values = trainer.callback_metrics
        recall, auroc, accuracy = (float(values[f"val/discriminator_{name}"]) for name in names)
        is_low = trainer.global_step > self.warmup_steps + grace and recall < LOWEST_RECALL
        self._num_low = self._num_low + 1 if is_low else 0
        if self._num_low < 2:
            return
        self._has_warned = True
        if trainer.is_global_zero:
            log.warning(_WARNING, trainer.global_step, recall, accuracy, values["val/all_original_accuracy"], auroc)


_WARNING = (
    "step %d: the discriminator still finds next to none of the replaced tokens (recall %.4f on held-out text). Its "
    "accuracy of %.4f says nothing: calling every token original gives %.4f. AUROC %.3f tells whether it learns at "
    "all; .5 is guessing. Worth trying: more steps or text, a lower --model.learning_rate, another "
    "--model.discriminator_weight, a smaller --data.mask_probability"
)
