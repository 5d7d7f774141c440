"""One small export in each record format, by the name of the format."""

import json

_MESSAGE = {"id": 1, "type": "message", "date": "2020-01-01T18:00:00", "from": "가", "from_id": "user1"}
_ROOM = {"name": "방", "type": "personal_chat", "id": 7}
_TELEGRAM = _ROOM | {
    "messages": [
        {**_MESSAGE, "date_unixtime": "1577869200", "text": ["여기 ", {"type": "link", "text": "https://a.b"}]},
        {**_MESSAGE, "id": 2, "type": "service", "actor": "가", "action": "pin_message", "text": ""},
        {**_MESSAGE, "id": 3, "photo": "a.jpg", "text": "끝", "edited": "2020-01-01T18:00:01"},
    ]
}
_DISCORD = {
    "guild": {"id": "0", "name": "서버"},
    "channel": {"id": "2", "name": "방"},
    "messages": [
        {
            "id": "900719925474099312",
            "type": "Default",
            "timestamp": "2024-05-06T07:08:09.123+00:00",
            "content": "안녕",
            "author": {"id": "3", "name": "가", "discriminator": "0042"},
            "attachments": [{"id": "4"}],
        }
    ],
}
_FACEBOOK = {
    "participants": [{"name": "\u00ea\u00b0\u0080"}],
    "messages": [
        {"sender_name": "\u00ea\u00b0\u0080", "timestamp_ms": 1_588_334_460_000, "content": "two"},
        {"sender_name": "B", "timestamp_ms": 1_588_334_400_000, "photos": [{"uri": "a.jpg"}]},
    ],
    "title": "room",
}
_ENCRYPTED = {
    "participants": ["가"],
    "threadName": "방",
    "messages": [{"isUnsent": False, "media": [], "senderName": "가", "text": "안녕", "timestamp": 1_588_334_400_000}],
}
_UTTERANCES = [{"id": "1", "original_form": "누나 모해??", "speaker_id": "1", "time": "20191128 15:04"}, {"form": ""}]
_JSON = {
    "telegram-chat": _TELEGRAM,
    "telegram-account": {"about": "x", "chats": {"list": [_TELEGRAM, _ROOM | {"messages": []}]}},
    "discord-json": _DISCORD,
    "facebook": _FACEBOOK,
    "facebook-encrypted": _ENCRYPTED,
    "nikl": {"id": "MDRW1", "document": [{"id": "MDRW1.1", "utterance": _UTTERANCES}]},
    "nikl-modified": [{"id": "MDRW1", "utterance": _UTTERANCES}],
}
_LINES = [{"id": "a", "messages": ["하나", {"text": "둘", "speaker": "나"}]}, {"messages": []}]
_ROWS = [{"text": "하나", "speaker": "가", "time": "2020-01-02 03:04", "chat": "r"}, {"text": ""}]

EXAMPLES: dict[str, bytes] = {
    **{name: json.dumps(value, ensure_ascii=False, indent=1).encode() for name, value in _JSON.items()},
    "jsonl": "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in _LINES).encode(),
    "columns-jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _ROWS).encode(),
    "columns-csv": 'time,speaker,text\n2020-01-02 03:04,가,"첫 줄\n둘째 ""줄"""\n,,\n'.encode(),
    "columns-tsv": "chat\ttext\nr\t하나\n".encode(),
    "discord-csv": (
        b"AuthorID,Author,Date,Content,Attachments,Reactions\r\n"
        b'"1","A#0042","2024-05-06T07:08:09+00:00","a ""b""\n c","",""\r\n'
    ),
}
