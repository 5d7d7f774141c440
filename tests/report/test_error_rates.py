"""Error rates in the words of the page that explains a report, worked out by hand."""

import pytest

from electra_lab.report.error_rates import elsewhere, table


def test_precision_at_other_prevalences() -> None:
    """1,000 messages, 100 anomalous: 80 found with 20 false alarms, so recall .8 and false positives 20 of 900.

    Where 1 in 100 is anomalous, of 100,000 there are 1,000 and 800 are found; 99,000 x 20 / 900 = 2,200 false alarms.
    """
    (row,) = elsewhere({"message": {"precision": 0.8, "recall": [0.8, 0.7, 0.9], "prevalence": 0.1}})
    assert row.level == "message"
    assert [prevalence for prevalence, _ in row.precisions] == [0.1, 0.01, 0.001]
    assert [precision for _, precision in row.precisions] == pytest.approx([0.8, 800 / 3000, 80 / 2300])


def test_without_false_alarms_every_alert_is_right() -> None:
    (row,) = elsewhere({"window": {"precision": 1.0, "recall": 0.5, "prevalence": 0.1}})
    assert [precision for _, precision in row.precisions] == [1, 1, 1]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"precision": None, "recall": 0.5, "prevalence": 0.1},  # no alert at all
        {"precision": 0.0, "recall": 0.0, "prevalence": 0.1},
        {"precision": 1.0, "recall": 1.0, "prevalence": 1.0},  # nothing harmless in the test
    ],
)
def test_what_does_not_follow_is_not_said(values: dict[str, float | None]) -> None:
    assert elsewhere({"message": values}) == []


def test_table_says_what_was_not_measured() -> None:
    rows = dict(
        table(
            {
                "message": {
                    "num": 14210,
                    "prevalence": 0.1,
                    "precision": 0.8,
                    "recall": 0.8,
                    "auroc": [0.9, 0.85, 0.95],
                },
                "conversation": {"num": 140, "auroc": None},
            }
        )
    )
    assert rows["judged in the test"] == ["14,210", "not measured", "140"]
    assert next(cells for words, cells in rows.items() if "by mistake" in words) == [
        *("0.022", "not measured", "not measured")
    ]
    assert next(cells for words, cells in rows.items() if "ROC" in words)[0] == "0.900 (0.850 to 0.950)"
    assert not any("average precision" in words for words in rows)


def test_nothing_measured_is_an_empty_table() -> None:
    assert table({}) == []
