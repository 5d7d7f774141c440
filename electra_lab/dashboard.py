"""The wandb workspace of our runs, in code: what is looked at together, under the names of training_log.csv."""

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from electra_lab.curves import AXES

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.panels import CustomChart
    from wandb_workspaces.workspaces import Workspace

Panels = dict[str, tuple[str, ...]]  # title of a panel -> what is drawn in it

SECTIONS: dict[str, Panels] = {
    "Pretraining": {
        "loss": ("train/loss", "val/loss"),
        "generator: masked LM loss": ("train/masked_lm_loss", "val/masked_lm_loss"),
        "generator: accuracy": ("train/masked_lm_accuracy", "val/masked_lm_accuracy", "train/sampled_accuracy"),
        "discriminator: loss": ("train/discriminator_loss", "val/discriminator_loss"),
        "discriminator: AUROC": ("train/discriminator_auroc", "val/discriminator_auroc"),
        "discriminator: precision and recall": ("val/discriminator_precision", "val/discriminator_recall"),
        "discriminator: accuracy, beside that of calling all original": (
            "val/discriminator_accuracy",
            "val/all_original_accuracy",
        ),
        "replaced tokens": ("train/replaced_rate", "val/replaced_rate"),
    },
    "Detection": {
        "loss": ("train/loss", "val/loss"),
        "parts of the loss": ("train/window_loss", "train/attention_loss", "train/message_loss"),
        "average precision": tuple(f"val/{level}average_precision" for level in ("", "message_", "conversation_")),
        "F1": tuple(f"val/{level}f1" for level in ("", "message_", "conversation_")),
        "AUROC": tuple(f"val/{level}auroc" for level in ("", "message_", "conversation_")),
        "precision and recall of messages": ("val/message_precision", "val/message_recall"),
    },
    "Optimizer": {
        "learning rate": ("train/learning_rate",),
        "gradient norm, before clipping": ("train/gradient_norm",),
        "temperature of the draw": ("train/temperature",),
    },
    "Speed and memory": {
        "tokens": ("train/tokens",),
        "tokens a second": ("train/tokens_per_second",),
        "share of the device's peak (MFU)": ("train/mfu",),
        "memory, GiB": ("train/memory_gib",),
    },
}
TESTED = ("average_precision", "auroc", "f1", "precision", "recall", "accuracy")  # bars over runs
LEVELS = {"windows": "", "messages": "message_", "conversations": "conversation_"}
STEPS, TOKENS = "step", "train/tokens"
_LEFT_OUT = ("name", "id")  # of the view: given anew every time, so that the file would never be the same


def dashboard(
    output: str = "runs/dashboard.json", entity: str = "", project: str = "electra_lab", push: bool = False
) -> None:
    """Write the wandb workspace of our runs to a file; with --push also to wandb.

    Args:
        output: The file: the view in wandb's own format (JSON).
        entity: User or team of wandb.
        project: Of wandb, as WANDB_PROJECT has named it for the runs.
        push: Save it as a new view of the project; needs `wandb login`.
    """
    if push and not entity:
        raise ValueError("--push needs --entity: the user or team of wandb whose project gets the view")
    workspace = build_workspace(entity, project)
    path = Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(view(workspace), indent=2) + "\n", encoding="utf-8")
    print(path)
    if push:
        print(_pushed(workspace))


def build_workspace(entity: str, project: str) -> "Workspace":
    """Sections and panels: curves against steps, the main ones against tokens too, and what a test says.

    Raises:
        ValueError: wandb-workspaces is not installed.
    """
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise ValueError("the dashboard needs the package wandb-workspaces: pip install 'electra_lab[dashboard]'")
    from wandb_workspaces.reports.v2.panels import BarPlot, LinePlot
    from wandb_workspaces.workspaces import Section, Workspace, WorkspaceSettings

    sections = [
        Section(
            name=name,
            panels=[LinePlot(title=title, x=STEPS, y=list(names)) for title, names in panels.items()],
            is_open=name in ("Pretraining", "Detection"),
        )
        for name, panels in SECTIONS.items()
    ]
    over_tokens: list[Any] = [  # a list of any panels, for the library's types
        LinePlot(title=title, x=TOKENS, y=list(names))
        for section in ("Pretraining", "Detection")
        for title, names in SECTIONS[section].items()
    ]
    bars = [
        BarPlot(title=f"{level}: {figure.replace('_', ' ')}", metrics=[f"test/{prefix}{figure}"])
        for level, prefix in LEVELS.items()
        for figure in TESTED
    ]
    lines = [
        _chart(f"test/{name}", "wandb/line/v0", {"x": x, "y": y, "stroke": "line"}) for name, (x, y) in AXES.items()
    ]
    counts = {name: name for name in ("Actual", "Predicted", "nPredictions")}
    squares = [_chart(f"test/confusion_matrix_{level[:-1]}", "wandb/confusion_matrix/v1", counts) for level in LEVELS]
    sections += [
        Section(name="Against tokens", panels=over_tokens),
        Section(name="Test", panels=[*bars, *lines, *squares]),
    ]
    return Workspace(
        entity=entity,
        project=project,
        name="electra_lab",
        sections=sections,
        settings=WorkspaceSettings(x_axis=STEPS),
    )


def view(workspace: "Workspace") -> dict[str, Any]:
    """The workspace as wandb stores it; of the package's API only the way to the server is public."""
    return workspace._to_model().model_dump(mode="json", by_alias=True, exclude_none=True, exclude=set(_LEFT_OUT))


def _chart(name: str, kind: str, fields: dict[str, str]) -> "CustomChart":
    """The panel of a chart that a run logs under this name, as wandb draws it on the run's own page."""
    from wandb_workspaces.reports.v2.panels import CustomChart

    chart = CustomChart.from_table(f"{name}_table", chart_fields=fields, chart_strings={"title": name})
    chart.chart_name = kind
    return chart


def _pushed(workspace: "Workspace") -> str:
    import wandb

    try:
        if not wandb.login(prompt=False):
            raise ValueError("nobody is logged in to wandb: run `wandb login` once, then --push again")
        return workspace.save().url
    except wandb.Error as error:
        raise ValueError(f"wandb did not take the workspace: {' '.join(str(error).split())}") from None
