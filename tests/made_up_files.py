"""Made-up text and conversations in the files that a user has."""

import json
from pathlib import Path

from electra_lab.data.synthetic import conversations, documents


def write_lines(path: Path, *lines: object) -> Path:
    """A file of JSON Lines; what is a string stands as it is."""
    texts = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def write_data(folder: Path, num_documents: int) -> None:
    """`text.txt` for pretraining, `chats.jsonl` with labels."""
    text = "\n\n".join("\n".join(document) for document in documents(num_documents=num_documents, seed=1))
    (folder / "text.txt").write_text(text, encoding="utf-8")
    with (folder / "chats.jsonl").open("w", encoding="utf-8") as file:
        for conversation in conversations(24, seed=3):
            messages = [{"text": m.text, "speaker": m.speaker, "label": m.label} for m in conversation.messages]
            file.write(json.dumps({"id": conversation.id, "messages": messages}, ensure_ascii=False) + "\n")
