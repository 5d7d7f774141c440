"""A scored conversation as one line of `results.jsonl`: everything that was read and everything that was found."""

from collections.abc import Sequence
from typing import Any

from electra_lab.data.conversation import Conversation
from electra_lab.data.exports import LINE_FORMATS
from electra_lab.data.exports.chat import BLANK, MESSAGE, Chat, Entry
from electra_lab.data.senses import Term, hits
from electra_lab.inference import ConversationPrediction

_NOT_JUDGED: dict[str, Any] = {"score": None, "band": None, "attention": None, "truncated": False}


def judged(chat: Chat) -> Conversation:
    """The messages that have a text: what a detector scores."""
    conversation = chat.conversation()
    texts = tuple(message for message in conversation.messages if message.text.strip())
    return Conversation(conversation.id, texts, conversation.path)


def result(chat: Chat, prediction: ConversationPrediction | None, terms: Sequence[Term] = ()) -> dict[str, Any]:
    """The line, ready for `json.dumps`; the same keys in the same order for every conversation.

    Args:
        chat: as read, or without its names; the messages are those of the chat that was scored, in their order.
        prediction: of `judged(chat)`; None where it has no message with a text.
        terms: words whose occurrences are marked.

    Returns:
        A dict with `status` "scored" or "empty" (no message has a text: score and band are None). Messages without a
        text have the score None; windows are given in numbers of messages, `end` exclusive.
    """
    messages = chat.messages
    with_text = [index for index, entry in enumerate(messages) if entry.text.strip()]
    times = [entry.time for entry in messages if entry.time is not None and not entry.time.startswith("T")]
    counts = chat.counts()
    if chat.format not in LINE_FORMATS:  # the lines of a record are its file's layout
        counts["continuation"] = 0
    truncated = 0 if prediction is None else sum(message.is_truncated for message in prediction.messages)
    return {
        "id": chat.id,
        "title": chat.title,
        "format": chat.format,
        "files": list(chat.files),
        "status": "empty" if prediction is None else "scored",
        "score": None if prediction is None else prediction.score,
        "band": None if prediction is None else prediction.band,
        "first_time": min(times, default=None),  # a file may have the newest first
        "last_time": max(times, default=None),
        "speakers": list(dict.fromkeys(entry.speaker for entry in messages if entry.speaker is not None)),
        "counts": {**counts, "truncated": truncated},
        "windows": [
            {
                "start": with_text[window.start],
                "end": with_text[window.end - 1] + 1,
                "score": window.score,
                "band": window.band,
            }
            for window in (() if prediction is None else prediction.windows)
        ],
        "entries": _entries(chat, prediction, terms),
    }


def _entries(chat: Chat, prediction: ConversationPrediction | None, terms: Sequence[Term]) -> list[dict[str, Any]]:
    scores = iter(() if prediction is None else prediction.messages)
    rows: list[dict[str, Any]] = []
    index = 0
    for entry in chat.entries:
        if entry.kind == BLANK:
            continue
        row = _place(entry)
        if entry.kind == MESSAGE:
            row |= {"index": index, **_NOT_JUDGED}
            index += 1
            if entry.text.strip():
                found = next(scores)
                row |= {"score": found.score, "band": found.band, "attention": found.attention}
                row["truncated"] = found.is_truncated
            row["lexicon"] = [{**hit._asdict(), "senses": list(hit.senses)} for hit in hits(entry.text, terms)]
        rows.append(row)
    return rows


def _place(entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "speaker": entry.speaker,
        "time": entry.time,
        "text": entry.text,
        "file": entry.file,
        "line": entry.line,
        "lines": entry.num_lines,
        "offset": entry.offset,
        "bytes": entry.size,
        "flags": list(entry.flags),
    }
