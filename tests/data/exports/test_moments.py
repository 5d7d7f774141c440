from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra_lab.data.exports.moments import Moment, moment, moments, utc
from tests.data.exports.reading import FEW


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2020-01-02T03:04:05", "2020-01-02T03:04:05"),
        ("2020-01-02 03:04", "2020-01-02T03:04"),
        ("2020-01-02T03:04:05.678Z", "2020-01-02T03:04:05.678Z"),
        ("2020-01-02T03:04:05+09:00", "2020-01-02T03:04:05+09:00"),
        ("2020-01-02T03:04:05-0330", "2020-01-02T03:04:05-03:30"),
        ("2020-01-02 03:04:05 UTC", "2020-01-02T03:04:05Z"),
        ("2020-01-02 03:04:05(UTC+9)", "2020-01-02T03:04:05+09:00"),
        ("2020-01-02 03:04:05 AM(UTC+0)", "2020-01-02T03:04:05Z"),
        ("20191128 15:04", "2019-11-28T15:04"),
        ("2020. 1. 2. 오후 3:04", "2020-01-02T15:04"),
        ("2020년 1월 2일 오전 12:04", "2020-01-02T00:04"),
        ("2020/1/2, 12:04 PM", "2020-01-02T12:04"),
        ("06-May-24 07:08 pm", "2024-05-06T19:08"),
        ("1577869200", "2020-01-01T09:00:00Z"),
        ("1577869200123", "2020-01-01T09:00:00.123Z"),
    ],
)
def test_times(text: str, time: str) -> None:
    assert moment(f" {text} ") == Moment(time)


def test_what_is_missing_or_unknown_is_said() -> None:
    assert moment("") == Moment(None, ("no_date", "no_time"))
    assert moment("2020-01-02") == Moment("2020-01-02", ("no_time",))
    for text in (
        "yesterday",
        "2020-13-02 03:04",
        "2020-01-02 25:00",
        "2020-01-02 13:00 PM",
        "2020-01-02T03:04 and more",
    ):
        assert moment(text) == Moment(None, ("unknown_time",))


def test_day_and_month() -> None:
    assert moments(["3/4/21 1:00", "13/4/21 1:00"]) == [Moment("2021-04-03T01:00"), Moment("2021-04-13T01:00")]
    assert moments(["3/4/21 1:00", "4/13/21 1:00"]) == [Moment("2021-03-04T01:00"), Moment("2021-04-13T01:00")]
    assert moments(["3.4.2021"]) == [Moment("2021-04-03", ("ambiguous", "no_time"))]
    assert moments(["3.4.2021"], False) == [Moment("2021-03-04", ("no_time",))]


def test_the_dates_of_a_file_say_more_than_the_user_and_most_of_them_more_than_one() -> None:
    assert moments(["3/4/21 1:00", "13/4/21 1:00"], False)[0] == Moment("2021-04-03T01:00")
    assert moments(["3/4/21 1:00", "13/4/21 1:00", "14/4/21 1:00", "4/13/21 1:00"])[0] == Moment("2021-04-03T01:00")
    assert moments(["3/4/21 1:00", "13/4/21 1:00", "4/13/21 1:00"], True)[0] == Moment("2021-04-03T01:00")


def test_seconds_since_1970() -> None:
    assert utc(0) == "1970-01-01T00:00:00Z"
    assert utc(-1.5) == "1969-12-31T23:59:58.500Z"
    assert utc(1e18) is None and utc(float("inf")) is None and utc(float("nan")) is None


@FEW
@given(st.datetimes(datetime(1000, 1, 1)))
def test_what_python_writes_is_read(time: object) -> None:
    assert moment(str(time)).time == str(time).replace(" ", "T")


@FEW
@given(st.text(st.sampled_from("0123456789-/.: TZ+오후PM년월일()"), max_size=30))
def test_any_text_is_a_time_or_not(text: str) -> None:
    moment(text)
