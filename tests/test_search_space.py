"""Search spaces: read as the verb's own parser reads, refused before anything runs, and judged by what they search."""

from pathlib import Path

import pytest

pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from electra_lab import cli
from experiments.objectives import find_objective
from experiments.search_space import SearchSpace, grid, read_space

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
PARSERS = {verb: cli.build_parser(verb) for verb in ("finetune", "pretrain")}


def read(folder: Path, text: str, *options: str, verb: str = "finetune") -> SearchSpace:
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8")
    encoder = ["--model.backbone", "some"] if verb == "finetune" else []
    return read_space(path, PARSERS[verb], [*encoder, *options])


def test_every_kind_is_read_as_its_option_reads_it(tmp_path: Path) -> None:
    """1e-5 is a text to YAML, and the choice 1e-4 is the number that the configuration has."""
    space = read(
        tmp_path,
        """
        model.learning_rate: {float: [1e-5, 1e-4], log: true}
        patience: {int: [2, 8], step: 2}
        model.weight_decay: {choice: [0, 1e-2]}
        model.encoder_dropout: {choice: [null, 0.1]}
        model.attention_supervision: {choice: ["off", kl]}
        model.loss_options: {choice: [null, {gamma: 2}]}
        """,
    )
    assert space.options == {
        "model.learning_rate": FloatDistribution(1e-5, 1e-4, log=True),
        "patience": IntDistribution(2, 8, step=2),
        "model.weight_decay": CategoricalDistribution([0.0, 0.01]),
        "model.encoder_dropout": CategoricalDistribution([None, 0.1]),
        "model.attention_supervision": CategoricalDistribution(["off", "kl"]),
        "model.loss_options": CategoricalDistribution([None, '{"gamma": 2.0}']),
    }
    assert list(space.start.values()) == [2e-5, 5, 0.01, None, "kl", None] and not space.remarks


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("model.lerning_rate: {float: [1, 2]}", "there is no option --model.lerning_rate; did you mean --model.learn"),
        ("patience: {float: [1.5, 2.5]}", "patience"),
        ("model.dropout: {float: [0.5, 0.1]}", "low <= high"),
        ("model.dropout: {float: [0, 0.5], log: true}", "model.dropout: "),
        ("model.dropout: {float: [0.1]}", "two ends"),
        ("model.dropout: {float: [low, high]}", "expected float numbers, found 'low'"),
        ("model.dropout: {float: [0, .inf]}", "expected float numbers"),
        ("patience: {int: [1.5, 3]}", "expected int numbers, found 1.5"),
        ("model.dropout: {uniform: [0, 1]}", "expected one of float, int, choice"),
        ("model.dropout: [0, 1]", "expected one of float, int, choice"),
        ("model.pooling: {choice: []}", "a list of values"),
        ("model.pooling: {choice: [cls], log: true}", "a list of values"),
        ("data.batch_size: {choice: [16, many]}", "data.batch_size"),
        ("run_name: {choice: [a, b]}", "given by the sweep itself"),
        ("model.loss_options.gamma: {float: [1, 3]}", "is null in the configuration"),
        ("model.pooling: {choice: [cls, gated]}", "is attention in the configuration, which the space does not hold"),
        ("- a\n- b", "expected options with ranges"),
        ("a: [", "is not YAML"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(ValueError) as error:
        read(tmp_path, line)
    assert complaint in str(error.value) and "space.yaml" in str(error.value) and "\n" not in str(error.value)


def test_a_start_outside_its_range_is_kept_and_said(tmp_path: Path) -> None:
    space = read(tmp_path, "model.dropout: {float: [0.1, 0.2]}")
    assert space.start == {"model.dropout": 0.3}
    assert space.remarks[0].endswith("is 0.3 in the configuration, outside 0.1 to 0.2: only the first trial has it")


def test_the_grid_has_every_combination(tmp_path: Path) -> None:
    space = read(
        tmp_path,
        "{patience: {int: [4, 6]}, model.dropout: {float: [0, 0.3], step: 0.1}, model.pooling: {choice: [attention]}}",
    )
    points = [tuple(point.values()) for point in grid(space.options)]
    assert len(points) == 12 and points[0] == (4, 0.0, "attention") and points[-1][1] == pytest.approx(0.3)
    endless = read(tmp_path, "model.dropout: {float: [0, 0.3]}")
    with pytest.raises(ValueError, match="a grid needs steps"):
        list(grid(endless.options))


@pytest.mark.parametrize("verb", ["finetune", "pretrain"])
def test_the_shipped_spaces_hold_the_shipped_configurations(verb: str) -> None:
    for path in EXPERIMENTS.glob(f"{verb}*.yaml"):
        space = read_space(EXPERIMENTS / f"space-{verb}.yaml", PARSERS[verb], ["--config", str(path)])
        assert not space.remarks, path.name
        find_objective(verb, None, space.options, Path("ratings.tsv"))


@pytest.mark.parametrize(
    "name",
    [
        *("model.discriminator_weight", "data.mask_probability", "model.sizes.generator_width", "model.preset"),
        *("model.temperature", "model.temperature_decay", "data.max_length", "data.vocabulary_size"),
    ],
)
def test_the_loss_does_not_judge_what_changes_it(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} cannot be searched by loss: .* use --objective probe"):
        find_objective("pretrain", "loss", ["model.learning_rate", name], None)


def test_what_an_objective_needs_and_says() -> None:
    assert find_objective("pretrain", "loss", ["model.learning_rate"], None)[0].direction == "minimize"
    with pytest.raises(ValueError, match="give --probe TSV"):
        find_objective("pretrain", None, ["model.learning_rate"], None)
    with pytest.raises(ValueError, match="there is average_precision, message_average_precision"):
        find_objective("finetune", "f1", [], None)
    assert "message_average_precision" in find_objective("finetune", None, ["data.window"], None)[1][0]
    assert not find_objective("finetune", "message_average_precision", ["data.window"], None)[1]
    assert "different conversations" in find_objective("finetune", "message_average_precision", ["seed"], None)[1][0]
