"""Whatever is in a file: it is read whole or refused with IngestError, in time linear in its size."""

from contextlib import suppress
from datetime import datetime
from time import process_time
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra_lab.data.errors import IngestError
from tests.data.exports.conservation import assert_tiled
from tests.data.exports.line_writers import CLOSED, OPEN, OPTIONS, READERS, Said, source
from tests.data.exports.test_line_roundtrip import EXAMPLES, MANY

SAID = [
    Said("철수", datetime(2015, 7, 14, 9, 5), "안녕\n둘째 줄"),
    Said("A : B", datetime(2015, 7, 14, 9, 6), '"따옴표", [괄호]'),
    Said("영희", datetime(2015, 7, 15, 0, 0), "자정 위조"),
]
ANY = [(format, found[0](SAID)) for format, found in (CLOSED | OPEN).items()]
FORMATS = [name for reader in READERS for name in reader.NAMES]


def survive(raw: bytes, format: str | None) -> None:
    """Only IngestError comes out, whatever the bytes, and what is read is whole."""
    text = source(raw).text
    for reader in READERS:
        for name in (reader.recognise(text), format if format in reader.NAMES else None):
            if name is not None:
                try:
                    chats = reader.read(source(raw), OPTIONS, name)
                except IngestError as error:
                    assert "위조" not in str(error)
                else:
                    assert_tiled(raw, chats)


def survive_as(reader: ModuleType, name: str, raw: bytes | str) -> None:
    """Read as one format."""
    with suppress(IngestError):
        reader.recognise(source(raw).text[: 1 << 16])
        reader.read(source(raw), OPTIONS, name)


def mutate(format: str, raw: bytes, cuts: list[tuple[int, int, bytes]]) -> None:
    for start, length, put in cuts:
        start %= len(raw) + 1
        raw = raw[:start] + put + raw[start + length :]
    survive(raw, format)


CUTS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 30), st.binary(max_size=4)), min_size=1, max_size=4)


def mutate_all(cuts: list[tuple[int, int, bytes]]) -> None:
    for format, raw in ANY:
        mutate(format, raw, cuts)


def test_damaged_exports_are_read_whole_or_refused() -> None:
    EXAMPLES(given(CUTS)(mutate_all))()


@pytest.mark.slow
def test_damaged_exports_are_read_whole_or_refused_often() -> None:
    MANY(given(CUTS)(mutate_all))()


def test_random_bytes_are_read_whole_or_refused() -> None:
    known = [
        "\r\n",
        "\n",
        "\r",
        "[A] [",
        "1 : ",
        ", A : ",
        '"',
        "\ufeff",
        "\0",
        "오전 ",
        "2015. 7. 9. 1:01, ",
        "님이 나갔습니다.",
    ]
    piece = st.sampled_from([piece.encode() for piece in known]) | st.binary(max_size=6)

    def check(raw: bytes) -> None:
        for format in FORMATS:
            survive(raw, format)

    EXAMPLES(given(st.lists(piece, max_size=20).map(b"".join))(check))()


def test_truncated_anywhere() -> None:
    for format, raw in ANY:
        for end in range(0, len(raw), 11):
            survive(raw[:end], format)


def test_every_export_is_claimed_by_one_reader_and_its_own() -> None:
    for format, raw in ANY:
        assert [name for reader in READERS if (name := reader.recognise(source(raw).text))] == [format]


KOREAN, WINDOWS = "2015년 7월 9일 오후 8:34, ", "[a] [오전 1:01] x\r\n"
BANNERS = ["--------------- 2015년 7월 9일 목요일 ---------------\r\n", "----- 2014년 7월 9일 수요일 -----\r\n"]
HOSTILE = {  # format, beginning, what is repeated
    "colons": ("kakaotalk-android-ko", KOREAN, " : "),
    "many names": ("kakaotalk-android-ko", "", f"{KOREAN}a : b : c\n{KOREAN}d : e\n"),
    "brackets": ("kakaotalk-windows-ko", WINDOWS, "[] ["),
    "bracketed lines": ("kakaotalk-windows-ko", WINDOWS, "[" * 300 + "\n"),
    "dashes": ("kakaotalk-windows-ko", WINDOWS, "-"),
    "banners back": ("kakaotalk-windows-ko", BANNERS[0] + WINDOWS, BANNERS[1]),
    "banners back above": ("kakaotalk-windows-ko", BANNERS[0], BANNERS[1]),
    "notices": ("kakaotalk-windows-ko", WINDOWS, "b님이 나갔습니다.\r\n둘\r\n"),
    "notices above": ("kakaotalk-windows-ko", BANNERS[0], "b님이 나갔습니다.\r\n둘\r\n"),
    "one notice": ("kakaotalk-ios-ko", "2015. 7. 9. 오후 8:34: ", "가님이 "),
    "blank lines": ("kakaotalk-ios-ko", "2015. 7. 9. 오후 8:34, a : b\n", "\n"),
    "spaces": ("whatsapp-ios", "[1/31/21, 1:01:01 AM] a: b\n[1/31/21, 1:01:01", " "),
    "digits": ("whatsapp-android", "1/31/21, 1:01 AM - a: b\n", "1/"),
    "left-to-right": ("whatsapp-android", "1/31/21, 1:01 AM - a: b\n", "\u200eimage "),
    "quotes": ("kakaotalk-mac", "Date,User,Message\n2015-07-09 20:34:26,", '"'),
    "open quotes": ("kakaotalk-mac", "Date,User,Message\n", '2015-07-09 20:34:26,"a","b\n'),
    "times back": ("signal-text", "", "[2019-12-24, 12:23] a: b\n[2019-12-23, 12:23] a: b\n"),
    "numbers": ("numbered", "1 : a\n", "1"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_time_is_linear(kind: str) -> None:
    """Eight times the size takes about eight times as long; a square would take 64 times."""
    format, head, piece = HOSTILE[kind]
    reader = next(reader for reader in READERS if format in reader.NAMES)
    short, long = (
        min(_seconds(reader, format, head + piece * (size // len(piece))) for _ in range(2)) for size in (4_000, 32_000)
    )
    assert long < 20 * short + 0.05, f"{short:.3f} s, {long:.3f} s"


def _seconds(reader: ModuleType, name: str, text: str) -> float:
    start = process_time()
    survive_as(reader, name, text)
    return process_time() - start
