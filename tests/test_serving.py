"""Devices and the order of what is scored on them; a result's line from a chat and its prediction."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from electra_lab.data.conversation import Conversation, Message
from electra_lab.data.exports.chat import BLANK, HEADER, MESSAGE, SYSTEM, Chat, Entry
from electra_lab.data.senses import Term
from electra_lab.inference import (
    ConversationPrediction,
    MessagePrediction,
    TrainedDetector,
    WindowPrediction,
    load_model_for_inference,
)
from electra_lab.results import judged, result
from electra_lab.serving import devices_named, scored
from tests.test_inference import texts

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(detector_folder: Path) -> TrainedDetector:
    return load_model_for_inference(detector_folder)[0]


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_named("cpu") == [CPU] and devices_named("cpu, cpu") == [CPU, CPU]
    for wrong in ("gpu", "cuda:99", "", "cpu,"):
        with pytest.raises(ValueError, match="there is no device"):
            devices_named(wrong)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert devices_named("auto") == [CPU]


def test_several_devices_give_the_order_and_the_scores_of_one(model: TrainedDetector) -> None:
    sizes = [3, 0, 40, 1, 12, 12, 7, 30]
    items = [
        (number, Conversation(str(number), tuple(map(Message, texts(size, number)))))
        for number, size in enumerate(sizes)
    ]
    alone = list(scored(model, items, [CPU]))
    assert [item for item, _ in alone] == list(range(8))
    assert alone[1][1] is None and all(found is not None for item, found in alone if item != 1)
    assert list(scored(model, iter(items), [CPU, CPU, CPU])) == alone
    assert list(scored(model, items[4:5], [CPU])) == alone[4:5]  # to the bit, whatever stands before and after


def test_not_more_is_read_ahead_than_the_devices_need(model: TrainedDetector) -> None:
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number, Conversation("a", (Message("안녕"),))

    results = scored(model, items(), [CPU, CPU])
    next(results)
    assert len(taken) <= 4
    assert [item for item, _ in results] == list(range(1, 20))


def test_bf16_is_near(model: TrainedDetector) -> None:
    items = [(0, Conversation("a", tuple(map(Message, texts(20)))))]
    ((_, whole),), ((_, half),) = (list(scored(model, items, [CPU], kind)) for kind in ("fp32", "bf16"))
    assert half.score == pytest.approx(whole.score, abs=0.05) and half != whole
    with pytest.raises(ValueError, match="precision must be one of fp32, bf16, got 'fp64'"):
        list(scored(model, items, [CPU], "fp64"))


def entry(kind: str, text: str, line: int, **more: object) -> Entry:
    return Entry(kind, text, line, 1, 10 * line, 10, **more)


CHAT = Chat(
    "a.txt",
    "kakaotalk-android-ko",
    "방",
    ("a.txt",),
    (
        entry(HEADER, "방 님과 카카오톡 대화", 1),
        entry(BLANK, "", 2),
        entry(MESSAGE, "첫째", 3, speaker="B", time="2021-07-09T20:34"),
        entry(MESSAGE, " ", 4, speaker="A", flags=("media",)),
        entry(SYSTEM, "A님이 나갔습니다.", 5),
        entry(MESSAGE, "아이스 하나", 6, speaker="B", time="2021-07-09T20:40"),
    ),
)
PREDICTION = ConversationPrediction(
    0.7,
    True,
    [WindowPrediction(0, 2, 0.6, True, "alert")],
    [MessagePrediction(0, 0.1, False, 0.3, "clear", False), MessagePrediction(1, 0.9, True, 0.7, "alert", True)],
    "alert",
)


def test_a_line_of_results() -> None:
    assert [message.text for message in judged(CHAT).messages] == ["첫째", "아이스 하나"]
    line = result(CHAT, PREDICTION, [Term("아이스", ("coffee",))])
    assert (line["status"], line["score"], line["band"], line["speakers"]) == ("scored", 0.7, "alert", ["B", "A"])
    assert (line["first_time"], line["last_time"]) == ("2021-07-09T20:34", "2021-07-09T20:40")
    assert line["windows"] == [
        {"start": 0, "end": 3, "score": 0.6, "band": "alert"}
    ]  # the message without a text is in it
    assert line["counts"] == {
        **{"message": 3, "system": 1, "header": 1, "blank": 1, "unparsed": 0},
        **{"continuation": 0, "truncated": 1},
    }
    assert [row["kind"] for row in line["entries"]] == ["header", "message", "message", "system", "message"]
    _, first, media, system, last = line["entries"]
    assert (first["index"], first["score"], first["attention"], first["lexicon"]) == (0, 0.1, 0.3, [])
    assert (media["index"], media["score"], media["band"], media["flags"]) == (1, None, None, ["media"])
    assert "score" not in system and (system["line"], system["offset"], system["bytes"]) == (5, 50, 10)
    assert last["truncated"] and last["index"] == 2
    assert last["lexicon"] == [{"start": 0, "end": 3, "word": "아이스", "senses": ["coffee"]}]


def test_lines_that_continue_a_message_are_counted_where_lines_tell() -> None:
    longer = replace(CHAT, entries=(*CHAT.entries[:-1], replace(CHAT.entries[-1], num_lines=3)))
    assert result(longer, PREDICTION)["counts"]["continuation"] == 2
    assert result(replace(longer, format="telegram-chat"), PREDICTION)["counts"]["continuation"] == 0


def test_the_span_of_time_is_that_of_a_file_with_the_newest_first_too() -> None:
    line = result(replace(CHAT, entries=CHAT.entries[::-1]), PREDICTION)
    assert (line["first_time"], line["last_time"]) == ("2021-07-09T20:34", "2021-07-09T20:40")


def test_nothing_to_judge() -> None:
    silent = Chat("b", "x", None, ("b",), CHAT.entries[:2] + CHAT.entries[3:5])
    assert judged(silent).messages == ()
    line = result(silent, None)
    assert (line["status"], line["score"], line["band"], line["windows"]) == ("empty", None, None, [])
    assert line.keys() == result(CHAT, PREDICTION).keys()
