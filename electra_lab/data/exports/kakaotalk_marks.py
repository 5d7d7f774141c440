"""What KakaoTalk itself writes in place of a message: notices of the room, pictures, deleted messages."""

import re
from collections.abc import Container

NO_NAMES: frozenset[str] = frozenset()


def flags_of(text: str) -> tuple[str, ...]:
    """The flag "media" or "deleted" of a text that is a placeholder as a whole, typed or not."""
    text = text.strip()
    if text in _DELETED:
        return ("deleted",)
    return ("media",) if _MEDIA.fullmatch(text) else ()


def noticed_name(text: str, names: Container[str] = NO_NAMES) -> str | None:
    """Whom a notice is about, "" if about nobody; None if the text does not have a notice's form.

    Args:
        text: a line.
        names: people who speak; in English a notice is one only about them ("We left." is not).
    """
    if text in _DELETED or _WARNINGS.fullmatch(text):
        return ""
    name, mark, rest = text.partition("님이 ")
    if mark and 0 < len(name) <= _LONGEST_NAME and (rest in _ALONE or _is_about_others(rest)):
        return name
    if text.endswith("님을 내보냈습니다.") and len(text) <= _LONGEST_NAME:
        return text.removesuffix("님을 내보냈습니다.")
    english = _ENGLISH.fullmatch(text)
    return english[1] if english is not None and english[1] in names and _are_names(english[2] or "") else None


def _is_about_others(rest: str) -> bool:
    ending = next((ending for ending in _ABOUT_OTHERS if rest.endswith(ending)), None)
    return ending is not None and _are_names(rest.removesuffix(ending))


def _are_names(text: str) -> bool:
    """Whether it could be names, one after another: whoever wraps a message in a notice has little room."""
    return all(len(name) <= _LONGEST_NAME for name in _BETWEEN_NAMES.split(text))


_LONGEST_NAME = 40  # characters; the messenger allows 20, address books more
_ALONE = ("들어왔습니다.", "나갔습니다.")
_ABOUT_OTHERS = ("님을 초대했습니다.", "님을 초대하였습니다.", "님을 내보냈습니다.", "메시지를 가렸습니다.")
_ENGLISH = re.compile(
    r"(.{1,40}?) (?:(?:has )?left(?: this chatroom)?|(?:has )?joined(?: this chatroom)?|invited (.+))\."
)
_BETWEEN_NAMES = re.compile("님과 |님, |, | and ")
_WARNINGS = re.compile(  # of open chats, below the notice that somebody came in
    r"(?:(?:타인, 기관 등의 사칭에 유의해 ?주세요\.|금전 또는 개인정보를 요구 ?받을 경우 신고 ?해 ?주시기 바랍니다\."
    r"|운영정책을 위반한 메시지로 신고 접수 시 카카오톡 이용에 제한이 있을 수 있습니다\.|운영정책 보기) ?)+"
)
_DELETED = {
    "삭제된 메시지입니다.",
    "메시지가 삭제되었습니다.",
    "채팅방 관리자가 메시지를 가렸습니다.",
    "This message was deleted.",
    "The message has been deleted.",
}
_MEDIA = re.compile(
    r"[<(]?(?:사진(?: \d+장)?|동영상|음성메시지|이모티콘|[Pp]hoto|[Vv]ideos?|[Ee]moticons?|Voice Note)[>)]?"
    r"|(?:파일|File) ?: [^\n]*\.\w{1,8}"
)
