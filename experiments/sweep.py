r"""Search hyperparameters of `finetune` or `pretrain` with Optuna; more workers: the same command again.

    python experiments/sweep.py finetune --config experiments/finetune.yaml --space experiments/space-finetune.yaml \
        --trials 50 --study NAME [--storage PATH_OR_URL] [--sampler tpe] [--pruner median] [any option of the verb]
    python experiments/sweep.py pretrain --config experiments/pretrain-tiny.yaml \
        --space experiments/space-pretrain.yaml --probe ratings.tsv --trials 20

The first trial has the values of the configuration. A trial is the command that a person would type, with
`--test false`, in processes of its own, on as many devices as the configuration says; the worker reads its validation
figures as they come, and ends it when the pruner says so. A crash is one failed trial. Ctrl-C (or SIGTERM) ends the
running trial; the same command goes on and runs it again, as it does a trial whose worker has died (two minutes later).
One worker a GPU: CUDA_VISIBLE_DEVICES=0 make sweep ... & CUDA_VISIBLE_DEVICES=1 make sweep ...

When all trials are over, the best --best configurations are trained with --seeds further seeds on the split of the
trials, by all workers that are there; then the winner, whose best.yaml `make finetune CONFIG=...` takes as it is, is
trained once more and, alone of all, tested. Left in runs/sweeps/STUDY: best.yaml, trials.csv, history.png,
importance.png, report.html; VERB/ with each run's log, curve and results (weights of the winner only).

While it runs and afterwards: `pip install optuna-dashboard`, then `optuna-dashboard runs/sweeps/STUDY/study.journal`
(or the URL of the database).
"""

import argparse
import importlib.util
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial, Trial

if __package__ is None:  # typed as a path: the folder above it holds the package
    sys.path[0] = str(Path(__file__).parents[1])

from electra_lab import cli
from experiments import sweep_report, trial
from experiments.dotted import as_arguments
from experiments.objectives import OBJECTIVES, find_objective
from experiments.search_space import SearchSpace, grid, read_space
from experiments.shared_study import Queued, Worker, counted, open_storage, open_study
from experiments.trial import Launch, Runs, in_child

SAMPLERS: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
    "tpe": optuna.samplers.TPESampler,
    "gp": optuna.samplers.GPSampler,
    "random": optuna.samplers.RandomSampler,
    "grid": optuna.samplers.RandomSampler,  # never asked: all points of the grid are queued
}
PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "median": lambda: optuna.pruners.MedianPruner(n_warmup_steps=1),  # the first validation says little
    "hyperband": optuna.pruners.HyperbandPruner,
    "none": optuna.pruners.NopPruner,
}


class Sweep(NamedTuple):
    """What all stages of a sweep need."""

    name: str
    runs: Runs
    storage: str | optuna.storages.BaseStorage
    seed: int  # of the configuration
    is_split_fixed: bool  # whether further seeds can keep the split of the trials
    say: Callable[[str], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep; returns the exit code: 0, 1 after a mistake, 130 when it was interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("verb", choices=list(OBJECTIVES))
    parser.add_argument("--config", type=Path, required=True, help="YAML of the verb")
    parser.add_argument("--space", type=Path, required=True, help="YAML of ranges")
    parser.add_argument("--trials", type=int, default=20, help="of all workers together; interrupted ones not counted")
    parser.add_argument("--study", help="name; by default that of the verb")
    parser.add_argument("--storage", help="journal file or URL of a database; OUTPUT/STUDY/study.journal by default")
    parser.add_argument("--output", type=Path, default=Path("runs/sweeps"), help="folder of all sweeps")
    parser.add_argument("--sampler", default="tpe", help=", ".join(SAMPLERS))
    parser.add_argument("--pruner", default="median", help=", ".join(PRUNERS))
    parser.add_argument("--objective", help="; ".join(f"{verb}: {', '.join(of)}" for verb, of in OBJECTIVES.items()))
    parser.add_argument("--probe", type=Path, help="pretrain: labelled texts (id, document, label; tabs between)")
    parser.add_argument("--best", type=int, default=3, help="configurations that are trained with further seeds")
    parser.add_argument("--seeds", type=int, default=3, help="further seeds; 0 = the best trial wins")
    options, of_the_verb = parser.parse_known_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell turns Ctrl-C off in the background, a cluster sends TERM
        signal.signal(number, signal.default_int_handler)
    try:
        sweep(options, of_the_verb)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except (ValueError, OSError, cli.UsageError) as error:
        print(f"experiments.sweep: {error}", file=sys.stderr)
        return 1
    return 0


def sweep(options: argparse.Namespace, of_the_verb: Sequence[str], launch: Launch = in_child) -> None:
    """Search, train the best with further seeds, train and test the winner, write the report.

    Args:
        options: Of `main`.
        of_the_verb: Further words of the verb's command line.
        launch: How a run is started; tests give one that stays in the process.

    Raises:
        ValueError: something in the options, before any trial; or no trial came to its end.
        UsageError: likewise, in the options of the verb.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", message="Fixed parameter")  # a start outside its range, which we say ourselves
    parser = cli.build_parser(options.verb)
    arguments = ["--config", str(options.config), *of_the_verb]
    space = read_space(options.space, parser, arguments)
    objective, remarks = find_objective(options.verb, options.objective, space.options, options.probe)
    sampler, pruner = _sampler(options.sampler), _chosen("pruner", PRUNERS, options.pruner)()
    queue = _queue(space, options)
    configured = cli.parse(parser, [*arguments, "--run_name", "sweep"])
    configuration = sweep_report.as_yaml(parser, configured)
    name = options.study or options.verb
    output = options.output / name
    storage = open_storage(options.storage or str(output / "study.journal"))
    is_begun = name in optuna.get_all_study_names(storage)
    if not is_begun and next((output / options.verb).glob("trial-*"), None):
        raise ValueError(f"{output} holds the runs of a study that is not in the storage: give another --study")
    about = {
        "objective": objective.said,
        "space": str({key: distribution_to_json(value) for key, value in space.options.items()}),
        "sampler": "grid" if options.sampler == "grid" else "any",
        "configuration": configuration,
    }
    study = open_study(name, storage, about, queue, objective.direction, sampler, pruner)
    sweep_report.write_file(output / "base.yaml", configuration.encode())
    os.environ["WANDB_RUN_GROUP"] = name  # wandb's own variable, for runs with --logger wandb
    probe = options.probe if objective.file == "probe.json" else None
    runs = Runs(options.verb, output / "base.yaml", output, objective, probe, launch)
    is_split_fixed = options.verb == "finetune" and bool(configured.data.paths) and not configured.data.splits_file
    work = Sweep(name, runs, storage, configured.seed, is_split_fixed, lambda line: print(line, flush=True))
    for remark in [*space.remarks, *remarks]:
        work.say(remark)

    cap = len(queue) if options.sampler == "grid" else options.trials
    Worker(study, cap, space.options, work.say).work(lambda one, beat: _search(work, one, beat))
    ranked = sweep_report.ranked(study)
    if not ranked:
        raise ValueError(f"no trial of {name} came to its end, so that there is no best one; see {output / 'logs'}")
    over_seeds = _over_seeds(work, ranked[: options.best], options.seeds) if options.seeds else {}
    best = sweep_report.winner(ranked, over_seeds, objective.direction)
    config = cli.parse(parser, [*arguments, *as_arguments(best.params), "--run_name", "best"])
    title = f"# {name}: trial {best.number} of {len(counted(study))}, {objective.said} {best.values[0]:.4f}\n"
    sweep_report.write_file(output / "best.yaml", (title + sweep_report.as_yaml(parser, config)).encode())
    tested = _test(work, best)
    found = sweep_report.Found(name, objective, study, best, over_seeds, tested)
    sweep_report.write(found, output, options.verb, work.say)


def _search(work: Sweep, one: Trial, beat: Callable[[], None]) -> float:
    """A trial: reports each validation as it comes; nothing of its weights is kept."""
    name, reported = f"trial-{one.number:04d}", 0

    def watch() -> None:
        nonlocal reported
        beat()
        for value in trial.progress(work.runs, name)[reported:]:
            one.report(value, reported)
            reported += 1
            if one.should_prune():
                raise optuna.TrialPruned(f"after {reported} validations at {value:.4f}")

    try:
        trial.train(work.runs, name, one.params, watch)
        return trial.measured(work.runs, name)
    finally:
        trial.drop_weights(work.runs.folder(name))


def _over_seeds(work: Sweep, best: Sequence[FrozenTrial], number: int) -> dict[int, list[float]]:
    """The best trials' configurations with further seeds; validation figures by the trial's number."""
    of_number = {one.number: one for one in best}
    queue = [Queued({}, {"of": one, "seed": work.seed + k}) for one in of_number for k in range(1, number + 1)]
    title = f"{work.name}-{number}-seeds-of-{'-'.join(map(str, of_number))}"

    def run(one: Trial, beat: Callable[[], None]) -> float:
        of, seed = one.user_attrs["of"], one.user_attrs["seed"]
        first, name = f"trial-{of:04d}", f"trial-{of:04d}-seed{seed}"
        options: dict[str, Any] = {**of_number[of].params, "seed": seed}
        if work.is_split_fixed:  # the seed draws the split, too: the test part must stay unseen
            options["data.splits_file"] = str(work.runs.folder(first) / "splits.json")
        try:
            trial.train(work.runs, name, options, beat)
            return trial.measured(work.runs, name)
        finally:
            trial.drop_weights(work.runs.folder(name))

    study = open_study(title, work.storage, {"of": title}, queue, work.runs.objective.direction)
    Worker(study, len(queue), {}, lambda line: work.say(f"seeds: {line}")).work(run)
    done = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    return {of: [one.values[0] for one in done if one.user_attrs["of"] == of] for of in of_number}


def _test(work: Sweep, best: FrozenTrial) -> float | None:
    """Train the winner from best.yaml and test it: the one test figure of a sweep."""
    title, name = f"{work.name}-winner-{best.number}", f"winner-{best.number:04d}"
    runs = work.runs._replace(config=work.runs.output / "best.yaml")

    def run(one: Trial, beat: Callable[[], None]) -> float:
        trial.train(runs, name, {}, beat, test=True)
        one.set_user_attr("test", trial.figure(runs, name, runs.objective.tested))
        return trial.measured(runs, name)

    study = open_study(title, work.storage, {"of": title}, [Queued({}, {})], runs.objective.direction)
    Worker(study, 1, {}, lambda line: work.say(f"winner: {line}")).work(run)
    return next((one.user_attrs["test"] for one in study.trials if "test" in one.user_attrs), None)


def _queue(space: SearchSpace, options: argparse.Namespace) -> list[Queued]:
    """The configuration's own values; then, for a grid, all its other points."""
    points = grid(space.options) if options.sampler == "grid" else ()
    queue = [Queued(space.start, {}), *(Queued(point, {}) for point in points if point != space.start)]
    if options.trials < len(queue):
        raise ValueError(
            f"--trials {options.trials} is less than the {len(queue)} trials that are certain: "
            f"the configuration's own values{' and the grid' if len(queue) > 1 else ''}"
        )
    return queue


def _sampler(name: str) -> optuna.samplers.BaseSampler:
    """Without a seed: workers with the same one would draw the same trials."""
    make = _chosen("sampler", SAMPLERS, name)
    if name == "gp" and importlib.util.find_spec("scipy") is None:
        raise ValueError("the sampler gp needs scipy: pip install scipy, or --sampler tpe")
    return make()


def _chosen(what: str, table: dict[str, Callable[[], Any]], name: str) -> Callable[[], Any]:
    if name not in table:
        raise ValueError(f"no {what} is called {name!r}; there is {', '.join(table)}")
    return table[name]


if __name__ == "__main__":
    sys.exit(main())
