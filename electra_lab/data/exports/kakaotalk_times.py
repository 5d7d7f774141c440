"""Times in KakaoTalk's exports: how the first line of a record begins on each system and in each language."""

import re
from datetime import date

from electra_lab.data.exports.moments import MONTHS, SPACE, iso_date, iso_time
from electra_lab.data.exports.spoken import Start


def android_start(line: str, language: str) -> Start | None:
    """Of "2015년 7월 9일 오후 8:34, 이름 : 본문" and its English forms; without body it is the day's banner."""
    return _matched(_ANDROID[language], line)


def ios_start(line: str, language: str) -> Start | None:
    """Of "2015. 7. 9. 오후 8:34, 이름 : 본문", a notice ("…: A님이"), or a banner "2015년 7월 9일 목요일"."""
    return _banner(line, language) or _matched(_IOS[language], line)


def windows_start(line: str, language: str) -> Start | None:
    """Of "[이름] [오후 8:34] 본문", without its date, or a banner "--------------- 2015년 7월 9일 목요일 -----"."""
    dashed = _DASHED.fullmatch(line)
    if dashed is None:
        return _matched(_WINDOWS[language], line)
    return _banner(dashed[1], "ko") or _banner(dashed[1], "en")  # in the language of the system, not of the messenger


def has_second_mark(body: str) -> bool:
    """Whether a text on Windows goes on like the first line of a message: the name before it may be longer."""
    return _SECOND_MARK.search(body[:1000]) is not None


def _matched(patterns: tuple[re.Pattern[str], ...], line: str) -> Start | None:
    for pattern in patterns:
        match = pattern.fullmatch(line)
        if match is None:
            continue
        part = match.groupdict()
        moment = iso_time(int(part["hour"]), int(part["minute"]), None, part.get("half") or part.get("half_after"))
        day = _day(part) if "year" in part else ""
        if moment is not None and day is not None:
            return Start(day + moment, part["mark"] or "", part["body"] or "", part.get("name"))
    return None


def _banner(line: str, language: str) -> Start | None:
    """A banner names the right day of the week, which what somebody typed rarely does."""
    match = _BANNERS[language].fullmatch(line)
    day = None if match is None else _day(match.groupdict())
    if match is None or day is None or match["weekday"] != _WEEKDAYS[language][date.fromisoformat(day).weekday()]:
        return None
    return Start(day, "", "")


def _day(part: dict[str, str]) -> str | None:
    month = part["month"]
    number = int(month) if month.isdigit() else _MONTH_NUMBERS.get(month, 0)
    return iso_date(int(part["year"]), number, int(part["day"]))


_MONTH_NUMBERS = {name: number for number, name in enumerate(MONTHS, 1)}
_MONTH_NUMBERS |= {name[:3]: number for name, number in _MONTH_NUMBERS.items()}
_WEEKDAYS = {
    "ko": "월화수목금토일",
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
_KOREAN_TIME = rf"(?:(?P<half>오전|오후){SPACE})?(?P<hour>\d{{1,2}}):(?P<minute>\d\d)"
_HALF_AFTER = r"(?P<half_after>AM|PM|am|pm|a\.m\.|p\.m\.)"
_ENGLISH_TIME = rf"(?P<hour>\d{{1,2}}):(?P<minute>\d\d)(?:{SPACE}?{_HALF_AFTER})?"
_ENGLISH_DAY = r"(?P<month>[A-Z][a-z]{2,8}) (?P<day>\d{1,2}), (?P<year>\d{4})"
_KOREAN_DAY = r"(?P<year>\d{4})년 (?P<month>\d{1,2})월 (?P<day>\d{1,2})일"
_FULL_MONTH = f"(?={'|'.join(MONTHS)})"
_SHORT_MONTH = f"(?=(?:{'|'.join(name[:3] for name in MONTHS)}) )"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)


_ANDROID_REST = "(?:(?P<mark>,) (?P<body>.*))?"
_IOS_REST = "(?P<mark>[,:]) (?P<body>.*)"
_ANDROID = {
    "ko": (_pattern(f"{_KOREAN_DAY} {_KOREAN_TIME}{_ANDROID_REST}"),),
    "en": (
        _pattern(f"{_ENGLISH_TIME}, {_ENGLISH_DAY}{_ANDROID_REST}"),  # 2015
        _pattern(f"{_FULL_MONTH}{_ENGLISH_DAY}(?:,| at) {_ENGLISH_TIME}{_ANDROID_REST}"),
    ),
}
_IOS = {
    "ko": (_pattern(rf"(?P<year>\d{{4}})\. (?P<month>\d{{1,2}})\. (?P<day>\d{{1,2}})\. {_KOREAN_TIME}{_IOS_REST}"),),
    "en": (
        _pattern(f"{_SHORT_MONTH}{_ENGLISH_DAY}, {_ENGLISH_TIME}{_IOS_REST}"),
        _pattern(f"{_FULL_MONTH}{_ENGLISH_DAY} at {_ENGLISH_TIME}{_IOS_REST}"),  # 2023
    ),
}
_WINDOWS_NAME = r"\[(?P<name>.{0,200}?)\] \["
_WINDOWS_REST = r"(?P<mark>\])(?: (?P<body>.*))?"
_WINDOWS = {
    "ko": (_pattern(rf"{_WINDOWS_NAME}(?P<half>오전|오후) (?P<hour>\d{{1,2}}):(?P<minute>\d\d){_WINDOWS_REST}"),),
    "en": (
        _pattern(rf"{_WINDOWS_NAME}(?P<hour>\d{{1,2}}):(?P<minute>\d\d){SPACE}(?P<half>AM|PM){_WINDOWS_REST}"),
        _pattern(rf"{_WINDOWS_NAME}(?P<half>AM|PM) (?P<hour>\d{{1,2}}):(?P<minute>\d\d){_WINDOWS_REST}"),
    ),
}
_SECOND_MARK = _pattern(r"\] \[(?:(?:오전|오후|AM|PM) )?\d{1,2}:\d\d(?: [AP]M)?\]")
_DASHED = _pattern("-{5,} ([^-]{5,40}) -{5,}")
_BANNERS = {
    "ko": _pattern(f"{_KOREAN_DAY} (?P<weekday>[월화수목금토일])요일"),
    "en": _pattern(f"(?P<weekday>[A-Z][a-z]+day), {_ENGLISH_DAY}"),
}
