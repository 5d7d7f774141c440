import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from electra_lab.data.exports import FORMATS, READ, UNKNOWN, UNREAD, Input, read_files
from electra_lab.data.exports.chat import Chat, Entry, Options
from electra_lab.data.exports.joining import in_order
from electra_lab.data.exports.walk import part
from tests.data.exports.examples import EXAMPLES
from tests.data.exports.reading import PLAIN

TABLE = EXAMPLES["columns-csv"]
SAVED = "20200808T10:00"


def put(folder: Path, **files: bytes) -> Path:
    """Files by their name; "__" for "." and "___" for "/"."""
    for name, raw in files.items():
        path = folder / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    return folder


def read_exports(paths: Sequence[Path], options: Options) -> Iterator[Chat | Input]:
    """The conversations, and behind them what gave none."""
    for inputs, chats in read_files(paths, options):
        yield from chats
        yield from (given for given in inputs if given.status != READ)


def names(*paths: Path, options: Options = PLAIN) -> list[str]:
    """Ids of chats, and names of the other files behind a minus."""
    return [found.id if isinstance(found, Chat) else f"-{found.name}" for found in read_exports(paths, options)]


@pytest.mark.parametrize("format", EXAMPLES)
def test_every_example_is_claimed_by_its_format_alone(format: str) -> None:
    head = EXAMPLES[format].decode()
    modules = {
        function.__module__: __import__(function.__module__, fromlist=["recognise"]) for function in FORMATS.values()
    }
    claims = [name for module in modules.values() if (name := module.recognise(head)) is not None]
    assert claims == [format]


def test_a_folder_is_read_in_a_fixed_order_and_every_file_accounted_for(tmp_path: Path) -> None:
    put(
        tmp_path,
        b__csv=TABLE,
        a__json=EXAMPLES["telegram-account"],
        photo__jpg=b"\xff\xd8\0\1",
        notes__txt=b"hello\n",
        cut__json=EXAMPLES["facebook"][:-20],
        empty__txt=b"",
        __hidden=b"x",
        sub___c__csv=TABLE,
        sub___a10__csv=TABLE,
        sub___a9__csv=TABLE,
    )
    (tmp_path / "link.csv").symlink_to(tmp_path / "b.csv")
    (tmp_path / "folder").symlink_to(tmp_path / "sub")
    os.mkfifo(tmp_path / "pipe.csv")
    found = list(read_exports([tmp_path], PLAIN))
    assert names(tmp_path) == [
        *(
            "-.hidden",
            "a.json#1",
            "a.json#2",
            "b.csv",
            "-cut.json",
            "-empty.txt",
            "-link.csv",
            "-notes.txt",
            "-photo.jpg",
        ),
        *("-pipe.csv", "-folder", "sub/a10.csv", "sub/a9.csv", "sub/c.csv"),
    ]
    unread = {entry.name: entry for entry in found if isinstance(entry, Input)}
    assert [name for name, entry in unread.items() if entry.status == UNKNOWN] == [
        ".hidden",
        "empty.txt",
        "notes.txt",
        "photo.jpg",
    ]
    assert "E101" in unread["cut.json"].problem and "line" in unread["cut.json"].problem
    assert all("not opened" in unread[name].problem for name in ("link.csv", "folder", "pipe.csv"))
    (chat,) = [entry for entry in found if isinstance(entry, Chat) and entry.id == "sub/c.csv"]
    assert chat.files == ("sub/c.csv",)


def test_ids_are_unique_whatever_files_are_called(tmp_path: Path) -> None:
    put(tmp_path, **{"a__json": EXAMPLES["telegram-account"], "a__json#1": TABLE, "a__json#1~": TABLE})
    assert names(tmp_path) == ["a.json#1", "a.json#2", "a.json#1~", "a.json#1~~"]


def test_names_are_below_what_the_given_paths_have_in_common(tmp_path: Path) -> None:
    put(tmp_path, x___a__csv=TABLE, y___a__csv=TABLE, y___z___b__csv=TABLE)
    assert names(tmp_path / "x") == ["a.csv"]
    assert names(tmp_path / "x" / "a.csv") == ["a.csv"]
    assert names(tmp_path / "y", tmp_path / "x") == ["y/a.csv", "y/z/b.csv", "x/a.csv"]
    assert names(tmp_path / "x" / "a.csv", tmp_path / "y" / "a.csv") == ["x/a.csv", "y/a.csv"]
    assert names(tmp_path / "y" / "z", tmp_path / "y", tmp_path / "y" / "a.csv") == ["z/b.csv", "a.csv"]  # once
    (tmp_path / "link").symlink_to(tmp_path / "x")
    assert names(tmp_path / "link") == ["a.csv"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        next(read_exports([tmp_path / "x", tmp_path / "nowhere"], PLAIN))


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.csv")).write_bytes(TABLE)
    (name,) = names(tmp_path)
    assert name == "a\\xff.csv" and name.encode()


def test_what_a_manifest_says_of_each_file(tmp_path: Path) -> None:
    put(tmp_path, a__json=EXAMPLES["telegram-account"], b__bin=b"\0" * 100_000, c__json=b'{"participants": [{"name": 1')
    os.mkfifo(tmp_path / "d")
    inputs = [found for reading in read_files([tmp_path], PLAIN) for found in reading.inputs]
    assert [(found.name, found.size, found.format, found.status, found.conversations) for found in inputs] == [
        ("a.json", len(EXAMPLES["telegram-account"]), "telegram-account", "read", 2),
        ("b.bin", 100_000, None, "unknown", 0),
        ("c.json", 28, None, "unknown", 0),
        ("d", None, None, "unread", 0),
    ]
    for found in inputs[:3]:
        assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert [found.problem is None for found in inputs] == [True, False, False, False]


def test_each_file_is_opened_once_and_only_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, a__csv=TABLE, b__bin=b"\0", c__json=EXAMPLES["nikl"])
    opened: list[tuple[str, str]] = []
    true_open = Path.open

    def spy(self: Path, mode: str = "r", *rest: Any) -> Any:
        opened.append((self.name, mode))
        return true_open(self, mode, *rest)

    monkeypatch.setattr(Path, "open", spy)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(names(tmp_path)) == 3
    assert opened == [("a.csv", "rb"), ("b.bin", "rb"), ("c.json", "rb")]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, a__csv=TABLE, b__csv=TABLE)
    true_open = Path.open

    def refuse(self: Path, *rest: Any) -> Any:
        if self.name == "a.csv":
            raise PermissionError(13, "Permission denied")
        return true_open(self, *rest)

    monkeypatch.setattr(Path, "open", refuse)
    unread, chat = read_exports([tmp_path], PLAIN)
    assert isinstance(unread, Input) and "Permission denied" in unread.problem and unread.status == UNREAD
    assert isinstance(chat, Chat) and chat.id == "b.csv"


def test_a_format_can_be_forced(tmp_path: Path) -> None:
    put(tmp_path, a__txt=b"hello\n", b__csv=TABLE)
    found = list(read_exports([tmp_path], Options(format="columns-csv")))
    assert [isinstance(entry, Chat) for entry in found] == [False, True]
    assert isinstance(found[0], Input) and found[0].status == UNREAD
    with pytest.raises(ValueError, match=r"known are kakaotalk-android-ko, .*columns-jsonl"):
        next(read_exports([tmp_path], Options(format="csv")))
    with pytest.raises(ValueError, match="known are text"):
        next(read_exports([tmp_path], Options(columns=(("who", "a"),))))


def test_a_file_larger_than_the_head_is_recognised_wherever_the_head_ends(tmp_path: Path) -> None:
    for shift in range(4):
        line = "a" * shift + "가" * 60_000
        for encoding in ("utf-8", "cp949", "utf-16"):
            (tmp_path / f"{shift}-{encoding}.csv").write_bytes(f"text,{line}\n{line},b\n".encode(encoding))
    assert len([name for name in names(tmp_path) if not name.startswith("-")]) == 12


def month(number: int, title: str = "방", size: int = 2) -> bytes:
    """A chat of some days in 2020."""
    messages = [
        {
            "id": day,
            "type": "message",
            "date": f"2020-{number:02}-0{day}T10:00:00",
            "from": "가",
            "text": f"{number}/{day}",
        }
        for day in range(1, size + 1)
    ]
    return json.dumps({"name": title, "type": "personal_chat", "id": 1, "messages": messages}).encode()


def test_parts_of_a_split_export_are_one_chat(tmp_path: Path) -> None:
    many = {f"r___room-{number}__json": month(number) for number in range(1, 12)}
    put(tmp_path, **many)
    (reading,) = read_files([tmp_path], PLAIN)
    (chat,) = reading.chats
    assert chat.id == "r/room-1.json"
    assert chat.files == tuple(f"r/room-{number}.json" for number in range(1, 12))  # 2 before 10
    assert [entry.text for entry in chat.messages] == [f"{number}/{day}" for number in range(1, 12) for day in (1, 2)]
    assert [entry.file for entry in chat.messages] == [number for number in range(11) for _ in (1, 2)]
    assert [(found.name, found.conversations) for found in reading.inputs] == [(name, 1) for name in chat.files]


def test_parts_with_the_newest_first_are_put_in_the_order_of_time(tmp_path: Path) -> None:
    def facebook(*seconds: int) -> bytes:
        texts = [{"sender_name": "A", "timestamp_ms": 1_588_334_400_000 + 1000 * s, "content": str(s)} for s in seconds]
        return json.dumps({"participants": [{"name": "A"}], "messages": texts, "title": "x"}).encode()

    put(tmp_path, message_1__json=facebook(6, 5), message_2__json=facebook(4, 3), message_3__json=facebook(2, 1))
    (chat,) = read_exports([tmp_path], PLAIN)
    assert isinstance(chat, Chat) and chat.id == "message_1.json"
    assert chat.files == ("message_3.json", "message_2.json", "message_1.json")
    assert [(entry.text, entry.file) for entry in chat.messages] == [
        *(("1", 0), ("2", 0), ("3", 1), ("4", 1), ("5", 2), ("6", 2)),
    ]


@pytest.mark.parametrize("room", ["방 (4명)과 카카오톡 대화", "Talk_2015.8.3 00_15"])  # newer ones do not name the room
def test_parts_that_begin_within_a_day(room: str, tmp_path: Path) -> None:
    """The banner of the day stands in both parts, and the time of saving, later than all, in both heads."""
    talk = [("9일 목요일", "2015. 7. 9. 오후 8:34, 가 : 하나"), ("9일 목요일", "2015. 7. 9. 오후 9:34, 나 : 둘")]
    for number, (day, line) in enumerate(talk, 1):
        head = f"{room}-{number}.txt\r\n저장한 날짜 : 2015. 8. 3. 오전 12:15\r\n"
        text = f"\ufeff{head}\r\n\r\n\r\n2015년 7월 {day}\r\n{line}\r\n"
        (tmp_path / f"Talk_2015.8.3 00_15-{number}.txt").write_bytes(text.encode())
    (chat,) = read_exports([tmp_path], PLAIN)
    assert isinstance(chat, Chat)
    assert [(entry.text, entry.file) for entry in chat.messages] == [("하나", 0), ("둘", 1)]


@pytest.mark.parametrize(
    "second",
    [
        month(2, title="다른 방"),
        month(1),  # the same days again: a second export of the room
        month(2, size=0),  # no time that could tell
        EXAMPLES["nikl"],
    ],
)
def test_what_is_not_surely_one_export_stays_apart(tmp_path: Path, second: bytes) -> None:
    put(tmp_path, **{"a-1__json": month(1), "a-2__json": second})
    assert names(tmp_path) == ["a-1.json", "a-2.json"]


def test_rooms_without_a_name_and_times_of_saving_do_not_join(tmp_path: Path) -> None:
    nameless = {"a-1__json": month(1).replace(b'"name"', b'"n"'), "a-2__json": month(2).replace(b'"name"', b'"n"')}
    assert names(put(tmp_path, **nameless)) == ["a-1.json", "a-2.json"]

    def talk(day: int) -> Chat:
        entries = [
            Entry(kind, "", 1, 1, 0, 1, time=time) for kind, time in (("header", SAVED), ("message", f"{day}T10:00"))
        ]
        return Chat("x", "x", "방", ("x",), tuple(entries))

    first, second = talk(20200101), talk(20200102)
    assert in_order([first], second) == [first, second]


def test_parts_are_neighbours_by_their_number_in_one_folder(tmp_path: Path) -> None:
    files = {
        "a-1__json": month(1),
        "a-3__json": month(2),
        "b-1__json": month(3),
        "b-2__txt": month(4),
        "c___b-2__json": month(5),
    }
    put(tmp_path, **files)
    assert len(names(tmp_path)) == 5
    assert part("Talk_2021.1.10 08_15-2.txt") == ("Talk_2021.1.10 08_15-\0.txt", 2)
    assert part("room [part 2].json") == (part("room.json")[0], 2)
    assert part("room-2.json")[0] != part("room.json")[0] and part("2020-2021") == ("2020-2021", 1)
