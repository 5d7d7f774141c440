"""The injection benchmark: its corpora, its table that goes on, and figures over folds."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from electra_lab.data import synthetic
from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.formats import read_conversations
from electra_lab.data.parts import Part
from electra_lab.data.splits import load
from electra_lab.evaluation import Scores, evaluate
from experiments import benchmark, table
from experiments.benchmark_report import LEAKY, Result, report
from experiments.folds import difference_over_folds, mean_over_folds
from experiments.injected import CONVERSATIONS, HELD_OUT, SPLITS, Injected, Texts, build
from experiments.injected import inserted as insert
from experiments.policies import alarms


@pytest.fixture(scope="module")
def texts():
    hosts = [c for c in synthetic.conversations(seed=0) if not c.is_anomalous][:60]
    positives, harmless = synthetic.sources(seed=0)
    kinds = sorted({source.kind for source in positives})
    held_out = [source for source in positives if source.kind == kinds[-1]]
    return Texts(hosts, [source for source in positives if source.kind != kinds[-1]], harmless, held_out)


@pytest.fixture(scope="module")
def corpus(texts, tmp_path_factory):
    return build(texts, 1, Injected(num_folds=3, train_share=2.0), tmp_path_factory.mktemp("fold"))


def read(corpus):
    conversations = list(read_conversations([str(corpus / CONVERSATIONS)]))
    splits = load(corpus / SPLITS, conversations)
    return [[conversations[index] for index in indices] for indices in splits]


def inserted(conversations, label):
    return [m for c in conversations for m in c.messages if m.source is not None and m.label == label]


def test_parts_share_no_source_and_no_host(corpus):
    parts = read(corpus)
    sources = [{m.source for m in inserted(part, 0) + inserted(part, 1)} for part in parts]
    ids = [{c.id for c in part} for part in parts]
    for some in (sources, ids):
        assert all(some) and not (some[0] & some[1] or some[0] & some[2] or some[1] & some[2])


def test_prevalence_is_asked_for_and_every_insertion_is_matched(corpus):
    train, *others = read(corpus)
    for part in others:
        assert sum(c.is_anomalous for c in part) == round(0.15 * len(part))
    assert all(c.is_anomalous for c in train)  # two insertions a conversation, anomalous and harmless ones
    for part in (train, *others):
        assert len(inserted(part, 0)) == len(inserted(part, 1))
        assert len({m.source for m in inserted(part, 0)}) == len({m.source for m in inserted(part, 1)})
    assert len({m.source for m in inserted(train, 1)}) == 2 * len(train)


def test_a_held_out_kind_is_in_the_hosts_of_the_test_alone(corpus, texts):
    unseen = list(read_conversations([str(corpus / HELD_OUT)]))
    parts = read(corpus)
    assert {m.kind for m in inserted(unseen, 1)} == {texts.held_out[0].kind}
    assert texts.held_out[0].kind not in {m.kind for part in parts for m in inserted(part, 1)}
    assert {c.id for c in unseen} == {c.id for c in parts[2]}
    assert {m.source for m in inserted(unseen, 0)}.isdisjoint(m.source for part in parts for m in inserted(part, 0))


def test_without_hard_negatives_only_the_test_has_harmless_insertions(texts, tmp_path):
    corpus = build(texts, 0, Injected(num_folds=3, train_share=1.0, harmless_in_training=False), tmp_path)
    assert [bool(inserted(part, 0)) for part in read(corpus)] == [False, False, True]


def test_a_corpus_is_made_once_and_a_broken_one_again(texts, tmp_path):
    settings = Injected(num_folds=3, train_share=1.0)
    build(texts, 0, settings, tmp_path)
    first = (tmp_path / SPLITS).stat().st_mtime_ns
    build(texts, 0, settings, tmp_path)
    assert (tmp_path / SPLITS).stat().st_mtime_ns == first
    (tmp_path / "settings.json").unlink()  # as after a kill
    build(texts, 0, settings, tmp_path)
    assert (tmp_path / SPLITS).stat().st_mtime_ns > first
    with pytest.raises(ValueError, match="made with other settings"):
        build(texts, 0, Injected(num_folds=3, train_share=2.0), tmp_path)


def test_empty_and_short_hosts_are_left_out(texts, tmp_path):
    """The detector's data have no empty conversation, so that the splits would name one which is not there."""
    few = [Conversation(f"few{number}", (Message(f"짧은 말 {number}"),) * number) for number in range(4)]
    hosts = [*texts.hosts[:20], *few, *texts.hosts[20:]]
    corpus = build(texts._replace(hosts=hosts), 0, Injected(num_folds=3, train_share=1.0), tmp_path)
    assert not any(conversation.id.startswith("few") for part in read(corpus) for conversation in part)


def test_every_fold_draws_its_own_held_out_texts(texts, tmp_path):
    """Equal ones would be one sample, and the interval over the folds too narrow."""
    settings = Injected(num_folds=3, train_share=1.0)
    used = []
    for fold in range(2):
        corpus = build(texts, fold, settings, tmp_path / str(fold))
        used.append({m.source for m in inserted(list(read_conversations([str(corpus / HELD_OUT)])), 1)})
    assert len(used[0] & used[1]) < len(used[0])


def test_no_share_is_refused(texts):
    with pytest.raises(ValueError, match=r"share 0.0 and"):
        insert(texts.hosts, texts.positives, texts.harmless, 0.0, seed=0)


SPECIFICATION = """
config: some.yaml
seeds: [1, 2]
options: {trainer.max_epochs: 4}
rows:
  plain: {}
  "with, comma": {trainer.max_epochs: 1, data.paths: [a, b]}
figures: {message AP: [test, message, average_precision], none: [test, absent, f1]}
"""


@pytest.fixture
def started(monkeypatch):
    """Commands that would be run; a run leaves .25 times its seed, the one of seed 2 of the second row fails."""
    commands = []

    def run(command, stdout, stderr, env, check):
        options = dict(zip(command[4::2], command[5::2], strict=True))
        commands.append(options)
        if options["--run_name"] == "with__comma-seed2" and len(commands) < 5:
            return SimpleNamespace(returncode=1)
        folder = Path(options["--output"], command[3], options["--run_name"])
        folder.mkdir(parents=True)
        value = {"test": {"message": {"average_precision": 0.25 * int(options["--seed"])}}}
        (folder / "results.json").write_text(json.dumps(value), encoding="utf-8")
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(table.subprocess, "run", run)
    return commands


def test_a_table_runs_what_is_missing_and_says_what_failed(started, tmp_path, capsys):
    (tmp_path / "spec.yaml").write_text(SPECIFICATION, encoding="utf-8")
    command = [str(tmp_path / "spec.yaml"), "--output", str(tmp_path / "out")]
    table.main(command)
    said = capsys.readouterr()
    assert "with__comma-seed2 failed (exit code 1): see " in said.err
    assert "| plain | 0.375 ± 0.177 | n/a | 2 |" in said.out and "| with, comma | 0.250 | n/a | 1 |" in said.out
    assert started[0]["--trainer.max_epochs"] == "4" and started[0]["--config"] == "some.yaml"
    assert started[1]["--trainer.max_epochs"] == "1" and started[1]["--data.paths"] == '["a", "b"]'
    assert len(started) == 4 and (tmp_path / "out/table.png").stat().st_size > 5000
    table.main(command)  # again: only what failed
    assert [options["--run_name"] for options in started[4:]] == ["with__comma-seed2"]
    assert (tmp_path / "out/table.csv").read_text().splitlines()[1] == "plain,,1,0.25,"
    (tmp_path / "spec.yaml").write_text(SPECIFICATION.replace("epochs: 4", "epochs: 5"), encoding="utf-8")
    with pytest.raises(SystemExit, match="was run with other options; give another --output"):
        table.main(command)


def test_a_specification_with_an_unknown_key_is_refused(tmp_path):
    (tmp_path / "spec.yaml").write_text(SPECIFICATION + "row: {}\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="expected the keys config, figures, options, rows, seeds, verb"):
        table.main([str(tmp_path / "spec.yaml"), "--output", str(tmp_path)])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected the keys"),
        ("- config", "expected the keys"),
        ("rows: [", "is not YAML"),
        ("{config: a, figures: {}, rows: {}}", "rows must be names with options"),
        ("{config: a, figures: {}, rows: [a]}", "rows must be names with options"),
        ("{config: a, figures: {}, rows: {a b: {}, a_b: {}}}", "two runs would be called a_b-seed1"),
        ("{config: a, figures: {}, rows: {a: {}}, seeds: [2, 2]}", "two runs would be called a-seed2"),
    ],
)
def test_a_specification_that_cannot_be_gets_a_sentence(tmp_path, started, text, sentence):
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=rf"experiments\.table: .*{sentence}"):
        table.main([str(tmp_path / "spec.yaml"), "--output", str(tmp_path)])
    assert not started


def test_no_process_is_refused(tmp_path):
    (tmp_path / "spec.yaml").write_text(SPECIFICATION, encoding="utf-8")
    with pytest.raises(SystemExit, match="0 processes run nothing"):
        table.main([str(tmp_path / "spec.yaml"), "--output", str(tmp_path), "--processes", "0"])


def test_mistakes_of_the_benchmark_are_said_before_anything_is_trained(tmp_path, started):
    same = tmp_path / "same.jsonl"
    same.write_text("\n".join(json.dumps({"kind": "threat", "messages": [f"{n} 번째 말"]}) for n in range(99)))
    needed = ["--backbone", "none", "--output", str(tmp_path / "out")]
    (tmp_path / "out/corpora/plain-0").mkdir(parents=True)
    (tmp_path / "out/corpora/plain-0/settings.json").write_text("{}")
    for options, sentence in (
        (["--held_out", str(same)], "go with --positives"),
        (["--positives", str(same), "--held_out", str(same)], "the kind threat is in --positives and in --held_out"),
        (["--positives", str(same), "--harmless", str(same)], r"corpora was made of other files"),
        (["--output", str(tmp_path / "new"), "--keywords", str(tmp_path / "ghost.yaml")], r"ghost\.yaml"),
    ):
        with pytest.raises(SystemExit, match=rf"experiments\.benchmark: .*{sentence}"):
            benchmark.main([*needed, *options])
    assert not started


def test_made_up_texts_are_enough_without_any_data():
    texts, settings = benchmark._texts(None, None, None, None), Injected()
    num_trained = len(texts.hosts) * (settings.num_folds - 2) / settings.num_folds
    for kind in {source.kind for source in texts.positives}:
        sources = [source for source in texts.positives if source.kind == kind]
        assert 0.6 * len(sources) >= settings.train_share * num_trained  # six of ten are for the training
    assert len(texts.harmless) >= len(texts.positives)
    assert {source.kind for source in texts.positives}.isdisjoint(source.kind for source in texts.held_out)


def part_of_labels(rng, num_conversations=40):
    labels = (rng.random(num_conversations * 10) < 0.1).astype(np.int64)
    bounds = np.arange(0, len(labels) + 1, 10)
    groups = np.stack([bounds[:-1], bounds[1:]], axis=1)
    return Part([None] * num_conversations, [None] * len(labels), labels, labels * 0 == 1, groups, groups)


def test_a_figure_over_folds_is_the_mean_of_the_folds():
    rng = np.random.default_rng(0)
    parts = [part_of_labels(rng) for _ in range(3)]
    noise = [[Scores(message=part.labels * 0.5 + rng.random(len(part.labels))) for _ in range(2)] for part in parts]
    value, low, high = mean_over_folds(parts, noise, "message", "average_precision")
    thresholds = {"message": 0.5}
    expected = []
    for part, seeds in zip(parts, noise, strict=True):
        known = part._replace(conversations=[], messages=[SimpleNamespace(kind=None)] * len(part.labels))
        for scores in seeds:
            expected.append(evaluate(known, scores, thresholds, draws=1)["message"]["average_precision"])
    assert value == pytest.approx(np.mean(expected)) and low < value < high
    assert difference_over_folds(parts, noise, noise, "message") == (0.0, 0.0, 0.0)


def test_a_better_detector_is_seen_and_chance_is_not():
    rng = np.random.default_rng(1)
    parts = [part_of_labels(rng) for _ in range(5)]
    good = [[Scores(message=part.labels + rng.random(len(part.labels)))] for part in parts]
    chance, other = ([[Scores(message=rng.random(len(part.labels)))] for part in parts] for _ in range(2))
    assert difference_over_folds(parts, good, chance, "message")[1] > 0.3
    _, low, high = difference_over_folds(parts, other, chance, "message")
    assert low < 0 < high


def reported(tmp_path, results, parts, *arguments):
    options = benchmark._options(["--backbone", "none", "--output", str(tmp_path), *arguments])
    return report(results, {"test": parts}, options, "max_f1").splitlines()


def result_of(row, fold, seed, part, scores):
    known = part._replace(conversations=[], messages=[SimpleNamespace(kind=None)] * len(part.labels))
    figures = evaluate(known, scores, dict.fromkeys(("message", "window", "conversation"), 0.5), draws=1)
    return Result(row, "test", fold, seed, scores, figures, alarms(part, scores, part, scores))


def all_levels(part, message):
    highest = message.reshape(len(part.bounds), -1).max(1)
    return Scores(message, highest, highest)


def test_the_gate_compares_each_fold_with_its_own_part_whatever_order_was_asked_for(tmp_path):
    """Folds 2 and 0, two seeds: the scores of one were once measured on the labels of the other."""
    folds = benchmark._options(["--backbone", "b", "--output", str(tmp_path), "--folds", "2", "0", "2"]).folds
    assert folds == [0, 2]
    rng = np.random.default_rng(2)
    parts = [part_of_labels(rng, 30) for _ in folds]
    results = []
    for fold, part in zip(folds, parts, strict=True):
        chance = all_levels(part, rng.random(len(part.labels)))
        results.append(result_of("TF-IDF + LR per message", fold, None, part, chance))
        for seed in (1, 2):
            results.append(result_of("ours", fold, seed, part, all_levels(part, part.labels * 0.5)))
    lines = reported(tmp_path, results, parts, "--folds", "2", "0")
    (found,) = (line for line in lines if line.startswith("| test | ours | message |"))
    assert "1.000 [1.000, 1.000]" in found and found.endswith("| yes |")
    row, _ = (line for line in lines if line.startswith("| ours |"))  # below it: alarms at other policies
    assert row.startswith("| ours | 1.000 ± 0.000 |") and row.endswith("| 4 |")
    assert "max_f1 on validation" in lines[0]


def test_a_row_with_windows_of_its_own_is_compared_by_messages_alone(tmp_path):
    rng = np.random.default_rng(3)
    part = part_of_labels(rng, 30)
    linear = result_of("TF-IDF + LR per message", 0, None, part, all_levels(part, rng.random(len(part.labels))))
    wide = part._replace(windows=np.stack([part.bounds[::2, 0], part.bounds[1::2, 1]], axis=1))
    good = Scores(part.labels * 0.5, rng.random(15), rng.random(30))
    lines = reported(tmp_path, [linear, result_of("wide", 0, 1, wide, good)], [part], "--folds", "0")
    assert "| test | wide | window | has windows of its own | | |" in lines
    assert any(line.startswith("| test | wide | message | 1.000 ") for line in lines)


def test_the_prevalence_of_every_test_is_printed(tmp_path):
    """Most of all that of a leaky run, whose test has the many insertions of the training."""
    rng = np.random.default_rng(4)
    part = part_of_labels(rng, 30)
    linear = result_of("TF-IDF + LR per message", 0, None, part, all_levels(part, rng.random(len(part.labels))))
    ours = linear._replace(row="leaky row", test=LEAKY, seed=1, scores=None)
    lines = reported(tmp_path, [linear, ours], [part], "--folds", "0")
    shares = [part.labels.mean(), part.labels.reshape(-1, 10).max(1).mean()]
    expected = "Anomalous are {1:.2f} % of windows, {0:.2f} % of messages, {1:.2f} % of conversations."
    assert lines.count(expected.format(*(100 * share for share in shares))) == 2
