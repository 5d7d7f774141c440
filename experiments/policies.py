"""What each policy of thresholds makes of the windows of a test: the ones found, and the alarms on harmless insertions.

A detector that finds more raises more alarms, so that two are compared at the same policy; one policy is one accident
of the validation part, so that there are several.
"""

from collections.abc import Iterable
from typing import NamedTuple

from electra_lab.calibration import threshold
from electra_lab.data.parts import Part, group_labels
from electra_lab.evaluation import Scores, harmless_windows, measurable

POLICIES = ("max_f1", "max_f2", "fpr<=0.01", "fpr<=0.05")


class Alarms(NamedTuple):
    """Windows, counted."""

    found: int
    anomalous: int
    harmless: int  # alarms on windows with a harmless insertion and nothing anomalous
    num_harmless: int
    alarms: int


def alarms(validation: Part, on_validation: Scores, test: Part, on_test: Scores) -> dict[str, Alarms]:
    """Each policy's alarms on the test, with the threshold that it chooses on the validation part.

    Nothing where windows have no scores.
    """
    if on_validation.window is None or on_test.window is None:
        return {}
    known, truth, _ = measurable(validation, "window", on_validation.window)
    labels = group_labels(test.labels, test.windows)
    is_harmless = harmless_windows(test)
    counted = {}
    for policy in POLICIES:
        raised = (on_test.window >= threshold(policy, known, truth)) & (labels >= 0)
        counts = (raised & (labels == 1), labels == 1, raised & is_harmless, is_harmless, raised)
        counted[policy] = Alarms(*(int(which.sum()) for which in counts))
    return counted


def as_lines(rows: Iterable[tuple[str, dict[str, Alarms]]]) -> list[str]:
    """A Markdown table: rows of one name, which are folds and seeds, are summed.

    Args:
        rows: name and alarms of each run.
    """
    runs: dict[str, list[dict[str, Alarms]]] = {}
    for name, counted in rows:
        if counted:
            runs.setdefault(name, []).append(counted)
    lines = ["| | " + " | ".join(POLICIES) + " |", "| --- |" + " ---: |" * len(POLICIES)]
    for name, of_row in runs.items():
        sums = [Alarms(*map(sum, zip(*(one[policy] for one in of_row), strict=True))) for policy in POLICIES]
        lines.append(f"| {name} | " + " | ".join(map(_cell, sums)) + " |")
    return lines


def _cell(sums: Alarms) -> str:
    precision = f"{sums.found / sums.alarms:.2f}" if sums.alarms else "n/a"
    recall = f"{sums.found / sums.anomalous:.2f}" if sums.anomalous else "n/a"
    return f"{sums.harmless} of {sums.num_harmless}; {recall}, {precision}"
