"""The verb `export`: a detector as an ONNX file, for programs without torch; equal to the detector, or not written."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from electra_lab.batches import ConversationBatch
from electra_lab.bundle import read_record, save_tokenizer, write_record, written_whole
from electra_lab.data.encoding import ConversationEncoder, pack_unlabelled
from electra_lab.data.synthetic import conversations
from electra_lab.inference import load_model_for_inference
from electra_lab.model_card import onnx_card, write_card
from electra_lab.models.classifier import DetectorForSequenceClassification, padded
from electra_lab.models.loading import quiet_transformers

ONNX_FILE = "model.onnx"
TOLERANCE = 1e-5  # of logits and shares
OUTPUTS = ("window_logits", "message_logits", "message_mass")

_AXES = {
    "input_ids": ("rows", "length"),
    "attention_mask": ("rows", "length"),
    "window_of_row": ("rows",),
    "ngram_ids": ("ngrams",),
    "ngram_weights": ("ngrams",),
    "message_of_ngram": ("ngrams",),
}


def export(model: str, output: str) -> None:
    """Write a detector as ONNX: rows of tokens in, the logits of windows and messages out.

    Inputs, int64 unless said otherwise: `input_ids` and `attention_mask` (rows, length), a window a row. A detector
    with the context "message" reads a message a row, and `window_of_row` (rows,) says which window it is of, from 0.
    One with n-grams has `ngram_ids`, `ngram_weights` (float32) and `message_of_ngram` (ngrams,) too. Outputs, float32:
    `window_logits` (windows, 2) and, in the order of the rows, `message_logits` and `message_mass` (messages,), the
    share of the attention. All axes are dynamic. The tokenizer, detector.json and a README lie beside it.

    Args:
        model: The detector: a folder that `finetune` has left.
        output: A new folder, or one that was exported to before.

    Raises:
        ValueError: a package is missing, torch cannot write this encoder, or what it has written computes something
            else: more than 1e-5 from the detector on windows of shapes that it was not traced with.
    """
    _assert_installed()
    record = read_record(model)
    detector, tokenizer = load_model_for_inference(model)
    with quiet_transformers():
        classifier = DetectorForSequenceClassification.from_pretrained(model).eval()
    size = detector.settings.window
    with written_whole(Path(output), ONNX_FILE) as unfinished:
        path = unfinished / ONNX_FILE
        _write(classifier, padded(_windows(detector.encoder, 3 * size), classifier.config), path)
        differences = []
        for num_messages in (1, 5 * size + 2):
            batch = _windows(detector.encoder, num_messages)
            with torch.inference_mode():
                expected = detector(batch)
            found = _run(path, padded(batch, classifier.config))
            differences += [np.abs(getattr(expected, name).numpy() - found[name]).max() for name in OUTPUTS]
        worst = np.max(differences)  # NaN if one is
        if not worst <= TOLERANCE:
            raise ValueError(
                f"{model}: the exported network differs from the detector by {worst:.1e}, of which {TOLERANCE:.0e} is "
                "allowed; it was not kept"
            )
        classifier.config.save_pretrained(str(unfinished))
        save_tokenizer(tokenizer, unfinished)
        write_record(unfinished, detector.settings, record["figures"])
        write_card(onnx_card(record["settings"], record["figures"]), unfinished)
    print(f"{output}: differs from the detector by {worst:.0e} at most")


def _assert_installed() -> None:
    absent = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if absent:
        raise ValueError(f"export needs the package {', '.join(absent)}: pip install 'electra_lab[onnx]'")


def _write(classifier: DetectorForSequenceClassification, inputs: dict[str, Tensor], path: Path) -> None:
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                classifier,
                kwargs=inputs,
                input_names=list(inputs),
                output_names=list(OUTPUTS),
                dynamic_shapes={name: dict(enumerate(_AXES[name])) for name in inputs},
                dynamo=True,
                verbose=False,
            )
            assert program is not None
            program.save(str(path))
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        encoder, reason = classifier.config.encoder.model_type, str(error).strip().split("\n")[0]
        raise ValueError(f"torch cannot write an encoder of the family {encoder} as ONNX: {reason}") from error


def _run(path: Path, inputs: dict[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = session.run(list(OUTPUTS), {name: tensor.numpy() for name, tensor in inputs.items()})
    return dict(zip(OUTPUTS, outputs, strict=True))


def _windows(encoder: ConversationEncoder, num_messages: int) -> ConversationBatch:
    """The windows of a made-up conversation, in one batch."""
    made_up = (
        message.text for conversation in conversations(num_messages, seed=0) for message in conversation.messages
    )
    texts = list(islice(made_up, num_messages))
    ids = encoder.encode_texts(texts)
    return pack_unlabelled(encoder, texts, ids, [index % 2 for index in range(num_messages)], encoder.windows(ids))


@contextmanager
def _quiet() -> Iterator[None]:
    """Within it the exporter is silent about its steps, about packages it does without and what torch deprecates."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
