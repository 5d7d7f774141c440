"""What a sweep leaves for people: the winner's configuration, trials.csv, two pictures and a page with all of it.

Optuna's own interactive figures need plotly (about 10 MB, 4 MB of script in every file); `optuna-dashboard` has them,
the page here is one small file without any script.
"""

import base64
import csv
import html
import io
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import optuna
import yaml
from jsonargparse import ArgumentParser, Namespace
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.trial import FrozenTrial, TrialState

from experiments.objectives import Objective
from experiments.shared_study import counted, in_words
from experiments.table import mean_and_spread

_OF_A_RUN = ("run_name", "output", "config", "test")  # given with the command
_ENDS = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
_COLOURS = {"done": "#1f5fa8", "best": "#c4561a", "pruned": "#999999", "start": "#4a8a3f"}


class Found(NamedTuple):
    """What came out of a sweep."""

    name: str
    objective: Objective
    study: optuna.Study
    best: FrozenTrial
    over_seeds: dict[int, list[float]]  # trial -> figures of further seeds
    tested: float | None  # of the winner


def as_yaml(parser: ArgumentParser, config: Namespace) -> str:
    """A configuration for the verb's --config, without what is given with the command."""
    content = yaml.safe_load(parser.dump(config, skip_unset=False))  # a null may stand for what is no default
    kept = {name: value for name, value in content.items() if name not in _OF_A_RUN}
    return yaml.safe_dump(kept, allow_unicode=True, sort_keys=False)


def ranked(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that came to their end, the best first; each set of values once."""
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    done = study.get_trials(states=(TrialState.COMPLETE,))
    once = {str(sorted(one.params.items())): one for one in sorted(done, key=lambda one: -one.number)}
    return sorted(once.values(), key=lambda one: (sign * one.values[0], one.number))


def winner(trials: Sequence[FrozenTrial], over_seeds: Mapping[int, Sequence[float]], direction: str) -> FrozenTrial:
    """The trial with the best mean over its further seeds, of those with most seeds; without seeds the best trial."""
    sign = 1 if direction == "maximize" else -1
    tried = [one for one in trials if over_seeds.get(one.number)]
    if not tried:
        return trials[0]
    return max(tried, key=lambda one: (len(over_seeds[one.number]), sign * mean(over_seeds[one.number])))


def write(found: Found, output: Path, verb: str, say: Callable[[str], None]) -> None:
    """Write trials.csv, the pictures and the page; say what came out."""
    trials = found.study.get_trials()
    lines = _summary(found, output, verb)
    pictures = {"history.png": history(found, counted(found.study)), "importance.png": importance(found.study)}
    for name, picture in pictures.items():
        write_file(output / name, picture)
    write_file(output / "trials.csv", _as_csv(trials).encode())
    write_file(output / "report.html", _as_page(found, trials, lines, list(pictures.values())).encode())
    for line in lines:
        say(line)


def history(found: Found, trials: Sequence[FrozenTrial]) -> bytes:
    """A PNG: each trial's figure, the best so far, and that of the configuration the sweep began with."""
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    done = [one for one in trials if one.state == TrialState.COMPLETE]
    pruned = [one for one in trials if one.state == TrialState.PRUNED and one.intermediate_values]
    best = max if found.objective.direction == "maximize" else min
    values = [one.values[0] for one in done]
    so_far = [best(values[: number + 1]) for number in range(len(values))]
    if done and done[0].number == trials[0].number:
        label = "the configuration's own values"
        axes.axhline(values[0], color=_COLOURS["start"], linestyle=":", linewidth=1, label=label)
    axes.step([one.number for one in done], so_far, where="post", color=_COLOURS["best"], label="best so far")
    axes.plot([one.number for one in done], values, "o", color=_COLOURS["done"], label="trial")
    if pruned:
        last = [one.intermediate_values[max(one.intermediate_values)] for one in pruned]
        axes.plot([one.number for one in pruned], last, "x", color=_COLOURS["pruned"], label="pruned here")
    axes.set_xlabel("trial")
    axes.set_ylabel(found.objective.said)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    axes.set_title(found.name, fontsize=10)
    return _as_png(figure)


def importance(study: optuna.Study) -> bytes:
    """A PNG: how much of what makes trials good each option has decided (PED-ANOVA, arXiv:2304.10255)."""
    done = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few trials: the title has their number
        shares = optuna.importance.get_param_importances(study) if done > 1 else {}
    figure = Figure(figsize=(7.5, 1 + 0.4 * max(1, len(shares))), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(shares), list(shares.values()), color=_COLOURS["done"])
    axes.invert_yaxis()
    axes.set_xlabel("importance, PED-ANOVA" if shares else "too few trials for importances")
    axes.set_title(f"{study.study_name}: {done} trials" + (", too few to trust" if done < 20 else ""), fontsize=10)
    return _as_png(figure)


def write_file(path: Path, content: bytes) -> None:
    """Write a file at once: several workers write the same, and read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    new.write_bytes(content)
    new.replace(path)


def _summary(found: Found, output: Path, verb: str) -> list[str]:
    states = [one.state for one in counted(found.study)]
    numbers = (f"{states.count(state)} {word}" for state, word in _ENDS.items() if state in states)
    lines = [f"{found.name}: {', '.join(numbers)}"]
    for number, values in found.over_seeds.items():
        params = in_words(found.study.trials[number].params)
        lines.append(f"trial {number}, {len(values)} further seeds: {mean_and_spread(values)}  {params}")
    said = f"the winner is trial {found.best.number}: {found.objective.said} {found.best.values[0]:.4f}"
    tested = "" if found.tested is None else f", on the test part {found.tested:.4f}"
    lines.append(f"{said}{tested}  {in_words(found.best.params)}")
    lines.append(f"make {verb} CONFIG={output / 'best.yaml'} RUN=NAME; in {output}: report.html, trials.csv")
    return lines


def _as_png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, dpi=120, format="png")
    return file.getvalue()


def _as_csv(trials: Sequence[FrozenTrial]) -> str:
    names = _names(trials)
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["trial", "state", "value", "validations", *names, "seconds", "worker", "again", "why"])
    writer.writerows(_row(one, names) for one in trials)
    return file.getvalue()


def _names(trials: Sequence[FrozenTrial]) -> list[str]:
    return list(dict.fromkeys(name for one in trials for name in one.params))


def _row(one: FrozenTrial, names: Sequence[str]) -> list[Any]:
    value = one.values[0] if one.state == TrialState.COMPLETE and one.values else None
    attributes = [one.user_attrs.get(name) for name in ("seconds", "worker", "again", "why")]
    return [
        *(one.number, one.state.name.lower(), value, len(one.intermediate_values)),
        *(one.params.get(name) for name in names),
        *attributes,
    ]


def _as_page(found: Found, trials: Sequence[FrozenTrial], lines: Sequence[str], pictures: Sequence[bytes]) -> str:
    names = _names(trials)
    header = ["trial", "state", found.objective.said, "validations", *names, "seconds", "worker", "again", "why"]
    rows = "".join(f"<tr>{_cells('td', _row(one, names))}</tr>" for one in trials)
    shown = (base64.b64encode(picture).decode("ascii") for picture in pictures)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(found.name)}</title>'
        "<style>body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
        "td,th{border:1px solid #ccc;padding:2px 6px}img{max-width:100%;display:block}</style>"
        f"<h1>{html.escape(found.name)}</h1>{''.join(f'<p>{html.escape(line)}</p>' for line in lines)}"
        + "".join(f'<img alt="" src="data:image/png;base64,{picture}">' for picture in shown)
        + f"<table><tr>{_cells('th', header)}</tr>{rows}</table></html>\n"
    )


def _cells(tag: str, values: Sequence[Any]) -> str:
    shown = ("" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value) for value in values)
    return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in shown)
