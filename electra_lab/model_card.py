"""README.md of an exported folder: what is inside, how it was made, how to load it. Needs no network."""

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import ModelCardData

_LICENCE = (
    "Weights follow the licence of the data they were trained on: a corpus for non-commercial use makes weights for "
    "non-commercial use. That is why no licence is filled in here."
)
_MEASURED = (
    "num",
    "prevalence",
    "average_precision",
    "auroc",
    "recall_at_fpr_1",
    "precision",
    "recall",
    "f1",
    "accuracy",
    "ece",
    "threshold",
)
_INTERVALS = (
    "\n\nIn brackets: 95 % by bootstrap over conversations. Temperatures and thresholds: from the validation part."
)


def pretrained_card(part: str, model_class: str, training: Mapping[str, object]) -> str:
    """Card of a `generator` or `discriminator` folder.

    Args:
        part: "generator" or "discriminator".
        model_class: the class of transformers that opens the folder.
        training: becomes the table, one row a name.
    """
    task = {"generator": "fills masked tokens", "discriminator": "tells replaced tokens from original ones"}[part]
    header = ModelCardData(
        library_name="transformers",
        pipeline_tag="fill-mask" if part == "generator" else "feature-extraction",
        tags=["electra", "replaced-token-detection", part],
    )
    return _card(
        header,
        f"# ELECTRA {part}",
        f"Pretrained by replaced-token detection with electra_lab. This network {task}"
        + ("; it is the one to fine-tune." if part == "discriminator" else "; fine-tune the discriminator, not this."),
        "```python\n"
        f"from transformers import AutoTokenizer, {model_class}\n\n"
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")\n'
        f'model = {model_class}.from_pretrained("FOLDER")\n'
        "```",
        "## Training",
        _table(("", ""), _rows(training)),
        "Reference: Clark et al., [ELECTRA](https://openreview.net/forum?id=r1xMH1BtvB), ICLR 2020.",
        _LICENCE,
    )


def detector_card(settings: Mapping[str, object], figures: Mapping[str, Mapping[str, object]]) -> str:
    """Card of a detector folder: its settings, and the test figures of each level (window, message, conversation)."""
    header = ModelCardData(
        library_name="electra_lab", pipeline_tag="text-classification", tags=["conversations", "anomaly-detection"]
    )
    rows = [
        (name.replace("_", " "), *(_with_interval(figures[level], name) for level in figures)) for name in _MEASURED
    ]
    return _card(
        header,
        "# Detector of anomalous messages in conversations",
        "Scores every message, every window of messages and the conversation. Made with electra_lab.",
        "```python\n"
        "from electra_lab import load_model_for_inference, predict_conversation\n\n"
        'model, tokenizer = load_model_for_inference("FOLDER")\n'
        'print(predict_conversation(model, tokenizer, ["안녕", "지금 어디야?", "집이야"]))\n'
        "```",
        "## Settings",
        _table(("", ""), _rows(settings)),
        "## On the test set",
        _table(("", *figures), rows) + _INTERVALS if figures else "Not tested.",
        "Precision and the thresholds hold for conversations like those of the test set, at their prevalence. A score "
        "is a reason to read a conversation, not evidence of anything: people decide.",
        _LICENCE,
    )


def write_card(card: str, folder: Path) -> None:
    """The card as the folder's README.md."""
    (folder / "README.md").write_text(card, encoding="utf-8")


def _card(header: ModelCardData, *blocks: str) -> str:
    return f"---\n{header.to_yaml()}\n---\n\n" + "\n\n".join(blocks) + "\n"


def _table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [titles, ("---",) * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _rows(values: Mapping[str, object], above: str = "") -> list[tuple[str, ...]]:
    """A row for every value; of values inside a value, `outer: inner`."""
    rows: list[tuple[str, ...]] = []
    for name, value in values.items():
        title = above + name.replace("_", " ")
        rows += _rows(value, f"{title}: ") if isinstance(value, Mapping) else [(title, _number(value))]
    return rows


def _with_interval(figures: Mapping[str, object], name: str) -> str:
    intervals = figures.get("interval")
    limits = intervals.get(name) if isinstance(intervals, Mapping) else None
    return _number(figures.get(name)) + (f" [{', '.join(map(_number, limits))}]" if limits else "")


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return "n/a" if value is None else " ".join(str(value).split())  # a table row is one line
