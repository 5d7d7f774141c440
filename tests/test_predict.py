"""The verb `predict`: exports become evidence; nothing is lost, nothing leaks, the same comes out again."""

import base64
import hashlib
import io
import json
import os
import re
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest

import electra_lab
from electra_lab.__main__ import main
from electra_lab.bundle import SETTINGS_FILE, WEIGHTS_FILE, save_detector
from electra_lab.evidence import predict_lines
from tests.detector_settings import SETTINGS

KAKAO = (
    "\ufeff김민지 님과 카카오톡 대화\r\n저장한 날짜 : 2021년 8월 3일 오전 12:51\r\n\n\n"
    "2021년 7월 9일 오후 8:34\r\n"
    "2021년 7월 9일 오후 8:34, 김민지 : 수호야 저녁 뭐 먹어?\r\n"
    "2021년 7월 9일 오후 8:35, 회원님 : 아이스 아메리카노\n그리고 케이크\r\n"
    "2021년 7월 9일 오후 8:36, 김민지 : 사진\r\n"
)
TELEGRAM = json.dumps(
    {
        "name": "동네",
        "type": "private_group",
        "id": 7,
        "messages": [
            {"id": 1, "type": "service", "date": "2022-01-01T10:00:00", "actor": "수호", "actor_id": "user1",
             "action": "create_group", "text": ""},
            {"id": 2, "type": "message", "date": "2022-01-01T10:01:00", "date_unixtime": "1640998860", "from": "수호",
             "from_id": "user1", "text": ["내일 ", {"type": "bold", "text": "봐"}]},
            {"id": 3, "type": "message", "date": "2022-01-01T10:02:00", "date_unixtime": "1640998920", "from": None,
             "from_id": "user2", "text": "", "photo": "(File not included.)"},
        ],
    },
    ensure_ascii=False,
    indent=1,
)  # fmt: skip
TIME = re.compile(r"\d\d:\d\d:\d\d UTC")  # of the run
CANARY = "비밀단어"
NAMES = ("김민지", "수호", "동네", "phone/", "lines.jsonl")


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    given = tmp_path / "exports"
    (given / "phone").mkdir(parents=True)
    (given / "phone/kakao-김민지.txt").write_bytes(KAKAO.encode())
    (given / "telegram.json").write_text(TELEGRAM, encoding="utf-8")
    chats = [
        {"id": "a", "messages": ["안녕", {"text": f"오늘 뭐해 {CANARY}", "speaker": "수호"}]},
        {"id": "b", "messages": []},
    ]
    (given / "lines.jsonl").write_text("\n".join(json.dumps(chat) for chat in chats), encoding="utf-8")
    return given


def predicted(detector: Path, given: Path, output: Path, *more: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    assert (
        main(["predict", "--model", str(detector), str(given), "--output", str(output), "--device", "cpu", *more]) == 0
    )
    return read(output)


def read(output: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    lines = (output / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return manifest, [json.loads(line) for line in lines]


def test_everything_is_read_scored_and_accounted_for(detector_folder: Path, exports: Path, tmp_path: Path) -> None:
    manifest, results = predicted(
        detector_folder, exports, tmp_path / "out", "--self", "나나", "--case", "7", "--examiner", "E"
    )
    found = manifest["deterministic"]
    assert [(line["id"], line["format"], line["status"]) for line in results] == [
        ("lines.jsonl#1", "jsonl", "scored"),
        ("lines.jsonl#2", "jsonl", "empty"),
        ("telegram.json", "telegram-chat", "scored"),
        ("phone/kakao-김민지.txt", "kakaotalk-android-ko", "scored"),
    ]
    telegram, kakao = results[2:]
    assert [(row["kind"], row["text"]) for row in telegram["entries"] if row["kind"] != "header"] == [
        ("system", telegram["entries"][1]["text"]),
        ("message", "내일 봐"),
        ("message", ""),
    ]
    messages = [row for row in kakao["entries"] if row["kind"] == "message"]
    assert [row["speaker"] for row in messages] == ["김민지", "나나", "김민지"]
    assert messages[1]["text"] == "아이스 아메리카노\n그리고 케이크" and "owner" in messages[1]["flags"]
    raw = (exports / "phone/kakao-김민지.txt").read_bytes()
    assert raw[messages[1]["offset"] :].decode().startswith("2021년 7월 9일 오후 8:35, 회원님")
    for line in results:
        assert all(0 <= row["score"] <= 1 for row in line["entries"] if row["kind"] == "message" and row["text"])
    assert found["counts"]["message"] == 2 + 0 + 3 + 2 and found["counts"]["conversations"] == 4
    assert sum(found["bands"].values()) == 4 and found["bands"]["empty"] == 1
    for one in found["inputs"]:
        path = exports / one["path"]
        assert one["status"] == "read" and one["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert one["bytes"] == path.stat().st_size
    assert (
        found["detector"]["sha256"][WEIGHTS_FILE]
        == hashlib.sha256((detector_folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    )
    assert found["case"] == {"number": "7", "examiner": "E", "time_zone": None}
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"report.html", "how-to-read.html", "messages.csv", "conversations.csv"}


def test_the_same_comes_out_again_and_nothing_else_in_the_folder_matters(
    detector_folder: Path,
    exports: Path,
    tmp_path: Path,
) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in exports.rglob("*") if path.is_file()}
    manifest, results = predicted(detector_folder, exports, tmp_path / "one")
    again, _ = predicted(detector_folder, exports, tmp_path / "two", "--device", "cpu,cpu")
    again["deterministic"]["device"] = manifest["deterministic"]["device"]
    assert again["deterministic"] == manifest["deterministic"]
    for name in ("results.jsonl", "messages.csv", "conversations.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    _, alone = predicted(detector_folder, exports / "telegram.json", tmp_path / "three")
    assert alone == [results[2]]  # to the last bit
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before}


def test_the_report_is_the_same_to_the_byte(detector_folder: Path, exports: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        predicted(detector_folder, exports, tmp_path / name)
    pages = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.html")]
    for page in pages:
        one, two = ((tmp_path / name / page).read_text(encoding="utf-8") for name in ("one", "two"))
        assert TIME.sub("", one) == TIME.sub("", two), page


def test_what_cannot_be_read_is_listed_and_the_rest_goes_on(
    detector_folder: Path,
    exports: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (exports / "broken.json").write_text(TELEGRAM[: len(TELEGRAM) // 2], encoding="utf-8")
    (exports / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)))
    os.mkfifo(exports / "pipe.txt")
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--model", str(detector_folder), str(exports), "--output", str(tmp_path / "out")])
    assert ended.value.code == 3
    manifest, results = read(tmp_path / "out")
    status = {one["path"]: one["status"] for one in manifest["deterministic"]["inputs"]}
    assert status["broken.json"] == status["pipe.txt"] == "unread" and status["photo.jpg"] == "unknown"
    assert len(results) == 4
    said = capfd.readouterr().err
    assert "broken.json" in said and "2 could not be read" in said
    assert not any(word in said for word in (CANARY, "내일", "저녁"))
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("broken.json", "photo.jpg", "pipe.txt"))


def test_without_names_there_are_none(detector_folder: Path, exports: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    (exports / "동네.json").write_text(TELEGRAM[:99], encoding="utf-8")
    with pytest.raises(SystemExit):
        main(
            [
                "predict",
                "--model",
                str(detector_folder),
                str(exports),
                "--output",
                str(output),
                "--redact",
                "--self",
                "나나",
            ]
        )
    _, results = read(output)
    assert [line["id"] for line in results] == ["file 1#1", "file 1#2", "file 2", "file 4"]
    assert [line["speakers"] for line in results] == [
        ["person 2"],
        [],
        ["person 2", "person 3"],
        ["person 4", "person 1"],
    ]
    everything = b"".join(path.read_bytes() for path in output.rglob("*") if path.is_file())
    for name in (*NAMES, "나나"):
        forms = (name, unicodedata.normalize("NFD", name), json.dumps(name)[1:-1])
        for form in (*(form.encode() for form in forms), base64.b64encode(name.encode()).rstrip(b"=")[:-1]):
            assert form not in everything, name
    assert "person 2야 저녁 뭐 먹어?".encode() in everything


def test_words_of_the_examiner_are_marked_and_change_no_score(
    detector_folder: Path,
    exports: Path,
    tmp_path: Path,
) -> None:
    words = tmp_path / "words.yaml"
    words.write_text("- 아이스: iced coffee\n", encoding="utf-8")
    manifest, marked = predicted(detector_folder, exports, tmp_path / "one", "--lexicon", str(words))
    _, plain = predicted(detector_folder, exports, tmp_path / "two")
    (hit,) = [hit for line in marked for row in line["entries"] for hit in row.get("lexicon", [])]
    assert hit == {"start": 0, "end": 3, "word": "아이스", "senses": ["iced coffee"]}
    assert manifest["deterministic"]["options"]["lexicon"] == [{"word": "아이스", "senses": ["iced coffee"]}]
    assert [line["score"] for line in marked] == [line["score"] for line in plain]
    page = (tmp_path / "one/report.html").read_text(encoding="utf-8")
    assert "iced coffee" in page and "iced coffee" not in (tmp_path / "two/report.html").read_text(encoding="utf-8")


def test_a_detector_of_made_up_conversations_says_so_on_every_page(
    detector_folder: Path,
    exports: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector = shutil.copytree(detector_folder, tmp_path / "detector")
    record = json.loads((detector / SETTINGS_FILE).read_text(encoding="utf-8"))
    for name, trained_on in (("demo", electra_lab.bundle.MADE_UP), ("real", "given conversations")):
        record["settings"]["trained_on"] = trained_on
        (detector / SETTINGS_FILE).write_text(json.dumps(record), encoding="utf-8")
        manifest, _ = predicted(detector, exports, tmp_path / name)
        assert manifest["deterministic"]["detector"]["is_demo"] == (name == "demo")
        for page in (tmp_path / name).rglob("*.html"):
            assert ("DEMO" in page.read_text(encoding="utf-8")) == (name == "demo"), page


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"--output": "{given}/out"}, "is inside"),
        ({"--output": "{full}"}, "is not empty"),
        ({"--output": None}, "give --output"),
        ({"--device": "cuda:99"}, "there is no device"),
        ({"--precision": "fp8"}, "precision must be one of"),
        ({"--format": "msn"}, "msn"),
        ({"--lexicon": "none.yaml"}, "no such file of words"),
        ({"--model": "{given}"}, "detector"),
        ({"--columns": "{text: [}"}, "columns"),
        ({"path": "{given}/nowhere"}, "nowhere"),
        ({"--output": "{full}/something/out"}, "no folder can be made there"),
    ],
)
def test_a_mistake_is_one_sentence(
    wrong: dict[str, str | None],
    said: str,
    detector_folder: Path,
    exports: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "something").write_text("kept")
    options: dict[str, str | None] = {
        "--model": str(detector_folder),
        "--output": str(tmp_path / "out"),
        "path": str(exports),
    }
    for name, value in (options | wrong).items():
        options[name] = None if value is None else value.replace("{given}", str(exports)).replace("{full}", str(full))
    path = options.pop("path")
    words = [word for name, value in options.items() if value is not None for word in (name, value)]
    assert main(["predict", str(path), *words]) in (1, 2)
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err and len(err.strip().splitlines()) == 1
    assert (full / "something").read_text() == "kept" and not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*unfinished"))


def test_a_damaged_or_untrained_detector_scores_nothing(
    detector_folder: Path,
    exports: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = shutil.copytree(detector_folder, tmp_path / "damaged")
    with (damaged / WEIGHTS_FILE).open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"\x7f")
    assert main(["predict", str(exports), "--model", str(damaged), "--output", str(tmp_path / "out")]) == 1
    assert WEIGHTS_FILE in capsys.readouterr().err
    model, tokenizer = electra_lab.load_model_for_inference(detector_folder)
    save_detector(model.detector, tokenizer, SETTINGS.__class__(**{**vars_of(SETTINGS), "steps": 0}), tmp_path / "new")
    assert main(["predict", str(exports), "--model", str(tmp_path / "new"), "--output", str(tmp_path / "out")]) == 1
    assert "train" in capsys.readouterr().err and not (tmp_path / "out").exists()


def vars_of(settings: Any) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


def test_an_interrupted_run_leaves_nothing_that_looks_finished(
    detector_folder: Path,
    exports: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*anything: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("electra_lab.evidence.write_report", interrupted)
    with pytest.raises(KeyboardInterrupt):
        electra_lab.predict([str(exports)], str(detector_folder), str(tmp_path / "out"), device="cpu")
    assert {path.name for path in tmp_path.iterdir()} == {"exports"}


def test_one_call_in_python(detector_folder: Path, exports: Path, tmp_path: Path) -> None:
    manifest = electra_lab.predict(str(exports), model=str(detector_folder), output=str(tmp_path / "out"), device="cpu")
    assert manifest == read(tmp_path / "out")[0]


def test_lines_in_lines_out(detector_folder: Path, exports: Path, tmp_path: Path) -> None:
    given = (exports / "lines.jsonl").read_bytes() + b'\n\nno json\n{"id": "c"}\n'
    said = io.StringIO()
    assert predict_lines(str(detector_folder), io.BytesIO(given), said, "cpu") == 2
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [(line["id"], line["status"]) for line in lines] == [
        ("line 1", "scored"),
        ("line 2", "empty"),
        ("line 4", "unread"),
        ("line 5", "unread"),
    ]
    _, results = predicted(detector_folder, exports / "lines.jsonl", tmp_path / "out")
    assert lines[0]["score"] == results[0]["score"] and lines[0]["title"] == "a"
    assert all("no json" not in line["problem"] for line in lines[2:])


def test_names_of_files_change_neither_the_problem_nor_the_terminal(
    detector_folder: Path, exports: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (exports / "e").write_text("no chat", encoding="utf-8")
    (exports / "a").symlink_to("e")
    (exports / "x\n\x1b[2J").write_text("no chat", encoding="utf-8")
    with pytest.raises(SystemExit):
        predicted(detector_folder, exports, tmp_path / "out", "--redact")
    found = read(tmp_path / "out")[0]["deterministic"]["inputs"]
    problems = {one["problem"] for one in found if one["problem"] is not None}
    assert any(problem.startswith("in no format that is known") for problem in problems)
    assert any(problem.startswith("a link, pipe or device") for problem in problems)
    said = capfd.readouterr().err
    assert "\x1b" not in said and not any(line.startswith(("e:", "a:", "x")) for line in said.splitlines())
    with pytest.raises(SystemExit):
        predicted(detector_folder, exports, tmp_path / "named")
    assert "x\\n\\x1b[2J: in no format" in capfd.readouterr().err


def test_the_output_may_be_a_link_but_not_the_current_folder(
    detector_folder: Path,
    exports: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("real", "current"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("real")
    predicted(detector_folder, exports, tmp_path / "link")
    assert (tmp_path / "real/report.html").is_file() and (tmp_path / "link").is_symlink()
    monkeypatch.chdir(tmp_path / "current")
    assert main(["predict", "--model", str(detector_folder), str(exports), "--output", "."]) == 1
    assert "is the current folder" in capsys.readouterr().err and not list(tmp_path.rglob(".*unfinished"))


def test_standard_input_takes_no_option_that_it_would_forget(
    detector_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--model", str(detector_folder), "-", "--redact"]) == 1
    said = capsys.readouterr()
    assert "redact" in said.err and not said.out


def test_ctrl_c_is_one_sentence(
    detector_folder: Path,
    exports: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*anything: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("electra_lab.evidence.write_report", interrupted)
    assert main(["predict", "--model", str(detector_folder), str(exports), "--output", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "electra-lab predict: interrupted"
