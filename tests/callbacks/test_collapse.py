"""The warning about a discriminator that finds nothing: late enough, once, and by one process."""

import logging
from types import SimpleNamespace

import pytest
import torch

from electra_lab.callbacks.collapse import RecallWarning


@pytest.fixture
def warnings(caplog):
    """What is warned in a run of 1,000 steps with 100 of warmup: recall at each validated step is given by hand."""
    package = logging.getLogger("electra_lab")
    was_propagating, package.propagate = package.propagate, True

    def run(recalls, total=1000, warmup=100, **changes):
        caplog.clear()
        callback = RecallWarning(warmup)
        for step, recall in recalls:
            metrics = {
                "val/discriminator_recall": recall,
                "val/discriminator_accuracy": 0.8951,
                "val/all_original_accuracy": 0.8952,
                "val/discriminator_auroc": 0.521,
            }
            settings = {
                "global_step": step,
                "max_steps": total,
                "max_epochs": None,
                "callback_metrics": {name: torch.tensor(value) for name, value in metrics.items()},
                "sanity_checking": False,
                "state": SimpleNamespace(fn="fit"),
                "is_global_zero": True,
            }
            callback.on_validation_end(SimpleNamespace(**{**settings, **changes}), None)
        return [record for record in caplog.records if record.levelno == logging.WARNING]

    yield run
    package.propagate = was_propagating


def test_a_discriminator_that_finds_nothing_is_told_of_once(warnings):
    """Grace ends at 100 + 1000 / 4; 400 and 500 are the first two validations after it."""
    (warning,) = warnings([(step, 0.0004) for step in range(100, 1001, 100)])
    said = warning.getMessage()
    assert said.startswith("step 500: ") and warning.name == "electra_lab.callbacks.collapse"
    for part in ("recall 0.0004", "accuracy of 0.8951", "gives 0.8952", "AUROC 0.521", "--model.learning_rate"):
        assert part in said


def test_what_is_low_early_or_once_is_not_told(warnings):
    assert not warnings([(step, 0.0) for step in (100, 200, 300, 350)])
    assert not warnings([(400, 0.0), (500, 0.02), (600, 0.0), (700, 0.011)])
    assert not warnings([(300, 0.0), (400, 0.0), (500, 0.03)])


def test_long_runs_are_not_left_alone_for_a_quarter(warnings):
    recalls = [(step, 0.0) for step in range(5_000, 1_000_001, 5_000)]
    (warning,) = warnings(recalls, total=1_000_000, warmup=10_000)
    assert warning.getMessage().startswith("step 30000: ")


@pytest.mark.parametrize(
    "changes",
    [{"is_global_zero": False}, {"sanity_checking": True}, {"state": SimpleNamespace(fn="validate")}],
    ids=["second process", "sanity check", "validation alone"],
)
def test_others_say_nothing(warnings, changes):
    assert not warnings([(step, 0.0) for step in range(100, 1001, 100)], **changes)
