"""The batches that travel from the data to the tasks: NamedTuples, the shape of every tensor beside it.

B examples, L tokens of an example, N masked positions of an example (fixed); W windows, M messages, T tokens of all
windows together, G character n-grams of all messages together. Ids are int64, flags and labels int64, weights float32,
unless the line says otherwise.
"""

from typing import NamedTuple

from torch import Tensor

NGRAM_BUCKETS = 2**20  # numbers that a character n-gram is hashed to


class PretrainingBatch(NamedTuple):
    """Examples `[CLS] A [SEP] B [SEP]` with their masks; the shapes never change, so that a compiled step stays one."""

    input_ids: Tensor  # (B, L) as in the corpus, [PAD] at the end
    masked_input_ids: Tensor  # (B, L) the same after masking: what the generator reads
    token_type_ids: Tensor  # (B, L) 0 for [CLS] A [SEP], 1 for B [SEP]
    attention_mask: Tensor  # (B, L) 1 = real token, 0 = [PAD]
    masked_positions: Tensor  # (B, N) chosen positions; unused slots hold 0 (= [CLS])
    masked_weights: Tensor  # (B, N) float32, 1 = chosen, 0 = unused slot
    num_masked: Tensor  # () float32, the share of the whole optimizer step: masked positions / (accumulation x devices)
    num_tokens: Tensor  # () float32, likewise for real tokens
    position: tuple[int, int]  # (epoch, micro-batch of the epoch over all devices): where chance starts from


class ConversationBatch(NamedTuple):
    """Windows of conversations, packed: all windows' tokens one after another, without padding."""

    input_ids: Tensor  # (T,)
    position_ids: Tensor  # (T,) from 0 in every sequence
    cu_seq_lens: Tensor  # (S + 1,) int32, where each sequence starts that is read by itself; the last is T
    max_length: int  # tokens of the longest sequence: a window, or a message if each is read by itself
    window_of_token: Tensor  # (T,) 0..W-1
    message_of_token: Tensor  # (T,) 0..M-1, or -1 for [CLS] and [SEP], which belong to no message
    window_of_message: Tensor  # (M,) 0..W-1
    message_labels: Tensor  # (M,) 1 anomalous, 0 not, -1 unknown
    window_labels: Tensor  # (W,) 1 if any of its messages is anomalous, -1 if unknown
    message_ids: Tensor  # (M,) which message of the split: messages in several windows are counted once
    conversation_of_window: Tensor  # (W,) which conversation of the split
    ngram_ids: Tensor  # (G,) 0..NGRAM_BUCKETS-1; none where the detector does not read them
    ngram_weights: Tensor  # (G,) float32, their share in their message
    message_of_ngram: Tensor  # (G,) 0..M-1
    position: tuple[int, int]  # (epoch, micro-batch of the epoch over all devices): where chance starts from
