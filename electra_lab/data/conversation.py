"""Message and Conversation: the words of the domain. No torch, no files."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it stands in the file; the text is never changed, only its encoding is (see `text.py`)."""

    text: str
    speaker: str | None = None  # as the file names the person; None where the file has no speakers
    label: int | None = None  # 1 anomalous, 0 not, None unlabelled
    time: str | None = None  # as the file writes it
    source: str | None = None  # id of the foreign text it was put in from; None: it belongs to the conversation
    kind: str | None = None  # of the foreign text; with label 1 a positive insertion, with 0 a harmless one


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in order, and the file they were read from."""

    id: str
    messages: tuple[Message, ...]
    path: str = ""

    @property
    def is_labelled(self) -> bool:
        """Whether every message carries a label."""
        return all(message.label is not None for message in self.messages)

    @property
    def is_anomalous(self) -> bool:
        """Whether any message is labelled anomalous."""
        return any(message.label == 1 for message in self.messages)


def speaker_indices(conversation: Conversation) -> list[int]:
    """Number of each message's speaker, in order of first appearance; turn by turn only where no message has one."""
    speakers = [message.speaker for message in conversation.messages]
    if all(speaker is None for speaker in speakers):
        return [index % 2 for index in range(len(speakers))]
    first_seen = {speaker: index for index, speaker in enumerate(dict.fromkeys(speakers))}
    return [first_seen[speaker] for speaker in speakers]
