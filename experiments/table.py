"""A table: rows of options, each run with several seeds; as Markdown, CSV and a picture. It goes on where it stopped.

    python -m experiments.table experiments/comparison.yaml --output runs/tables/comparison --processes 2

The YAML says what is run and what is shown:

    verb: finetune
    config: experiments/finetune.yaml
    seeds: [1, 2, 3]
    options: {trainer.max_epochs: 4}         # of all rows
    rows:                                    # name -> options of that row, as on the command line
      attention: {}
      CLS: {model.pooling: cls}
    figures: {message AP: [test, message, average_precision]}   # name -> where it stands in results.json

Every run is the command that a person would type, in a process of its own, with its log beside it. A run whose
results.json is there is not repeated; one that failed is said, left out of the means, and tried again by the next call.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import yaml

Options = Mapping[str, object]
_FAILED = "n/a"
_PANELS_IN_A_LINE = 4


class Cell(NamedTuple):
    """One run of the table."""

    row: str
    variant: str  # e.g. a fold; empty if there is one only
    seed: int
    verb: str
    config: str
    options: Options

    @property
    def name(self) -> str:
        """The run's name."""
        return "-".join(
            "".join(letter if letter.isalnum() else "_" for letter in part)
            for part in (self.row, self.variant, f"seed{self.seed}")
            if part
        )


class Done(NamedTuple):
    """A run that came to its end, and the figures it is in the table for."""

    cell: Cell
    folder: Path
    figures: dict[str, float | None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("specification", type=Path, help="YAML, see above")
    parser.add_argument("--output", type=Path, required=True, help="folder of runs and table")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time, which share the cores")
    options = parser.parse_args(arguments)
    try:
        specification = read(options.specification, {})
        found = run(cells(specification, {"": {}}), specification["figures"], options.output, options.processes)
        print(write(found, list(specification["rows"]), specification["figures"], options.output))
    except (ValueError, OSError) as error:
        sys.exit(f"experiments.table: {error}")


def read(path: Path, given: Mapping[str, object]) -> dict[str, Any]:
    """A specification with all its keys; what is `given` the file need not say.

    Raises:
        ValueError: no YAML, a key is missing or unknown, or there are no rows.
    """
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML in UTF-8: {' '.join(str(error).split())}") from None
    content = {**given, **said} if isinstance(said, dict) else {}
    needed, known = {"config", "rows", "figures"}, {"verb", "config", "seeds", "options", "rows", "figures"}
    keys = set(content)
    if needed - keys or keys - known:
        raise ValueError(f"{path}: expected the keys {', '.join(sorted(known))}; found {', '.join(sorted(keys))}")
    rows = content["rows"]
    if not (isinstance(rows, dict) and rows and all(isinstance(row, dict | None) for row in rows.values())):
        raise ValueError(f"{path}: rows must be names with options, as in `attention: {{}}`")
    return {"verb": "finetune", "seeds": [1], "options": {}} | content


def cells(specification: Mapping[str, Any], variants: Mapping[str, Options]) -> list[Cell]:
    """Every row with every variant and seed; options of a row stand above those of the variant."""
    return [
        Cell(
            row,
            variant,
            seed,
            specification["verb"],
            specification["config"],
            {**specification["options"], **others, **(options or {})},
        )
        for seed in specification["seeds"]
        for variant, others in variants.items()
        for row, options in specification["rows"].items()
    ]


def run(todo: Sequence[Cell], figures: Mapping[str, Sequence[str]], output: Path, processes: int) -> list[Done]:
    """Run the cells, `processes` at a time, and read their figures; a cell that fails is said and left out."""
    names = [cell.name for cell in todo]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two runs would be called {twice[0]}: give every row a name, and every seed once")
    if processes < 1:
        raise ValueError(f"{processes} processes run nothing; give 1 or more")
    (output / "logs").mkdir(parents=True, exist_ok=True)
    threads = int(os.environ.get("OMP_NUM_THREADS", max(1, (os.cpu_count() or 1) // processes)))
    with ThreadPoolExecutor(processes) as pool:
        folders = list(pool.map(lambda cell: _run(cell, output, threads), todo))
    return [
        Done(cell, folder, figures_in(json.loads((folder / "results.json").read_text(encoding="utf-8")), figures))
        for cell, folder in zip(todo, folders, strict=True)
        if folder is not None
    ]


def write(found: Sequence[Done], rows: Sequence[str], figures: Mapping[str, object], output: Path) -> str:
    """Write table.md, table.csv (a line a run) and table.png; returns the Markdown."""
    values = {
        row: {name: [done.figures[name] for done in found if done.cell.row == row] for name in figures} for row in rows
    }
    text = as_markdown(values)
    (output / "table.md").write_text(text + "\n", encoding="utf-8")
    with (output / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "variant", "seed", *figures])
        writer.writerows([done.cell.row, done.cell.variant, done.cell.seed, *done.figures.values()] for done in found)
    picture(values, output / "table.png")
    return text


def as_markdown(values: Mapping[str, Mapping[str, Sequence[float | None]]]) -> str:
    """A line a row, each figure as mean and spread over its runs, and how many runs there are."""
    figures = list(next(iter(values.values())))
    lines = ["| | " + " | ".join(figures) + " | runs |", "| --- |" + " ---: |" * (len(figures) + 1)]
    for row, columns in values.items():
        cells_ = [mean_and_spread(column) for column in columns.values()]
        lines.append(f"| {row} | " + " | ".join(cells_) + f" | {len(columns[figures[0]])} |")
    return "\n".join(lines)


def mean_and_spread(values: Sequence[float | None]) -> str:
    """`mean ± standard deviation` over the runs for which the figure is defined; the mean alone of one run."""
    defined = [value for value in values if value is not None]
    if not defined:
        return _FAILED
    form = ",.0f" if mean(defined) >= 1000 else ".3f"
    return f"{mean(defined):{form}}" + (f" ± {stdev(defined):{form}}" if len(defined) > 1 else "")


def picture(values: Mapping[str, Mapping[str, Sequence[float | None]]], path: Path) -> None:
    """A panel a figure: a bar a row with its mean, a dot a run."""
    from matplotlib.figure import Figure

    names = list(next(iter(values.values())))
    columns = min(_PANELS_IN_A_LINE, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(2.2 + 2.4 * columns, lines * (0.9 + 0.3 * len(values))), layout="constrained")
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    panels = list(grid.flat)[: len(names)]
    for empty in list(grid.flat)[len(names) :]:
        empty.set_visible(False)
    for panel, name in zip(panels, names, strict=True):
        for place, of_row in enumerate(values.values()):
            defined = [value for value in of_row[name] if value is not None]
            if defined:
                panel.barh(place, mean(defined), color="#9ecae1")
                panel.plot(defined, [place] * len(defined), "o", color="#08519c", markersize=3)
        panel.set_title(name, fontsize=9)
        panel.set_xlim(left=0)
        panel.tick_params(labelsize=8)
    panels[0].set_yticks(range(len(values)), list(values))
    panels[0].invert_yaxis()
    figure.savefig(path, dpi=120)


def _run(cell: Cell, output: Path, threads: int) -> Path | None:
    """The folder of the cell's run, once it is done; None if it failed."""
    folder = output / cell.verb / cell.name
    wanted = json.dumps({"config": cell.config, "seed": cell.seed, **cell.options}, indent=1, sort_keys=True)
    note = output / "logs" / f"{cell.name}.json"
    if (folder / "results.json").is_file():
        if note.is_file() and note.read_text(encoding="utf-8") == wanted:
            return folder
        raise ValueError(f"{folder} was run with other options; give another --output, or remove it")
    if folder.is_dir():  # a run that did not come to its end
        shutil.rmtree(folder)
    note.write_text(wanted, encoding="utf-8")
    command = [sys.executable, "-m", "electra_lab", cell.verb, "--config", cell.config, "--run_name", cell.name]
    command += ["--output", str(output), "--seed", str(cell.seed)]
    for name, value in cell.options.items():
        command += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    log = output / "logs" / f"{cell.name}.log"
    with log.open("w", encoding="utf-8") as file:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        code = subprocess.run(command, stdout=file, stderr=file, env=environment, check=False).returncode
    if code:
        print(f"{cell.name} failed (exit code {code}): see {log}", file=sys.stderr)
        return None
    print(f"{cell.name} done", file=sys.stderr)
    return folder


def figures_in(results: Mapping[str, Any], figures: Mapping[str, Sequence[str]]) -> dict[str, float | None]:
    """Each figure from where it stands in the results; None where it is not, or was not measured."""
    found = {}
    for name, keys in figures.items():
        value: Any = results
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        found[name] = None if value is None else float(value)
    return found


if __name__ == "__main__":
    main()
