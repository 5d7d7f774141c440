"""The detector as transformers' models are: dense rows in, `SequenceClassifierOutput` out. Also what ONNX holds.

R rows of L tokens, each row a sequence that the encoder reads by itself: a window, or one message of it. W windows,
M messages, G character n-grams.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from electra_lab.batches import ConversationBatch
from electra_lab.models.detector_config import DetectorConfig


@dataclass
class DetectorOutput(SequenceClassifierOutput):
    """`logits` (W, 2) of the windows, not anomalous and anomalous; the messages come in the order of the rows."""

    message_logits: Tensor | None = None  # (M,)
    message_mass: Tensor | None = None  # (M,) share of the attention in its window


class DetectorForSequenceClassification(PreTrainedModel):
    """A `Detector` that `AutoModelForSequenceClassification` opens; its logits are those of the windows."""

    config_class = DetectorConfig
    config: DetectorConfig
    base_model_prefix = "detector"  # which the names in a detector folder's weights do not begin with
    _supports_sdpa = True

    def __init__(self, config: DetectorConfig) -> None:
        # not above: these import transformers' auto classes, which import this file
        from electra_lab.models.backbone import PaddedBackbone, encoder_from_config
        from electra_lab.models.detector import Detector

        super().__init__(config)
        backbone = PaddedBackbone(encoder_from_config(config.encoder))
        self.detector = Detector(backbone, config.dropout, config.pooling, config.ngrams)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        window_of_row: Tensor | None = None,
        ngram_ids: Tensor | None = None,
        ngram_weights: Tensor | None = None,
        message_of_ngram: Tensor | None = None,
    ) -> DetectorOutput:
        """Logits of the windows and of the messages in them.

        Args:
            input_ids: (R, L) as `ConversationEncoder` encodes them: `[CLS] [MSG] [SPEAKER_k] text [SEP] ...`.
            attention_mask: (R, L) 1 = token, 0 = padding, which follows the tokens. All are tokens if not given.
            token_type_ids: not used; tokenizers give them.
            window_of_row: (R,) 0..W-1, for detectors that read each message by itself (a row is a message). A row is
                a window if not given.
            ngram_ids: (G,) the messages' character n-grams (`data.ngrams`), for detectors that read them.
            ngram_weights: (G,) likewise.
            message_of_ngram: (G,) 0..M-1, likewise.

        Raises:
            ValueError: no n-grams for a detector that reads them.
        """
        if self.config.ngrams and ngram_ids is None:
            raise ValueError(
                "this detector reads the messages' character n-grams too: give ngram_ids, ngram_weights and "
                "message_of_ngram of electra_lab.data.ngrams.ngrams(texts)"
            )
        num_rows, length = input_ids.shape
        rows = torch.arange(num_rows, device=input_ids.device)
        num_windows: Any = num_rows  # an int, or what stands for one while it is exported
        if self.config.context == "window" or window_of_row is None:
            window_of_row = rows
        else:
            num_windows = window_of_row.max().item() + 1
        is_token = torch.ones_like(input_ids) == 1 if attention_mask is None else attention_mask == 1
        begins = (input_ids == self.config.message_token_id) & is_token
        is_mark = (input_ids == self.config.cls_token_id) | (input_ids == self.config.sep_token_id)
        number = begins.flatten().long().cumsum(0) - 1
        none = input_ids.new_zeros(0)
        found = self.detector(
            ConversationBatch(
                input_ids=input_ids.flatten(),
                position_ids=torch.where(is_token, torch.arange(length, device=rows.device), -1).flatten(),
                cu_seq_lens=none,
                max_length=length,
                window_of_token=torch.where(is_token, window_of_row[:, None], num_windows).flatten(),
                message_of_token=torch.where((is_mark | ~is_token).flatten(), -1, number),
                window_of_message=window_of_row[begins.nonzero()[:, 0]],
                message_labels=none,
                window_labels=input_ids.new_zeros(num_windows + 1),  # the last window is the padding's
                message_ids=none,
                conversation_of_window=none,
                ngram_ids=none if ngram_ids is None else ngram_ids,
                ngram_weights=none if ngram_weights is None else ngram_weights,
                message_of_ngram=none if message_of_ngram is None else message_of_ngram,
                position=(0, 0),
            )
        )
        return DetectorOutput(
            logits=found.window_logits[:num_windows],
            message_logits=found.message_logits,
            message_mass=found.message_mass,
        )


def padded(batch: ConversationBatch, config: DetectorConfig) -> dict[str, Tensor]:
    """What a `DetectorForSequenceClassification` of that configuration is given for a packed batch."""
    lengths = batch.cu_seq_lens.diff()
    padding = getattr(config.encoder, "pad_token_id", None) or 0
    rows = pad_sequence(list(batch.input_ids.split(lengths.tolist())), batch_first=True, padding_value=padding)
    mask = (torch.arange(rows.shape[1], device=rows.device) < lengths[:, None]).long()
    inputs = {"input_ids": rows, "attention_mask": mask}
    if config.context == "message":
        inputs["window_of_row"] = batch.window_of_token[batch.cu_seq_lens[:-1].long()]
    if config.ngrams:
        inputs |= {name: getattr(batch, name) for name in ("ngram_ids", "ngram_weights", "message_of_ngram")}
    return inputs
