"""The workspace as a file: every panel draws what some run logs."""

import json

import numpy as np
import pytest

from electra_lab import dashboard
from electra_lab.__main__ import main
from electra_lab.callbacks import wandb_run
from electra_lab.callbacks.throughput import Throughput
from electra_lab.decisions import LEVELS
from electra_lab.tasks.detection import ConversationAnomalyDetection
from electra_lab.tasks.pretraining import ReplacedTokenDetection

PRETRAINED, DETECTED = ReplacedTokenDetection.logged_names, ConversationAnomalyDetection.logged_names


@pytest.fixture
def installed():
    pytest.importorskip("wandb_workspaces")


@pytest.fixture
def written(installed, tmp_path, capsys):
    path = tmp_path / "new" / "dashboard.json"
    assert main(["dashboard", "--output", str(path), "--entity", "kim"]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    return json.loads(path.read_text(encoding="utf-8"))


def panels(written):
    sections = written["spec"]["section"]["panelBankConfig"]["sections"]
    return {section["name"]: section["panels"] for section in sections}


def test_every_panel_draws_what_is_logged():
    for section, known in (("Pretraining", PRETRAINED), ("Detection", DETECTED)):
        assert {name for names in dashboard.SECTIONS[section].values() for name in names} <= set(known)
    others = {
        name
        for section in ("Optimizer", "Speed and memory")
        for names in dashboard.SECTIONS[section].values()
        for name in names
    }
    assert others <= {*PRETRAINED, *DETECTED, *Throughput.logged_names} and {*Throughput.logged_names} <= others
    assert {f"test/{prefix}{name}" for prefix in dashboard.LEVELS.values() for name in dashboard.TESTED} <= {*DETECTED}


def test_the_file_has_sections_panels_and_axes(written):
    found = panels(written)
    assert list(found) == [*dashboard.SECTIONS, "Against tokens", "Test"]
    assert (written["entity"], written["project"]) == ("kim", "electra_lab")
    lines = [panel["config"] for panel in found["Pretraining"]]
    assert all(line["xAxis"] == "step" for line in lines)
    assert ["train/loss", "val/loss"] in [line["metrics"] for line in lines]
    assert all(panel["config"]["xAxis"] == "train/tokens" for panel in found["Against tokens"])


def test_the_charts_of_a_test_are_those_that_a_run_logs(written):
    shown = json.dumps(panels(written)["Test"])
    points = wandb_run.curves({level: (np.zeros(2), np.array([0, 1])) for level in LEVELS})
    one = np.array([True])
    logged = wandb_run._charts(points, {level: (one, one) for level in LEVELS})
    assert len(logged) == 7
    for name, chart in logged.items():
        chart.set_key(name)
        assert f'"{chart.spec.table_key}"' in shown and f'"{chart.spec.spec_name}"' in shown
        assert json.dumps(chart.spec.fields)[1:-1] in shown


def test_it_can_be_read_again_as_a_workspace(written):
    """The one use of what the package keeps for itself: its own reader takes what was written."""
    from wandb_workspaces.workspaces import Workspace
    from wandb_workspaces.workspaces.internal import View

    read = Workspace._from_model(View(name="", id="", **written))
    assert [section.name for section in read.sections] == list(panels(written))
    drawn = [[metric.name for metric in line.y] for line in read.sections[0].panels]
    assert drawn == [list(names) for names in dashboard.SECTIONS["Pretraining"].values()]


def test_what_is_missing_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dashboard.importlib.util, "find_spec", lambda name: None)
    path = tmp_path / "dashboard.json"
    assert main(["dashboard", "--output", str(path)]) == 1
    assert "pip install 'electra_lab[dashboard]'" in capsys.readouterr().err and not path.exists()
    assert main(["dashboard", "--output", str(path), "--push"]) == 1
    assert "--push needs --entity" in capsys.readouterr().err


def test_pushing_asks_nobody_for_a_key(installed, tmp_path, monkeypatch, capsys):
    import wandb

    for name, value in (("HOME", tmp_path), ("NETRC", tmp_path / "none")):
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    wandb.teardown()
    assert main(["dashboard", "--output", str(tmp_path / "d.json"), "--entity", "kim", "--push"]) == 1
    said = capsys.readouterr().err
    assert "nobody is logged in to wandb" in said and said.count("\n") == 1 and (tmp_path / "d.json").exists()
    wandb.teardown()
