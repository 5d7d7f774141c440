from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from electra_lab.data.encoding import ConversationEncoder, EncodedWindow, pack, starts_of_words
from electra_lab.data.text import for_model
from electra_lab.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def tokenizer(koelectra_folder: Path) -> PreTrainedTokenizerFast:
    return load_tokenizer(str(koelectra_folder), num_speakers=2)


@pytest.fixture(scope="module")
def encoder(tokenizer: PreTrainedTokenizerFast) -> ConversationEncoder:
    return ConversationEncoder(tokenizer)


def test_encode_window(encoder: ConversationEncoder, tokenizer: PreTrainedTokenizerFast) -> None:
    window = encoder.encode_window(encoder.encode_texts(["안녕", "", "ㅋ!"]), speakers=[0, 1, 7])
    tokens = " ".join(tokenizer.convert_ids_to_tokens(window.input_ids))
    assert tokens == "[CLS] [MSG] [SPEAKER_0] 안 ##녕 [SEP] [MSG] [SPEAKER_1] [SEP] [MSG] [SPEAKER_1] ㅋ ! [SEP]"
    assert window.message_of_token.tolist() == [-1, 0, 0, 0, 0, -1, 1, 1, -1, 2, 2, 2, 2, -1]
    assert window.input_ids.dtype == window.message_of_token.dtype == np.int64


FORGED = st.lists(
    st.sampled_from(["[SEP]", "[MSG]", "[SPEAKER_1]", "[MASK]", "[CLS]", "[PAD]", " ", "[S\u200bEP]", "가", "[", "x"]),
    max_size=12,
).map("".join)


@given(st.lists(FORGED, min_size=1, max_size=5))
@settings(derandomize=True, max_examples=50, deadline=None)
def test_control_tokens_that_people_type_stay_text(
    encoder: ConversationEncoder, tokenizer: PreTrainedTokenizerFast, texts: list[str]
) -> None:
    window = encoder.encode_window(encoder.encode_texts(texts), [0] * len(texts))
    control = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    found = [token for token in window.input_ids.tolist() if token in control]
    typed = [token for token in window.input_ids.tolist() if token not in control]
    spelt = "".join(tokenizer.convert_ids_to_tokens(typed)).replace("##", "")
    assert spelt == "".join(for_model(text) for text in texts).replace(" ", "")  # and nothing of it is lost
    ours = ["[CLS]", *["[MSG]", "[SPEAKER_0]", "[SEP]"] * len(texts)]
    assert tokenizer.convert_ids_to_tokens(found) == ours


def test_control_tokens_that_are_pieces_of_a_unigram_vocabulary_are_left_out() -> None:
    pieces = [(piece, -1.0) for piece in ("<unk>", "<s>", "</s>", "▁", "a")]  # as XLM-R has them
    raw = Tokenizer(models.Unigram(pieces, unk_id=0))
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        extra_special_tokens=["[MSG]", "[SPEAKER_0]"],
    )
    encoder = ConversationEncoder(tokenizer, num_speakers=1)
    assert tokenizer.convert_ids_to_tokens(encoder.encode_texts(["a </s> a"])[0]) == ["▁", "a", "▁", "▁", "a"]
    assert starts_of_words(tokenizer).tolist() == [False, False, False, True, False, False, False]


def test_decomposed_text_is_read_like_composed(encoder: ConversationEncoder) -> None:
    composed, decomposed = encoder.encode_texts(["안녕", "\u110b\u1161\u11ab\u1102\u1167\u11bc"])
    assert composed.tolist() == decomposed.tolist()


def test_long_messages_keep_head_and_tail_and_are_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = ConversationEncoder(tokenizer, max_length=20)
    assert encoder.max_message_tokens == 16  # [CLS] [MSG] [SPEAKER_k] ... [SEP] fill 20
    ids, short = encoder.encode_texts(["a " * 9 + "b " * 9, "a " * 16])
    assert tokenizer.convert_ids_to_tokens(ids) == ["a"] * 8 + ["b"] * 8
    assert len(short) == 16 and encoder.num_capped == 1
    assert len(encoder.encode_window([ids], [0]).input_ids) == 20
    assert ConversationEncoder(tokenizer).max_message_tokens == 128


def test_long_windows_are_shortened_and_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = ConversationEncoder(tokenizer, max_length=81)
    ids = encoder.encode_texts(["a " * 13] * 15)  # 16 tokens with marks: five fit into 80
    assert encoder.windows(ids) == [(0, 5), (5, 10), (10, 15)]
    assert encoder.num_shortened == 2
    assert all(len(encoder.encode_window(ids[s:e], [0] * (e - s)).input_ids) <= 81 for s, e in encoder.windows(ids))


def test_settings_that_cannot_work_are_refused(tokenizer: PreTrainedTokenizerFast, koelectra_folder: Path) -> None:
    with pytest.raises(ValueError, match="leaves messages out"):
        ConversationEncoder(tokenizer, window=5, stride=6)
    with pytest.raises(ValueError, match="no room"):
        ConversationEncoder(tokenizer, max_length=4)
    with pytest.raises(ValueError, match=r"lacks \[SPEAKER_2\]"):
        ConversationEncoder(tokenizer, num_speakers=3)
    with pytest.raises(ValueError, match=r"lacks \[MSG\]"):
        ConversationEncoder(load_tokenizer(str(koelectra_folder)))


def test_starts_of_words(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tokenizer("안녕 가", add_special_tokens=False)["input_ids"]
    assert starts_of_words(tokenizer)[ids].tolist() == [True, False, True]


def test_pack() -> None:
    windows = [
        EncodedWindow(np.array([2, 9, 3, 9, 3]), [5], np.array([-1, 0, -1, 1, -1])),
        EncodedWindow(np.array([2, 8, 8, 3]), [4], np.array([-1, 0, 0, -1])),
        EncodedWindow(np.array([2, 7, 3]), [3], np.array([-1, 0, -1])),
    ]
    batch = pack(windows, [[0, 1], [-1], [0]], [[4, 5], [5], [9]], [0, 0, 3], position=(1, 2))
    assert batch.input_ids.tolist() == [2, 9, 3, 9, 3, 2, 8, 8, 3, 2, 7, 3]
    assert batch.position_ids.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 0, 1, 2]
    assert batch.cu_seq_lens.tolist() == [0, 5, 9, 12] and str(batch.cu_seq_lens.dtype) == "torch.int32"
    assert batch.max_length == 5
    assert batch.window_of_token.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert batch.message_of_token.tolist() == [-1, 0, -1, 1, -1, -1, 2, 2, -1, -1, 3, -1]
    assert batch.window_of_message.tolist() == [0, 0, 1, 2]
    assert batch.message_labels.tolist() == [0, 1, -1, 0]
    assert batch.window_labels.tolist() == [1, -1, 0]
    assert batch.message_ids.tolist() == [4, 5, 5, 9]
    assert batch.conversation_of_window.tolist() == [0, 0, 3]
    assert batch.position == (1, 2)


def test_messages_read_by_themselves(tokenizer: PreTrainedTokenizerFast) -> None:
    """Each message is what it is in a window of one; windows and their messages stay the same."""
    together, alone = ConversationEncoder(tokenizer), ConversationEncoder(tokenizer, context="message")
    ids = together.encode_texts(["안녕", "오늘 뭐해", "가"])
    window = alone.encode_window(ids, [0, 1, 0])
    singles = [together.encode_window([part], [speaker]) for part, speaker in zip(ids, [0, 1, 0], strict=True)]
    assert window.input_ids.tolist() == [token for single in singles for token in single.input_ids.tolist()]
    assert window.sequences == [len(single.input_ids) for single in singles]
    owners = [
        single.message_of_token + number * (single.message_of_token >= 0) for number, single in enumerate(singles)
    ]
    assert window.message_of_token.tolist() == np.concatenate(owners).tolist()
    batch = pack([window, window], [[0, 1, 0]] * 2, [[0, 1, 2]] * 2, [0, 0])
    assert batch.position_ids.tolist() == [*(np.concatenate([np.arange(n) for n in window.sequences]).tolist() * 2)]
    assert batch.cu_seq_lens.diff().tolist() == window.sequences * 2 and batch.max_length == max(window.sequences)
    assert batch.window_of_token.bincount().tolist() == [len(window.input_ids)] * 2
    with pytest.raises(ValueError, match="context must be one of window, message, got 'sentence'"):
        ConversationEncoder(tokenizer, context="sentence")


def test_windows_of_messages_read_by_themselves_are_never_shortened(tokenizer: PreTrainedTokenizerFast) -> None:
    together, alone = (
        ConversationEncoder(tokenizer, max_length=40, context=context) for context in ("window", "message")
    )
    ids = [np.full(30, 7)] * 12
    assert len(together.windows(ids)) > len(alone.windows(ids)) == 2 and alone.num_shortened == 0
