import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torch import distributed

from electra_lab.metrics import Collected, DetectionMetrics, MeanTerms, PretrainingMetrics, detection_figures


def detection_batch(offset: int = 0) -> tuple[torch.Tensor, ...]:
    """Three windows of two conversations; message 11 is in two of them, message 13 has no label."""
    return (
        torch.tensor([[0.5, -1.0], [0.0, 2.0], [0.0, -0.4]]),
        torch.tensor([0, 1, -1]),
        torch.tensor([5, 5, 6]) + offset,
        torch.tensor([-1.0, 3.0, 1.0, 2.0, 0.5]),
        torch.tensor([0, 1, 1, 0, -1]),
        torch.tensor([10, 11, 11, 12, 13]) + offset,
        torch.tensor([0, 0, 1, 1, 2]),
    )


def collected_of(*batches: tuple[torch.Tensor, ...]) -> Collected:
    metrics = DetectionMetrics()
    for batch in batches:
        metrics.update(*batch)
    return metrics.collect()


def test_a_message_in_several_windows_counts_once_with_its_mean_logit() -> None:
    collected = collected_of(detection_batch())
    assert collected.message_ids.tolist() == [10, 11, 12, 13]
    assert collected.logits.message.tolist() == [-1.0, 2.0, 2.0, 0.5]
    assert collected.labels["message"].tolist() == [0, 1, 0, -1]


def test_windows_have_their_margin_and_conversations_the_label_of_their_windows() -> None:
    collected = collected_of(detection_batch())
    assert collected.logits.window.tolist() == pytest.approx([-1.5, 2.0, -0.4])
    assert collected.labels["window"].tolist() == [0, 1, -1]
    assert collected.windows.tolist() == [[10, 12], [11, 13], [13, 14]]
    assert collected.logits.conversation_of_window.tolist() == [5, 5, 6]
    assert collected.conversation_ids.tolist() == [5, 6]
    assert collected.labels["conversation"].tolist() == [1, -1]


def test_an_anomalous_window_makes_the_conversation_anomalous_beside_unknown_ones() -> None:
    windows, labels, conversations = torch.rand(4, 2), torch.tensor([-1, 1, -1, 0]), torch.tensor([0, 0, 1, 1])
    messages = torch.arange(4)
    collected = collected_of((windows, labels, conversations, torch.rand(4), labels, messages, messages))
    assert collected.labels["conversation"].tolist() == [1, -1]


def test_the_order_is_that_of_the_conversations_whatever_came_first() -> None:
    """Ranks hand over their batches one rank after another; "the last n windows" needs the windows as they follow."""
    first, second = detection_batch(), detection_batch(offset=100)
    expected, found = collected_of(first, second), collected_of(second, first)
    assert found.windows[:, 0].tolist() == [10, 11, 13, 110, 111, 113]
    for one, other in zip((*expected[:1][0], *expected[2:]), (*found[:1][0], *found[2:]), strict=True):
        assert np.array_equal(one, other)
    assert all(np.array_equal(found.labels[level], labels) for level, labels in expected.labels.items())


def test_one_window_with_one_message() -> None:
    one, zero = torch.ones(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    collected = collected_of((torch.tensor([[0.0, 0.7]]), one, one, torch.tensor([0.0]), one, one, zero))
    for labels in collected.labels.values():  # torchmetrics makes scalars of what `compute` returns
        assert labels.tolist() == [1]
    assert len(collected.logits.window) == len(collected.logits.message) == 1


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_reset_forgets() -> None:
    metrics = DetectionMetrics()
    metrics.update(*detection_batch())
    metrics.reset()
    assert all(len(labels) == 0 for labels in metrics.collect().labels.values())


def test_figures_by_hand() -> None:
    # tp 2, fn 1, fp 3, tn 4. "Precision" as tn / (tn + fp) = .571 was one of the mistakes made before.
    scores = torch.tensor([0.9, 0.8, 0.3, 0.7, 0.6, 0.5, 0.4, 0.2, 0.1, 0.0])
    labels = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    figures = detection_figures(scores, labels, threshold=0.5)  # .5 itself is an alarm
    assert figures["confusion"] == [[4, 3], [1, 2]]
    assert figures["precision"] == pytest.approx(2 / 5)
    assert figures["recall"] == pytest.approx(2 / 3)
    assert figures["f1"] == pytest.approx(1 / 2)
    assert figures["f2"] == pytest.approx(5 * 2 / (5 * 2 + 4 * 1 + 3))
    assert figures["recall_at_fpr_1"] == pytest.approx(2 / 3)
    assert figures["accuracy"] == pytest.approx(6 / 10)
    assert figures["auroc"] == pytest.approx(17 / 21)  # pairs in the right order
    assert figures["average_precision"] == pytest.approx((1 + 1 + 3 / 7) / 3)
    assert (figures["num"], figures["num_positive"], figures["prevalence"]) == (10, 3, 0.3)


def test_figures_agree_with_another_library() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (200,), generator=random)
    scores = (torch.rand(200, generator=random) + 0.3 * labels).clamp(max=1).mul(20).round().div(20)  # with ties
    figures = detection_figures(scores, labels, 0.6)
    alarms = (scores >= 0.6).int()
    assert figures["f1"] == pytest.approx(sklearn_metrics.f1_score(labels, alarms))
    assert figures["auroc"] == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores))
    assert figures["average_precision"] == pytest.approx(sklearn_metrics.average_precision_score(labels, scores))


def test_no_alarm_has_no_precision() -> None:
    figures = detection_figures(torch.tensor([0.2, 0.4]), torch.tensor([0, 1]), threshold=0.5)
    assert figures["precision"] is None and figures["recall"] == figures["f1"] == 0.0


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_not_measured(label: int) -> None:
    figures = detection_figures(torch.tensor([0.2, 0.8, 0.9]), torch.full((3,), label), 0.5)
    names = ("auroc", "average_precision", "f1", "f2", "precision", "recall", "recall_at_fpr_1")
    assert [figures[name] for name in names] == [None] * 7
    assert figures["accuracy"] == pytest.approx((1 + label) / 3)
    assert detection_figures(torch.zeros(0), torch.zeros(0, dtype=torch.int64), 0.5)["accuracy"] is None


def pretraining_batch(seed: int) -> tuple[torch.Tensor, ...]:
    """Four examples of 50 tokens, the last 10 padding; 8 masked positions of which 6 are used."""
    random = torch.Generator().manual_seed(seed)
    weights = torch.ones(4, 8)
    weights[:, 6:] = 0
    mask = torch.ones(4, 50, dtype=torch.int64)
    mask[:, 40:] = 0
    labels = (torch.rand(4, 50, generator=random) < 0.15).long()
    nll = torch.rand(4, 8, generator=random)
    logits = torch.randn(4, 50, generator=random) + labels
    nll[:, 6:], logits[:, 40:] = 99, 5  # whatever stands where nothing counts
    return (
        nll,
        weights,
        torch.rand(4, 8, generator=random) < 0.5,
        torch.rand(4, 8, generator=random) < 0.3,
        logits,
        labels,
        mask,
    )


def test_pretraining_figures_are_of_real_tokens_only() -> None:
    metrics = PretrainingMetrics()
    batches = [pretraining_batch(seed) for seed in range(3)]
    for batch in batches:
        metrics.update(*batch)
    nll, weights, argmax, sampled, logits, labels, mask = (torch.cat(values) for values in zip(*batches, strict=True))
    chosen, real = weights > 0, mask > 0
    logits, labels = logits[real], labels[real]
    called = logits > 0
    expected = {
        "masked_lm_loss": nll[chosen].mean(),
        "masked_lm_accuracy": argmax[chosen].float().mean(),
        "sampled_accuracy": sampled[chosen].float().mean(),
        "discriminator_loss": torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float()),
        "discriminator_accuracy": sklearn_metrics.accuracy_score(labels, called),
        "discriminator_precision": sklearn_metrics.precision_score(labels, called),
        "discriminator_recall": sklearn_metrics.recall_score(labels, called),
        "replaced_rate": labels.float().mean(),
        "all_original_accuracy": 1 - labels.float().mean(),
    }
    computed = metrics.compute()
    for name, value in expected.items():
        assert computed[name].item() == pytest.approx(float(value), abs=1e-6), name
    assert computed["discriminator_auroc"].item() == pytest.approx(
        sklearn_metrics.roc_auc_score(labels, logits), abs=0.002
    )
    assert computed.keys() == expected.keys() | {"discriminator_auroc"}


def test_pretraining_auroc_sees_the_first_learning() -> None:
    # A young discriminator gives every token about the replaced rate: a hundred bins would hold all tokens in one.
    metrics = PretrainingMetrics()
    nll, weights, argmax, sampled, logits, labels, mask = pretraining_batch(0)
    logits = 0.03 * logits - 1.7
    metrics.update(nll, weights, argmax, sampled, logits, labels, mask)
    exact = sklearn_metrics.roc_auc_score(labels[mask > 0], logits[mask > 0])
    computed = metrics.compute()
    assert computed["discriminator_auroc"].item() == pytest.approx(exact, abs=0.01)
    assert computed["discriminator_recall"] == 0


def test_pretraining_figures_where_nothing_can_be_said() -> None:
    metrics = PretrainingMetrics()
    nll, weights, argmax, sampled, logits, labels, mask = pretraining_batch(0)
    metrics.update(nll, weights, argmax, sampled, logits - 100, torch.zeros_like(labels), mask)
    computed = metrics.compute()
    assert computed["discriminator_auroc"].isnan()
    assert computed["discriminator_precision"] == 0


def test_mean_terms_weigh_windows_not_batches() -> None:
    terms = MeanTerms(("a", "b"))
    terms.update({"a": torch.tensor([1.0, 1.0, 1.0]), "b": torch.zeros(3)})
    terms.update({"a": torch.tensor([5.0]), "b": torch.ones(1)})
    assert {name: value.item() for name, value in terms.compute().items()} == {"a": 2.0, "b": 0.25}


def test_ranks_agree_also_when_one_has_seen_nothing(tmp_path: Path) -> None:
    start = multiprocessing.get_context("fork").Process
    processes = [start(target=_rank, args=(rank, tmp_path), daemon=True) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt") == (as_lists(collected_of(detection_batch())), 2.0)


def as_lists(collected: Collected) -> list[object]:
    logits = [values.tolist() for values in collected.logits]
    return [logits, *(values.tolist() for values in (*collected.labels.values(), *collected[2:]))]


def _rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    metrics, terms = DetectionMetrics(), MeanTerms(("a",))
    if rank == 1:
        metrics.update(*detection_batch())
        terms.update({"a": torch.tensor([1.0, 3.0])})
    torch.save((as_lists(metrics.collect()), terms.compute()["a"].item()), folder / f"{rank}.pt")
    distributed.destroy_process_group()
