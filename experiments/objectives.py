"""What a trial of a sweep is judged by, and which searches that figure cannot judge."""

from collections.abc import Iterable
from typing import Literal, NamedTuple


class Objective(NamedTuple):
    """A figure of the validation part."""

    said: str  # in words
    direction: Literal["maximize", "minimize"]
    file: str  # of the run's folder
    keys: tuple[str, str]  # where it stands in the file
    column: str | None  # of training_log.csv, where it can be watched while the run lasts
    tested: tuple[str, ...]  # where the winner's test figure stands in the file; nowhere if empty
    only: frozenset[str] = frozenset()  # options that it can judge; any if empty
    doubtful: frozenset[str] = frozenset()  # options that change what is measured, or on what
    reason: str = ""


_PARTS = {"seed", "data.paths", "data.split", "data.gap", "data.validation_share", "data.test_share", "data.fold"}
_PARTS |= {"data.num_folds", "data.held_out_kinds", "data.splits_file"}
_OTHER_PARTS = "the trials would be measured on different conversations"
_PROBE = "probe"
_OF_THE_OPTIMIZER = frozenset(
    f"{part}.{name}"
    for part, names in {
        "model": ("learning_rate", "schedule", "warmup_steps", "bias_correction", "weight_decay", "init"),
        "data": ("batch_size", "micro_batch_size"),
        "trainer": ("gradient_clip_val", "precision", "max_steps", "max_epochs"),
    }.items()
    for name in names
)

OBJECTIVES: dict[str, dict[str, Objective]] = {
    "finetune": {
        "average_precision": Objective(
            "validation average precision",
            "maximize",
            "results.json",
            ("validation", "average_precision"),
            "val/average_precision",
            ("test", "window", "average_precision"),
            doubtful=frozenset(_PARTS | {"data.window", "data.stride", "data.max_length"}),
            reason="the trials would be measured on different windows; with other windows of the same conversations, "
            "--objective message_average_precision can be compared",
        ),
        "message_average_precision": Objective(
            "validation average precision of messages",
            "maximize",
            "results.json",
            ("validation", "message_average_precision"),
            "val/message_average_precision",
            ("test", "message", "average_precision"),
            doubtful=frozenset(_PARTS),
            reason=_OTHER_PARTS,
        ),
    },
    "pretrain": {
        _PROBE: Objective(
            "validation accuracy of the probe",
            "maximize",
            "probe.json",
            ("validation", "accuracy"),
            None,  # it is known at the end only, and the loss says nothing about it
            ("test", "accuracy"),
        ),
        "loss": Objective(
            "validation loss",
            "minimize",
            "results.json",
            ("validation", "loss"),
            "val/loss",
            (),
            only=_OF_THE_OPTIMIZER,
        ),
    },
}


def find_objective(verb: str, name: str | None, options: Iterable[str], probe: object) -> tuple[Objective, list[str]]:
    """The objective of that name, or the verb's first one, and what is to be said about it.

    Args:
        verb: finetune or pretrain.
        name: One of OBJECTIVES, if given.
        options: Names of what is searched.
        probe: The labelled texts of a probe, if they are given.

    Raises:
        ValueError: no such objective, one that cannot judge these options, or a probe without texts.
    """
    known = OBJECTIVES[verb]
    name = name or next(iter(known))
    if name not in known:
        raise ValueError(f"no objective of {verb} is called {name!r}; there is {', '.join(known)}")
    objective = known[name]
    changing = [option for option in options if objective.only and option not in objective.only]
    if changing:
        raise ValueError(
            f"{', '.join(changing)} cannot be searched by loss: with another weight of the discriminator, other masks, "
            "sizes or temperature the loss is a sum of other terms or of a harder task, so that a lower one is not a "
            "better encoder; use --objective probe"
        )
    if name == _PROBE and probe is None:
        raise ValueError(
            "pretrain is judged by a probe: give --probe TSV (PROBE=TSV with make), labelled texts with the columns "
            "id, document, label on which the encoder of every trial is fine-tuned"
        )
    doubtful = [option for option in options if option in objective.doubtful]
    said = [f"careful with {', '.join(doubtful)}: {objective.reason}"] if doubtful else []
    if objective.column is None:
        said.append(f"nothing is pruned: the {objective.said} is known at the end of a trial only")
    return objective, said
