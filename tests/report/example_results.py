"""results.jsonl and manifest.json written by hand: everyday chat in Korean with a few messages that look arranged."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SETTINGS: dict[str, Any] = {
    "window": 10,
    "stride": 5,
    "max_length": 512,
    "context": "window",
    "num_speakers": 8,
    "dropout": 0.3,
    "pooling": "attention",
    "ngrams": True,
    "temperatures": {"window": 1.31, "message": 1.12, "conversation": 1.0},
    "thresholds": {"window": 0.82, "message": 0.74, "conversation": 0.85},
    "review_thresholds": {"window": 0.45, "message": 0.4, "conversation": 0.5},
    "threshold_policy": "fpr<=0.01",
    "decision": "max",
    "trained_on": "made-up conversations (embedded in electra_lab)",
    "backbone": "runs/pretrain/tiny/discriminator",
    "steps": 1200,
    "version": 1,
}
FIGURES: dict[str, Any] = {
    "message": {
        "num": 14210,
        "prevalence": 0.04,
        "precision": 0.8,
        "recall": 0.6,
        "average_precision": [0.71, 0.66, 0.75],
    },
    "window": {
        "num": 2810,
        "prevalence": 0.1,
        "precision": 0.75,
        "recall": 0.9,
        "average_precision": None,
        "ece": 0.031,
    },
    "conversation": {"num": 140, "prevalence": 0.25, "precision": 0.7, "recall": 0.8, "auroc": 0.93},
}
_COUNTED = ("message", "system", "header", "blank", "unparsed", "continuation", "truncated")


def message(speaker: str | None, text: str, score: float | None = 0.02, **more: Any) -> dict[str, Any]:
    """An entry of kind message; index, place and band come with its conversation."""
    return {"kind": "message", "speaker": speaker, "text": text, "score": score, "attention": 0.1} | more


def other(kind: str, text: str, **more: Any) -> dict[str, Any]:
    """A system event, header or unparsed line."""
    return {"kind": kind, "speaker": None, "text": text} | more


def conversation(id: str, entries: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A line of results.jsonl: places run on, windows of ten every five messages take their highest message's score."""
    lines, offset, done, index = 1, 0, [], 0
    for entry in entries:
        text = entry["text"]
        size = len(text.encode("utf-8", "surrogatepass")) + 24
        placed = {
            "time": None,
            "file": 0,
            "line": lines,
            "lines": text.count("\n") + 1,
            "offset": offset,
            "bytes": size,
        }
        placed |= {"flags": []} | entry
        if entry["kind"] == "message":
            placed = {
                "index": index,
                "band": None if entry["score"] is None else _band(entry["score"], "message"),
                "truncated": False,
                "lexicon": [],
            } | placed
            index += 1
        done.append(placed)
        lines, offset = lines + placed["lines"], offset + size
    messages = [entry for entry in done if entry["kind"] == "message"]
    windows: list[dict[str, Any]] = []
    for start in range(0, max(index - 5, 1), 5) if index else ():
        highest = max(entry["score"] or 0.0 for entry in messages[start : start + 10])
        windows.append(
            {"start": start, "end": min(start + 10, index), "score": highest, "band": _band(highest, "window")}
        )
    found: float | None = max((window["score"] for window in windows), default=None)
    times = [entry["time"] for entry in done if entry["time"]]
    kinds = [entry["kind"] for entry in done]
    return {
        "id": id,
        "title": None,
        "format": "kakaotalk-android-ko",
        "files": [id],
        "status": "scored" if messages else "empty",
        "score": found,
        "band": None if found is None else _band(found, "conversation"),
        "first_time": times[0] if times else None,
        "last_time": times[-1] if times else None,
        "speakers": list(dict.fromkeys(entry["speaker"] for entry in messages if entry["speaker"] is not None)),
        "counts": {
            **{kind: kinds.count(kind) for kind in ("message", "system", "header", "unparsed")},
            "blank": 2,
            "continuation": sum(entry["lines"] - 1 for entry in done),
            "truncated": sum(entry.get("truncated", False) for entry in done),
        },
        "windows": windows,
        "entries": done,
    } | more


def write_results(
    folder: Path,
    conversations: Sequence[dict[str, Any]],
    *,
    is_demo: bool = True,
    inputs: Sequence[dict[str, Any]] = (),
    case: dict[str, Any] | None = None,
    figures: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> Path:
    """Write the two files with counts that agree; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.jsonl").open("w", encoding="utf-8") as file:
        for one in conversations:
            file.write(json.dumps(one) + "\n")
    bands = [one["band"] for one in conversations]
    read = [
        {"path": path, "sha256": "5e" * 32, "bytes": 4096, "format": one["format"], "status": "read", "problem": None}
        | {"conversations": 1}
        for one in conversations
        for path in one["files"]
    ]
    settled = {
        "tool": {"electra_lab": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0", "python": "3.11.7"},
        "detector": {
            "sha256": {"model.safetensors": "ab" * 32, "config.json": "cd" * 32},
            "settings": SETTINGS if settings is None else settings,
            "figures": FIGURES if figures is None else figures,
            "is_demo": is_demo,
        },
        "options": {
            **{"format": None, "own_name": None, "day_first": None, "columns": None, "redact": False},
            "lexicon": [{"word": "아이스", "senses": ["iced coffee", "얼음"]}],
        },
        "device": "cpu",
        "precision": "fp32",
        "case": case or {"number": "2026-0117", "examiner": "박서연", "time_zone": "Asia/Seoul"},
        "inputs": [*read, *inputs],
        "counts": {name: sum(one["counts"][name] for one in conversations) for name in _COUNTED}
        | {"conversations": len(conversations)},
        "bands": {band: bands.count(band) for band in ("alert", "review", "clear")} | {"empty": bands.count(None)},
    }
    run = {"started": "2026-03-02T09:14:05+00:00", "ended": "2026-03-02T09:14:09+00:00", "seconds": 3.2}
    (folder / "manifest.json").write_text(json.dumps({"deterministic": settled, "run": run}), encoding="utf-8")
    return folder


def arranged_chat() -> dict[str, Any]:
    """Two friends, a stretch that sounds like an arrangement, every mark there is."""
    day = "2026-02-14T"
    word = {"start": 3, "end": 6, "word": "아이스", "senses": ["iced coffee", "얼음"]}
    entries = [
        other("header", "민수 님과 카카오톡 대화"),
        other("header", "저장한 날짜 : 2026년 3월 1일 오전 12:51"),
        other("header", "2026년 2월 14일 오후 7:58", time=day + "19:58"),
        message("민수", "야 너 오늘 저녁 뭐 먹어?", 0.011, time=day + "19:58", attention=0.02),
        message("나", "집에 가서 김치찌개 끓이려고 ㅋㅋ", 0.008, time=day + "19:59", attention=0.02, flags=["owner"]),
        message("민수", "부럽다… 나는 아직 회사야 😭", 0.013, time=day + "19:59", attention=0.03),
        message("나", "", None, attention=None, time=day + "20:01", flags=["owner", "media"]),
        message("민수", "근데 저번에 말한 그거 아직 남았대?", 0.62, time=day + "20:04", attention=0.18),
        message("나", "ㅇㅇ 물건 확인했어", 0.79, time=day + "20:05", attention=0.22, flags=["owner"]),
        message("민수", "시원한 걸로 두 개, 늘 하던 데서", 0.934, time=day + "20:05", attention=0.41),
        message(
            "나", "알겠어 아이스 두 잔 값은 먼저 보내줘", 0.884, time=day + "20:07", attention=0.33, flags=["owner"]
        )
        | {"lexicon": [{**word, "start": 4, "end": 7}]},
        other("system", "민수님이 송금을 요청했습니다.", time=day + "20:08"),
        message("민수", "보냈어. 확인해봐", 0.51, time=day + "20:09", attention=0.12),
        message("나", "삭제된 메시지입니다.", 0.03, time=day + "20:10", attention=0.02, flags=["owner", "deleted"]),
        message(
            "민수",
            "어 그리고 이건 그냥 길게 쓰는 얘기인데\n\n내일 동아리 모임 장소가 바뀌었대. 원래는 학교 앞 카페였는데 "
            "공사 중이라서 역 뒤쪽 2층으로 간다고 하더라. 늦으면 먼저 시작한다니까 일곱 시 전에는 와야 해!\n"
            "- 회비 만 원\n- 노트북 가져오기",
            0.04,
            time=day + "20:15",
            attention=0.05,
        ),
        message(
            "나",
            "[민수] [오후 8:16] 내가 쓴 게 아니야",
            0.12,
            time=day + "20:16",
            attention=0.04,
            flags=["owner", "ambiguous"],
        ),
        message("민수", "אני בא מחר בשמונה, 2 x 30", 0.2, time=day + "20:17", attention=0.04),
        message(
            "민수", "파일\u202egpj.exe\u202c 열지 마 \u200b\u200b숨은 글자", 0.31, time=day + "20:17", attention=0.04
        ),
        message("나", "우리 가족 👨‍👩‍👧‍👦 최고 ❤️ 1️⃣ 🇰🇷", 0.01, time=day + "20:20", attention=0.01, flags=["owner"]),
        other("unparsed", "2026년 2월 14일 오후 8:2x, 민수 ; 깨진 줄"),
        message("민수", "가나다 https://example.invalid/" + "a" * 120, 0.07, time=day + "20:22", attention=0.02),
        message("나", "ㅋㅋㅋㅋ " * 300, 0.05, time=day + "20:23", attention=0.02, flags=["owner"], truncated=True),
    ]
    return conversation("kakao/민수.txt", entries, title="민수")


def everyday_conversations() -> list[dict[str, Any]]:
    """Other formats and kinds: a group, a joined export, times with a zone, nobody named, nothing at all."""
    group = [
        message(name, text, score, time=f"2026-02-{10 + at // 4:02}T12:{at:02}:07+09:00", file=at // 10)
        for at, (name, text, score) in enumerate(
            (name, text, 0.01 + 0.03 * ((turn * 7 + number * 3) % 11) + (0.52 if (turn, number) == (2, 3) else 0))
            for turn in range(4)
            for number, (name, text) in enumerate(
                [
                    ("은지", "주말에 등산 갈 사람?"),
                    ("Kim: Jr.", "나 갈래. 몇 시에 어디서 봐?"),
                    ("태호 ]", "비 온다던데 괜찮을까"),
                    ("ㅤ", "괜찮은 거 두 개 구해놨어, 현장에서 줄게"),
                    ("엄마", "우산 챙기렴"),
                ]
            )
        )
    ]
    return [
        conversation(
            "telegram/산악회.json#2",
            group,
            title="산악회 🏔️ (4)",
            files=["t/part-1.json", "t/part-2.json"],
            format="telegram",
        ),
        conversation(
            "text/no-times.txt",
            [message(None, "안녕"), message(None, "내일 봐", 0.05, flags=["no_speaker", "no_time"])],
        ),
        conversation(
            "whatsapp/empty.txt", [other("header", "Messages are end-to-end encrypted.")], format="whatsapp-android"
        ),
    ]


EXTRA_INPUTS = [
    {"path": "kakao/broken.txt", "sha256": "77" * 32, "bytes": 90, "format": None, "status": "unread"}
    | {"problem": "byte 17 is no text in UTF-8 or CP949", "conversations": 0},
    {"path": "notes/todo.docx", "sha256": "88" * 32, "bytes": 18211, "format": None, "status": "unknown"}
    | {"problem": "no known format fits; force one with --format", "conversations": 0},
]


def write_example(folder: Path, **more: Any) -> Path:
    """The whole example, as a user would get it."""
    return write_results(folder, [*everyday_conversations(), arranged_chat()], inputs=EXTRA_INPUTS, **more)


def _band(score: float, level: str) -> str:
    if score >= SETTINGS["thresholds"][level]:
        return "alert"
    return "review" if score >= SETTINGS["review_thresholds"][level] else "clear"
