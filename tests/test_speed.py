"""The benchmark compares equals: the reference step has our losses, and both run on the same batches."""

import json

import pytest
import torch

from electra_lab.models import electra as module
from electra_lab.models.sizes import Sizes, electra_configs
from experiments import arithmetic, pretraining_speed, reference_step, speed
from tests.made_up_files import write_data

VOCABULARY = 211
SIZES = Sizes(2, 32, 64, 4, 8, 0.5, max_positions=24, dropout=0.0)
CPU = torch.device("cpu")


@pytest.fixture
def steps():
    """Ours and the reference with the same weights."""
    torch.manual_seed(0)
    configs = electra_configs(SIZES, VOCABULARY)
    ours = pretraining_speed.our_step(configs, "fp32", CPU)
    reference = pretraining_speed.reference_step(configs, "fp32", CPU)
    ours.module.electra.load_state_dict(reference.module.state_dict())
    return ours, reference


@pytest.fixture
def batch():
    return pretraining_speed.made_up_batch(4, 16, VOCABULARY, 0, CPU)


@pytest.fixture
def same_draws(batch, monkeypatch):
    """Both write the same tokens; half of the slots get the original one back."""
    original = batch.input_ids.gather(1, batch.masked_positions)
    drawn = torch.where(torch.arange(original.shape[1]) % 2 == 0, original, 7)
    order = batch.masked_positions.argsort(1)
    in_text_order = drawn.gather(1, order)[batch.masked_weights.gather(1, order) > 0]
    monkeypatch.setattr(module, "draw", lambda likelihoods: drawn)
    monkeypatch.setattr(reference_step, "gumbel_draw", lambda logits: in_text_order)


@pytest.mark.usefixtures("same_draws")
def test_the_losses_are_equal(steps, batch):
    ours, reference = (variant.losses(batch) for variant in steps)
    for mine, theirs in zip(ours, reference, strict=True):
        assert float(mine.detach()) == pytest.approx(float(theirs.detach()), abs=1e-5)


@pytest.mark.usefixtures("same_draws")
def test_the_first_update_is_the_same(steps, batch):
    for variant in steps:
        pretraining_speed.take_step(variant, batch)
    ours, reference = (dict(steps[0].module.electra.state_dict()), steps[1].module.state_dict())
    for name, tensor in reference.items():
        assert (ours[name] - tensor).abs().max() < 2e-5, name  # a step of Adam is 5e-4


def test_the_batch_is_what_the_data_give(batch):
    """4 x 16 tokens, the last example 12 long; 2 of 16 and of 12 are masked, never [CLS] or padding."""
    assert batch.attention_mask.sum(1).tolist() == [16, 16, 16, 12]
    assert batch.masked_weights.sum(1).tolist() == [2, 2, 2, 2]
    chosen = batch.masked_positions[batch.masked_weights > 0].view(4, -1)
    assert (chosen > 0).all() and (chosen[3] < 12).all() and (chosen[:, 0] != chosen[:, 1]).all()
    changed = batch.masked_input_ids != batch.input_ids
    assert (batch.masked_input_ids[changed] == 4).all() and changed.sum() <= 8
    assert (float(batch.num_masked), float(batch.num_tokens)) == (8, 60)


@pytest.mark.parametrize(("precision", "rows"), [("fp32", 2), ("bf16", 3)])
def test_it_prints_a_table(precision, rows, monkeypatch):
    monkeypatch.setattr(pretraining_speed, "MATMUL_SIZE", {"cpu": 64})
    sizes = ["--preset", "tiny", "--length", "16", "--batch", "2", "--vocabulary", "300"]
    table = speed.main(["pretraining", *sizes, "--precision", precision, "--rounds", "2", "--steps", "1"])
    lines = table.splitlines()
    assert len(lines) == 2 + rows and lines[2].startswith(f"| ours | {precision} |")
    assert len({line.count("|") for line in lines}) == 1


def test_it_prints_a_profile():
    sizes = ["--preset", "tiny", "--length", "16", "--batch", "2", "--vocabulary", "300"]
    table = speed.main(["pretraining", *sizes, "--profile", "--device", "cpu"])
    assert "| matrix products |" in table and "| dropout |" in table


def test_arithmetic_of_the_paper():
    """Small: 1M steps of 128 x 128 tokens. 1.15e18 FLOPs, by an earlier count, are 1.1 hours of an H100 at 30 %."""
    tables = arithmetic.main([])
    small = next(line for line in tables.splitlines() if line.startswith("| small |"))
    assert "16.4" in small and "1.15e18" in small
    base = next(line for line in tables.splitlines() if line.startswith("| base |"))
    assert "100.4" in base
    assert arithmetic.store_bytes(1000, 128) == 2000 + 320 + 187.5  # ids, 40 lines, 7.8 examples


def test_what_resuming_costs_is_a_table_of_every_part(tmp_path):
    write_data(tmp_path, num_documents=30)
    text = [
        "--data.paths",
        str(tmp_path / "text.txt"),
        "--data.vocabulary_size",
        "600",
        "--data.validation_share",
        ".1",
    ]
    table = speed.main(["reliability", "--steps", "3", "--batch", "2", "--preset", "tiny", "--", *text])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert [row[0] for row in rows][:4] == ["ExactResume", "NonFinite", "ResumeCheckpoints", "Signals"]
    *parts, together = (float(row[1]) for row in rows[:5])
    assert 0 < together == pytest.approx(sum(parts), abs=0.03)
    assert float(rows[4][2][:-1]) == pytest.approx(100 * together / float(rows[5][1]), abs=0.1)


def test_every_stage_of_a_prediction_is_timed(tmp_path, koelectra_folder):
    sizes = [12, 3]
    lines = [json.dumps({"id": str(size), "messages": ["안녕"] * size}) for size in sizes]
    (tmp_path / "chats.jsonl").write_text("\n".join(lines), encoding="utf-8")
    given = ["--paths", str(tmp_path / "chats.jsonl"), "--tokenizer", str(koelectra_folder), "--preset", "tiny"]
    heading, _, *table = speed.main(["prediction", *given, "--rounds", "2"]).splitlines()
    assert heading.startswith("2 conversations, 15 messages, 3 windows of ")
    assert " tokens, tiny, fp32, 1 threads; ours is " in heading
    rows = {cells[1].strip(): float(cells[2].split()[0]) for cells in (line.split("|") for line in table[2:])}
    read, score, write, reference, together = rows.values()
    assert together == pytest.approx(read + score + write, abs=0.1) and reference > score
