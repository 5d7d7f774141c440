"""config.json of a detector folder, as transformers reads it: the encoder's configuration, and what is built upon it.

It imports nothing but transformers' base class, since transformers' own table of configurations imports this file.
"""

from typing import Any, ClassVar

from transformers import PreTrainedConfig

MODEL_TYPE = "electra_lab_detector"


class DetectorConfig(PreTrainedConfig):
    """Everything that decides about the weights of a `Detector`, and the tokens that mark its messages.

    Args:
        encoder: the encoder's configuration as a mapping, with its `model_type`.
        dropout: of the windows' head.
        pooling: one of `models.pooling.POOLINGS`.
        ngrams: whether the detector reads the messages' character n-grams.
        context: what a row of the input is: "window", or "message" where each is read by itself.
        message_token_id: `[MSG]`, which begins every message.
        cls_token_id: `[CLS]`.
        sep_token_id: `[SEP]`; it and `[CLS]` belong to no message.
        others: what every configuration of transformers has.
    """

    model_type = MODEL_TYPE
    sub_configs: ClassVar[dict[str, type]] = {"encoder": PreTrainedConfig}
    has_no_defaults_at_init = True

    def __init__(
        self,
        encoder: dict[str, Any],
        dropout: float = 0.3,
        pooling: str = "attention",
        ngrams: bool = False,
        context: str = "window",
        message_token_id: int | None = None,
        cls_token_id: int | None = None,
        sep_token_id: int | None = None,
        **others: Any,
    ) -> None:
        from transformers import AutoConfig  # see above

        self.encoder = AutoConfig.for_model(**encoder)
        self.dropout = dropout
        self.pooling = pooling
        self.ngrams = ngrams
        self.context = context
        self.message_token_id = message_token_id
        self.cls_token_id = cls_token_id
        self.sep_token_id = sep_token_id
        others.setdefault("id2label", {0: "ordinary", 1: "anomalous"})
        others.setdefault("label2id", {"ordinary": 0, "anomalous": 1})
        super().__init__(**others)
