"""Code in the model cards: how others than electra_lab use a detector. FOLDER stands for the folder of the card."""

_IMPORT_NGRAMS = ["from electra_lab.data.ngrams import ngrams"]
_NGRAMS = [
    "found = ngrams(texts)",
    'grams = {"ngram_ids": found.ids, "ngram_weights": found.weights, "message_of_ngram": found.message}',
]


def with_transformers(alone: bool, grams: bool) -> list[str]:
    """Two messages through `AutoModelForSequenceClassification`.

    Args:
        alone: whether the detector reads each message by itself.
        grams: whether it reads character n-grams.
    """
    given = ["tokens.input_ids", "tokens.attention_mask"]
    given += ["window_of_row=torch.tensor([0, 0])"] * alone
    given += ["**{name: torch.from_numpy(values) for name, values in grams.items()}"] * grams
    return [
        *["import torch"] * (alone or grams),
        "import electra_lab",
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer",
        *_IMPORT_NGRAMS * grams,
        "",
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
        'model = AutoModelForSequenceClassification.from_pretrained("FOLDER")',
        "cls, sep = tokenizer.cls_token, tokenizer.sep_token",
        'messages = [f"[MSG][SPEAKER_0]안녕{sep}", f"[MSG][SPEAKER_1]지금 어디야?{sep}"]',
        "rows = [cls + message for message in messages]" if alone else 'rows = [cls + "".join(messages)]',
        'tokens = tokenizer(rows, add_special_tokens=False, padding=True, return_tensors="pt")',
        *['texts = ["안녕", "지금 어디야?"]', *_NGRAMS] * grams,
        f"print(model({', '.join(given)}).logits.softmax(-1))",
    ]


def with_onnx(alone: bool, grams: bool) -> list[str]:
    """Three messages through onnxruntime, from text to scores; the arguments are those of `with_transformers`."""
    return [
        "import json",
        "from pathlib import Path",
        "",
        "import numpy as np",
        "import onnxruntime",
        "from tokenizers import Tokenizer",
        *_IMPORT_NGRAMS * grams,
        "",
        'config, record = (json.loads(Path("FOLDER", name).read_text("utf-8")) for name in ("config.json", '
        '"detector.json"))',
        'tokenizer = Tokenizer.from_file("FOLDER/tokenizer.json")',
        'tokenizer.encode_special_tokens = True  # a "[SEP]" that somebody types is text',
        'texts, speakers = ["안녕", "지금 어디야?", "집이야"], [0, 1, 0]',
        "messages = [",
        '    [config["message_token_id"], tokenizer.token_to_id(f"[SPEAKER_{speaker}]"),',
        '     *tokenizer.encode(text, add_special_tokens=False).ids, config["sep_token_id"]]',
        "    for text, speaker in zip(texts, speakers)",
        "]",
        'rows = [[config["cls_token_id"], *message] for message in messages]'
        if alone
        else 'rows = [[config["cls_token_id"], *sum(messages, [])]]',
        "length = max(map(len, rows))",
        'padding = config["encoder"].get("pad_token_id") or 0',
        "inputs = {",
        '    "input_ids": np.array([row + [padding] * (length - len(row)) for row in rows]),',
        '    "attention_mask": np.array([[1] * len(row) + [0] * (length - len(row)) for row in rows]),',
        *['    "window_of_row": np.zeros(len(rows), np.int64),'] * alone,
        "}",
        *[*_NGRAMS, "inputs |= grams"] * grams,
        'session = onnxruntime.InferenceSession("FOLDER/model.onnx")',
        "windows, messages, mass = session.run(None, inputs)",
        'temperature = record["settings"]["temperatures"]',
        'print(1 / (1 + np.exp((windows[:, 0] - windows[:, 1]) / temperature["window"])))  # of the window',
        'print(1 / (1 + np.exp(-messages / temperature["message"])), mass)  # of its messages',
    ]


def code(language: str, *lines: str) -> str:
    """Lines of code as a block of Markdown."""
    return "\n".join([f"```{language}", *lines, "```"])
