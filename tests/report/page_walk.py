"""Reads a page of a report as a browser would, and refuses whatever is not on the list of what pages are made of."""

import re
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path

_CLASS = re.compile(r"[a-z0-9-]+( [a-z0-9-]+)*")
_ID = re.compile(r"main|read|ranking|c\d+(m\d+)?|r\d+")
_OWN_PAGE = r"(\.\./)?(report|how-to-read|(conversations|ranking|inputs)/\d{4,}(-\d+)?)\.html"
_HREF = re.compile(rf"{_OWN_PAGE}(#(c\d+(m\d+)?|r\d+))?|#(main|read|c\d+m\d+|r\d+)")
_POLICY = re.compile(r"default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; base-uri 'none'; form-action 'none'")
_VALUES = {
    "class": _CLASS,
    "id": _ID,
    "href": _HREF,
    "lang": re.compile("en|ko|"),
    "dir": re.compile("auto"),
    "scope": re.compile("col|row"),
    "charset": re.compile("utf-8"),
    "name": re.compile("viewport|referrer"),
    "http-equiv": re.compile("Content-Security-Policy"),
    "content": re.compile(rf"{_POLICY.pattern}|width=device-width, initial-scale=1|no-referrer"),
    "aria-hidden": re.compile("true"),
    "aria-current": re.compile("page"),
    "aria-label": re.compile("Pages of the ranking|Pages of the files|Other conversations and pages"),
}
_VOID = {"meta", "br"}
_PLAIN_TAGS = re.compile(
    "html|head|title|style|body|a|b|i|p|ul|ol|li|dl|dt|dd|table|caption|thead|tbody|tfoot|tr|th|td|h[123]|header|main|"
    "footer|nav|section|div|span|bdi|strong|code"
)


class Page(HTMLParser):
    """What is on a page; raises AssertionError where it holds anything else."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, str]] = []  # tag and class
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.said: list[str] = []  # texts of messages, hidden characters put back
        self._texts: defaultdict[str, list[str]] = defaultdict(list)
        self.policy = ""
        self._message: list[str] = []
        self.feed(path.read_bytes().decode("utf-8"))
        self.close()
        assert not self.open
        self.texts = {tag: "".join(parts) for tag, parts in self._texts.items()}  # of all that is inside such tags

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _VOID or _PLAIN_TAGS.fullmatch(tag), tag
        values = dict(attrs)
        assert len(values) == len(attrs)
        for name, value in attrs:
            assert name in _VALUES and value is not None and _VALUES[name].fullmatch(value), (tag, name, value)
        if "id" in values:
            assert values["id"] not in self.ids
            self.ids.add(values["id"] or "")
        if "href" in values:
            self.links.append(values["href"] or "")
        if values.get("http-equiv"):
            self.policy = values["content"] or ""
        if tag not in _VOID:
            self.open.append((tag, values.get("class") or ""))
            if (tag, values.get("class")) == ("bdi", "said"):
                self._message = []

    def handle_endtag(self, tag: str) -> None:
        opened, classes = self.open.pop()
        assert tag == opened
        if (tag, classes) == ("bdi", "said"):
            self.said.append("".join(self._message))

    def handle_data(self, data: str) -> None:
        is_hidden = bool(self.open) and self.open[-1] == ("span", "hidden")
        self._message.append(chr(int(data.removeprefix("U+"), 16)) if is_hidden else data)
        for tag in {tag for tag, _ in self.open}:
            self._texts[tag].append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")

    def handle_pi(self, data: str) -> None:
        raise AssertionError("a processing instruction")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError("a declaration")


def walk(folder: Path) -> dict[str, Page]:
    """Every page of a report by its path; each link leads to a page and, where it names one, to a place on it."""
    pages = {str(path.relative_to(folder)): Page(path) for path in sorted(folder.rglob("*.html"))}
    for name, page in pages.items():
        for link in page.links:
            path, _, place = link.partition("#")
            target = str(((folder / name).parent / path).resolve().relative_to(folder.resolve())) if path else name
            assert target in pages, link
            assert not place or place in pages[target].ids, (name, link)
    return pages
