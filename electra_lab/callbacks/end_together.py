"""A run that fails in one process fails in all of them."""

import signal

from lightning.pytorch import Callback, LightningModule, Trainer


class EndTogether(Callback):
    """Ends the processes that Lightning has started for other devices when this one ends with an error.

    They would wait for it, and a hung one would be left behind (Lightning kills them after Ctrl-C alone). After
    SystemExit all of them leave by themselves.
    """

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if trainer.strategy.launcher is not None and not isinstance(exception, SystemExit):
            trainer.strategy.launcher.kill(signal.SIGKILL)
