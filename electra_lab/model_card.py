"""README.md of an exported folder: what is inside, how it was made, how to load it. Needs no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import ModelCardData

from electra_lab.snippets import code, with_onnx, with_transformers

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
_DETECTOR = ModelCardData(
    library_name="electra_lab", pipeline_tag="text-classification", tags=["conversations", "anomaly-detection"]
)
_ROW = {
    "window": "a window a row: `[CLS]`, then of each message `[MSG] [SPEAKER_k] text [SEP]`",
    "message": "a message a row: `[CLS] [MSG] [SPEAKER_k] text [SEP]`",
}


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
        code(
            "python",
            f"from transformers import AutoTokenizer, {model_class}",
            "",
            'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
            f'model = {model_class}.from_pretrained("FOLDER")',
        ),
        "## Training",
        _table(("", ""), _rows(training)),
        "Reference: Clark et al., [ELECTRA](https://openreview.net/forum?id=r1xMH1BtvB), ICLR 2020.",
        _LICENCE,
    )


def detector_card(settings: Mapping[str, object], figures: Mapping[str, Mapping[str, object]]) -> str:
    """Card of a detector folder: how to use it, its settings, and the test figures of each level.

    Args:
        settings: of `bundle.DetectorSettings`.
        figures: of the levels window, message, conversation: level -> name -> value; none if it was not tested.
    """
    return _card(
        _DETECTOR,
        "# Detector of anomalous messages in conversations",
        "Scores every message, every window of messages and the conversation. Made with electra_lab.",
        code(
            "bash",
            "electra-lab predict --model FOLDER chats/ --output report  # chat exports -> report.html, CSV, JSONL",
            "electra-lab export --model FOLDER --output exported --onnx  # for programs without torch",
        ),
        code(
            "python",
            "from electra_lab import load_model_for_inference, predict_conversation\n",
            'model, tokenizer = load_model_for_inference("FOLDER")',
            'print(predict_conversation(model, tokenizer, ["안녕", "지금 어디야?", "집이야"]))',
        ),
        "transformers opens it too, after `import electra_lab`; its logits are those of windows. In text that is put "
        "together like this a `[SEP]` that somebody has typed is a mark, so use it for text of your own only.",
        code("python", *with_transformers(settings["context"] == "message", bool(settings["ngrams"]))),
        *_settings_and_figures(settings, figures),
    )


def onnx_card(settings: Mapping[str, object], figures: Mapping[str, Mapping[str, object]]) -> str:
    """Card of an exported folder: inputs, outputs, what is made of them; settings and figures are the detector's."""
    alone, grams = settings["context"] == "message", bool(settings["ngrams"])
    inputs = [("`input_ids`", "(rows, length) int64", _ROW[str(settings["context"])])]
    inputs += [("`attention_mask`", "(rows, length) int64", "1 = token, 0 = padding behind them")]
    inputs += [("`window_of_row`", "(rows,) int64", "the window that a message is in, from 0")] * alone
    inputs += [("`ngram_ids`, `message_of_ngram`", "(n-grams,) int64", "of `electra_lab.data.ngrams`")] * grams
    inputs += [("`ngram_weights`", "(n-grams,) float32", "likewise")] * grams
    outputs = [
        ("`window_logits`", "(windows, 2) float32", "not anomalous, anomalous"),
        ("`message_logits`", "(messages,) float32", "of the rows' messages, in their order"),
        ("`message_mass`", "(messages,) float32", "share of the attention in the window"),
    ]
    return _card(
        _DETECTOR,
        "# Detector of anomalous messages in conversations, as ONNX",
        "Written with electra_lab, and compared with the detector: the outputs are equal within 1e-5.",
        _table(("input", "shape", ""), inputs),
        _table(("output", "shape", ""), outputs),
        code("python", *with_onnx(alone, grams)),
        "That is one window. A conversation is read in windows of `window` messages, one every `stride`, the last one "
        "moved back to end with the conversation; a window of more than `max_length` tokens is cut in half until it "
        "fits. Of a message of more than 128 tokens (or `max_length` less the marks) the head and the tail are read, "
        "without control tokens. First the text is brought to NFC, without invisible characters. electra_lab does this "
        "in `data/text.py`, `data/windows.py` and `data/encoding.py`. A message's score is the sigmoid of its mean "
        "logit over its windows, divided by the temperature; the conversation's is what `decision` makes of its "
        "windows' scores. At a threshold or above something is anomalous.",
        *_settings_and_figures(settings, figures),
    )


def write_card(card: str, folder: Path) -> None:
    """The card as the folder's README.md."""
    (folder / "README.md").write_text(card, encoding="utf-8")


def _settings_and_figures(
    settings: Mapping[str, object], figures: Mapping[str, Mapping[str, object]]
) -> tuple[str, ...]:
    rows = [
        (name.replace("_", " "), *(_with_interval(figures[level], name) for level in figures)) for name in _MEASURED
    ]
    return (
        "## Settings",
        _table(("", ""), _rows(settings)),
        "## On the test set",
        _table(("", *figures), rows) + _INTERVALS if figures else "Not tested.",
        "Precision and the thresholds hold for conversations like those of the test set, at their prevalence. A score "
        "is a reason to read a conversation, not evidence of anything: people decide.",
        _LICENCE,
    )


def _card(header: ModelCardData, *blocks: str) -> str:
    return f"---\n{header.to_yaml()}\n---\n\n" + "\n\n".join(blocks) + "\n"


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
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
