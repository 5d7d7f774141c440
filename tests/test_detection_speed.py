"""Windows to measure have the lengths of real ones, both ways to give them to an encoder agree, and tables say so."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_lab.models.attention import PACKED
from electra_lab.models.backbone import backbone_from_config
from electra_lab.models.detector import Detector
from electra_lab.models.sizes import electra_configs, preset_sizes
from experiments import detection_speed, speed
from experiments.windows_to_time import MESSAGES, made_up_windows, runs, ways, windows_of, within

CPU = torch.device("cpu")
VOCABULARY = 300
TINY = ["detection", "--preset", "tiny", "--vocabulary", "300", "--length", "320", "--batch", "2", "--rounds", "1"]


def table(text: str) -> list[list[str]]:
    """The cells of the rows, without columns and alignment."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def middle(cell: str) -> float:
    return float(cell.split(" ")[0])


def test_made_up_windows_are_as_long_as_real_ones() -> None:
    """Measured on Korean chat: mean 128, 5 % above 192, 1 % above 231, none above 308."""
    lengths = np.array([len(window.input_ids) for window in made_up_windows(1000, VOCABULARY)])
    assert lengths.mean() == pytest.approx(128, abs=1)
    assert np.quantile(lengths, [0.95, 0.99]) == pytest.approx([192, 231], abs=2)
    assert lengths.max() == pytest.approx(288, abs=20)
    shorter = made_up_windows(100, VOCABULARY, max_length=150)
    assert max(len(window.input_ids) for window in shorter) == 150


def test_made_up_windows_are_windows() -> None:
    for window in made_up_windows(20, VOCABULARY):
        assert window.input_ids.min() >= 0 and window.input_ids.max() < VOCABULARY
        assert sorted(set(window.message_of_token.tolist())) == list(range(-1, MESSAGES))
        assert (window.message_of_token == -1).sum() == 1 + MESSAGES  # [CLS], and [SEP] after each


def test_windows_are_drawn_from_conversations(tmp_path: Path) -> None:
    """Forty messages of one word that is its own token: [MSG] [SPEAKER] word [SEP], ten a window, and [CLS]."""
    lines = [{"messages": [{"text": "밥"} for _ in range(40)]}]
    path = tmp_path / "chat.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    windows, vocabulary = windows_of([str(path)], None, VOCABULARY, 5)
    assert [len(window.input_ids) for window in windows] == [41] * 5
    assert vocabulary < 20


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 60))
def test_every_window_is_in_one_batch(lengths: list[int], size: int) -> None:
    sizes = np.array(lengths)
    for order in (np.arange(len(lengths)), np.argsort(sizes)):
        for batches in (runs(order, size), within(order, sizes, size)):
            assert np.concatenate(batches).tolist() == order.tolist()
        assert all(len(batch) == 1 or sizes[batch].sum() <= size for batch in within(order, sizes, size))
        assert [len(batch) for batch in runs(order, size)][:-1] == [size] * ((len(lengths) - 1) // size)


def test_the_ways_to_batch() -> None:
    put = ways(np.array([30, 10, 20, 10, 10, 20]), 2)
    assert {name: [batch.tolist() for batch in batches] for name, batches in put.items()} == {
        "2 windows": [[0, 1], [2, 3], [4, 5]],
        "2 windows, by length": [[1, 3], [4, 2], [5, 0]],
        "33 tokens": [[0], [1, 2], [3, 4], [5]],
        "33 tokens, by length": [[1, 3, 4], [2], [5], [0]],
        "1 windows": [[0], [1], [2], [3], [4], [5]],
        "8 windows": [[0, 1, 2, 3, 4, 5]],
    }


@pytest.fixture
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(backbone_from_config(electra_configs(preset_sizes("tiny"), VOCABULARY)[1])).eval()


def test_padded_windows_reach_the_encoder_padded_and_say_the_same(detector: Detector) -> None:
    batch = detection_speed.batch_of(made_up_windows(3, VOCABULARY), CPU)
    longest, tokens = batch.max_length, len(batch.input_ids)
    shapes: list[tuple[int, ...]] = []
    attentions: list[str] = []
    encoder = detector.backbone.encoder

    def note(module: torch.nn.Module, positional: tuple[object, ...], named: dict[str, torch.Tensor]) -> None:
        shapes.append(tuple(named["input_ids"].shape))
        attentions.append(encoder.config._attn_implementation)

    variants = detection_speed.variants_of(detector, ["fp32"], 320)
    encoder.register_forward_pre_hook(note, with_kwargs=True)
    found = [detection_speed.predict(detector, variant, [batch]) for variant in variants]
    assert shapes == [(1, tokens), (3, longest), (3, 320)]
    assert attentions == [PACKED, "sdpa", "sdpa"]
    assert 0 < detection_speed.difference(found[0], found[2]) < 2e-6
    assert detection_speed.difference(found[1], found[2]) < 2e-6
    places = [detection_speed.padding(variant, [batch]) for variant in variants]
    assert places == pytest.approx([0, 1 - tokens / (3 * longest), 1 - tokens / 960])


def test_the_table_of_prediction() -> None:
    """Made-up windows of 103 and 148 tokens (quartiles of the distribution)."""
    text = speed.main(TINY)
    assert text.startswith("2 windows of 126 tokens (95 % have at most 146), tiny, V = 300, ")
    rows = table(text)
    names = ["packed", "padded to the longest", "padded to 320"]
    assert [row[:2] for row in rows] == [[name, precision] for precision in ("fp32", "bf16") for name in names]
    assert {len(row) for row in rows} == {9}
    assert all(middle(row[2]) > 0 and float(row[3]) > 0 for row in rows)
    assert [row[4] for row in rows] == ["0%", "15%", "61%"] * 2
    assert [index for index, row in enumerate(rows) if not row[5]] == [2, 5]  # each reference beside itself
    assert all(middle(row[5]) > 0 for row in rows if row[5]) and not rows[2][6]
    assert all(middle(rows[index][6]) > 0 for index in (0, 1, 3, 4, 5))
    assert all(float(rows[index][7]) <= detection_speed.TOLERANCE for index in (0, 1))
    assert middle(rows[4][5]) == pytest.approx(middle(rows[4][6]) / middle(rows[5][6]), rel=0.1)


def test_the_table_of_training() -> None:
    rows = table(speed.main([*TINY, "--training", "--precision", "fp32"]))
    assert [row[0] for row in rows] == ["packed", "padded to the longest", "padded to 320"]
    assert all(middle(row[5]) > 0 for row in rows[:2]) and rows[2][5] == ""


def test_a_step_of_training_changes_the_weights_that_all_share(detector: Detector) -> None:
    task = detection_speed.ConversationAnomalyDetection(backbone="")
    task.detector = detector.train()
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.1)
    batch = detection_speed.batch_of(made_up_windows(2, VOCABULARY), CPU)
    table = next(detector.backbone.encoder.parameters())  # word embeddings
    for variant in detection_speed.variants_of(detector, ["fp32"], 320):
        before = table.detach().clone()
        detection_speed.train(task, optimizer, variant, [batch])
        assert not torch.equal(before, table) and table.grad is None


def test_without_fp32_there_is_no_column_beside_it() -> None:
    rows = table(speed.main([*TINY, "--precision", "bf16"]))
    assert [row[6] for row in rows] == ["", "", ""] and rows[0][5]


def test_a_reference_that_says_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows that see each other are as quick as packed ones."""
    monkeypatch.setattr(
        detection_speed.PaddedBackbone,
        "forward",
        lambda self, ids, places, bounds, longest: self.encoder(ids[None], position_ids=places[None])[0][0],
    )
    with pytest.raises(ValueError, match=r"fp32 logits differ by .* from those of padded windows"):
        speed.main([*TINY, "--precision", "fp32"])


def test_the_table_of_batching() -> None:
    rows = table(speed.main([*TINY, "--batching", "--precision", "fp32"]))
    assert [row[1] for row in rows] == ["packed"] * 6 + ["padded to the longest"] * 2
    assert [row[0] for row in rows[-2:]] == [row[0] for row in rows[:2]] == ["2 windows", "2 windows, by length"]
    assert rows[0][4] == "" and all(middle(row[4]) > 0 for row in rows[1:])
