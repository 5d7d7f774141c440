"""Any Hugging Face encoder behind one call: packed tokens in, packed hidden states out.

T tokens of all W windows one after another. Encoders that take a registered attention run on them as they are; the
others are padded in here, and nothing outside can tell.
"""

import logging

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from electra_lab.models.attention import PACKED
from electra_lab.models.loading import load_config, quiet_transformers, reason_of, set_dropout

_log = logging.getLogger(__name__)

_TOLERANCE = 1e-4  # of packed against padded; rounding gives 1e-6, one window seeing another 1e-2
_MOST_ADDED = 256  # tokens that a tokenizer may have beyond the encoder's table: message, speaker and similar marks
_MOST_SPARE = 1024  # rows that a table may have beyond the tokenizer: mDeBERTa has 898


class Backbone(nn.Module):
    """An encoder that reads packed windows.

    Attributes:
        hidden_size: of the states that come out.
        max_positions: the longest window that the encoder has positions for.
        is_packed: False where the encoder has to be given padded windows; slower, otherwise the same.
    """

    def __init__(self, encoder: PreTrainedModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.hidden_size: int = encoder.config.hidden_size
        self._first_position = _first_position(encoder)
        self.max_positions: int = encoder.config.max_position_embeddings - self._first_position
        self.is_packed = self._can_be_packed()
        if not self.is_packed:
            _log.warning(
                "%s cannot read packed windows; they are padded instead, which is slower", type(encoder).__name__
            )

    def forward(self, input_ids: Tensor, position_ids: Tensor, cu_seq_lens: Tensor, max_length: int) -> Tensor:
        """Hidden states (T, hidden).

        Args:
            input_ids: (T,).
            position_ids: (T,) from 0 in every window.
            cu_seq_lens: (W + 1,) int32, where each window starts; the last is T.
            max_length: tokens of the longest window.

        Raises:
            ValueError: if a window is longer than `max_positions`.
        """
        if max_length > self.max_positions:
            raise ValueError(
                f"a window has {max_length} tokens, the encoder only {self.max_positions} positions: lower max_length"
            )
        if self.is_packed:
            return self._packed(input_ids, position_ids, cu_seq_lens, max_length)
        return self._padded(input_ids, position_ids, cu_seq_lens, max_length)

    def _packed(self, input_ids: Tensor, position_ids: Tensor, cu_seq_lens: Tensor, max_length: int) -> Tensor:
        output = self.encoder(
            input_ids=input_ids[None],
            position_ids=position_ids[None] + self._first_position,
            cu_seq_lens_q=cu_seq_lens,
            cu_seq_lens_k=cu_seq_lens,
            max_length_q=max_length,
            max_length_k=max_length,
        )
        return output.last_hidden_state[0]  # (T, hidden)

    def _padded(self, input_ids: Tensor, position_ids: Tensor, cu_seq_lens: Tensor, max_length: int) -> Tensor:
        num_windows = len(cu_seq_lens) - 1
        row = torch.arange(num_windows, device=input_ids.device).repeat_interleave(
            cu_seq_lens.diff(), output_size=len(input_ids)
        )
        padded = input_ids.new_full((num_windows, max_length), self.encoder.config.pad_token_id or 0)
        padded[row, position_ids] = input_ids
        mask = torch.zeros_like(padded)
        mask[row, position_ids] = 1
        output = self.encoder(input_ids=padded, attention_mask=mask)
        return output.last_hidden_state[row, position_ids]  # (T, hidden)

    @torch.no_grad()
    def _can_be_packed(self) -> bool:
        """Compare packed with padded on windows of five and three tokens; leave the encoder set to what works.

        Only a comparison can tell: an encoder may take the arguments and ignore them, and its windows then see
        each other without any error.
        """
        if not self.encoder._supports_attention_backend:
            return False
        config = self.encoder.config
        device = self.encoder.device
        tokens = [token for token in range(9) if token != config.pad_token_id][:8]  # padding would move positions
        probe = (
            torch.tensor(tokens, device=device),
            torch.tensor([0, 1, 2, 3, 4, 0, 1, 2], device=device),
            torch.tensor([0, 5, 8], dtype=torch.int32, device=device),
            5,
        )
        was_training, usual = self.encoder.training, config._attn_implementation
        self.encoder.eval()
        expected = self._padded(*probe)
        self.encoder.set_attn_implementation(PACKED)
        try:
            difference = (self._packed(*probe) - expected).abs().max() / expected.abs().max()
        except (TypeError, ValueError, RuntimeError, IndexError):  # its attention takes other arguments
            difference = torch.tensor(torch.inf)
        if not difference <= _TOLERANCE:  # NaN is no agreement
            self.encoder.set_attn_implementation(usual)
        self.encoder.train(was_training)
        return bool(difference <= _TOLERANCE)


class PaddedBackbone(Backbone):
    """An encoder that reads rows that are padded already, for those who have dense tensors: transformers and ONNX."""

    def __init__(self, encoder: PreTrainedModel) -> None:
        nn.Module.__init__(self)  # nothing to compare, and there may be no weights yet
        self.encoder = encoder
        self.hidden_size = encoder.config.hidden_size

    def forward(self, input_ids: Tensor, position_ids: Tensor, cu_seq_lens: Tensor, max_length: int) -> Tensor:
        """Hidden states (R * L, hidden) of R rows, those of the padding among them.

        Args:
            input_ids: (R * L,).
            position_ids: (R * L,) -1 where there is padding.
            cu_seq_lens: not used.
            max_length: L.
        """
        is_token = (position_ids >= 0).view(-1, max_length)
        output = self.encoder(input_ids=input_ids.view(-1, max_length), attention_mask=is_token.long())
        return output.last_hidden_state.flatten(0, 1)


def load_backbone(name_or_folder: str, vocabulary_size: int, dropout: float | None = None) -> Backbone:
    """An encoder with its published weights, in float32, with a row of the embedding table for every token.

    Args:
        name_or_folder: a folder with `config.json` and weights (safetensors or `pytorch_model.bin`), or the name of
            a model. Code that comes with a model is never run.
        vocabulary_size: of the tokenizer, with the tokens added to it.
        dropout: where it is not what the encoder's configuration says.

    Raises:
        ValueError: if there is no such encoder, its weights are incomplete, or the tokenizer is another model's.
    """
    options = {"dtype": torch.float32, "trust_remote_code": False, "output_loading_info": True}
    try:
        with quiet_transformers():
            config = load_config(name_or_folder)
            set_dropout(config, dropout)
            options["config"] = config
            try:  # an unused pooling layer has no gradient, which DistributedDataParallel does not accept
                encoder, loading = AutoModel.from_pretrained(name_or_folder, add_pooling_layer=False, **options)
            except TypeError:  # this encoder has none
                encoder, loading = AutoModel.from_pretrained(name_or_folder, **options)
    except Exception as error:  # what the readers of weights raise for a file that is none has no common name
        raise ValueError(f"no encoder could be loaded from {name_or_folder}: {reason_of(error)}") from error
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])
        raise ValueError(
            f"{name_or_folder}: {len(missing)} weights of {type(encoder).__name__} are missing, the first is "
            f"{missing[0]}; its config.json and its weights are not of one model"
        )
    _fit_vocabulary(encoder, vocabulary_size, name_or_folder)
    return Backbone(encoder.train())  # transformers hands it over in evaluation mode, and Lightning leaves it there


def backbone_from_config(config: PreTrainedConfig) -> Backbone:
    """The same encoder with random weights, for weights that are loaded afterwards, and for tests."""
    return Backbone(encoder_from_config(config))


def encoder_from_config(config: PreTrainedConfig) -> PreTrainedModel:
    """An encoder of transformers with random float32 weights and no pooling layer, with the attention that is usual."""
    untouched = type(config).from_dict(config.to_dict())  # without the attention that another backbone has set in it
    try:
        return AutoModel.from_config(untouched, dtype=torch.float32, add_pooling_layer=False)
    except TypeError:
        return AutoModel.from_config(untouched, dtype=torch.float32)


def _fit_vocabulary(encoder: PreTrainedModel, vocabulary_size: int, name_or_folder: str) -> None:
    """Add rows for added tokens. Spare rows stay (tables are padded to round sizes), a wrong tokenizer is refused."""
    table = encoder.get_input_embeddings()
    assert isinstance(table, nn.Embedding)
    num_rows = table.num_embeddings
    if not num_rows - _MOST_SPARE <= vocabulary_size <= num_rows + _MOST_ADDED:
        raise ValueError(
            f"{name_or_folder}: the encoder's table has {num_rows} tokens, the tokenizer {vocabulary_size}: "
            f"they are not of one model"
        )
    if vocabulary_size > num_rows:
        encoder.resize_token_embeddings(vocabulary_size, mean_resizing=False)


def _first_position(encoder: PreTrainedModel) -> int:
    """The position id of a window's first token: padding_idx + 1 in the RoBERTa family, 0 elsewhere."""
    table = getattr(getattr(encoder, "embeddings", None), "position_embeddings", None)
    padding_idx = getattr(table, "padding_idx", None)
    return 0 if padding_idx is None else padding_idx + 1
