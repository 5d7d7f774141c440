"""A chat cannot put anything into a report but text: an allow-list over random texts and known payloads."""

import base64
import hashlib
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, PackageLoader, nodes

import electra_lab.report
from electra_lab.report import pages
from electra_lab.report.pages import write_report
from electra_lab.report.site import Site
from electra_lab.report.transcript import transcript
from tests.report.example_results import (
    EXTRA_INPUTS,
    SETTINGS,
    conversation,
    message,
    other,
    write_example,
    write_results,
)
from tests.report.page_walk import Page, walk
from tests.report.payloads import PAYLOADS

TEMPLATES = Path(electra_lab.report.__file__).parent / "templates"
# Of attributes, whatever is computed is one of these: our own numbers, names of our own tables and paths of our pages.
COMPUTED_ATTRIBUTES = {
    *("style_hash", "root", "page", "path", '"%04d" | format(page)', "level", "share_level", "line.language"),
    *("rank", "number", "around", "view.rank", "view.band", "line.band", "name", "view.score.level", "input_pages[0]"),
    *("language(value)", "(number - 1) % 7 + 1 if number else 0", "(line.speaker - 1) % 7 + 1 if line.speaker else 0"),
    *("target(root, view, 1, none)", "target(root, view, line.part, line.number)", "site.ranking(view.rank)"),
    *("site.conversation(view.rank - 1)", "site.conversation(view.rank + 1)", "site.conversation(view.rank, other)"),
}
WORD = {"start": 0, "end": 1}
texts = st.text(st.characters(), max_size=60) | st.lists(
    st.sampled_from(
        [*"<>&\"'=/\\`!-?{}%#:;()\n\r\t\0\u2028\u202e\ud800", "script", "on", "style", "]]>", "<!--", "http"]
    )
).map("".join)


def hostile(*texts: str) -> dict[str, Any]:
    """A conversation with the texts in every field that can come from a file."""
    entries = [
        entry
        for text in texts
        for entry in (
            message(text, text, 0.9, time=text, flags=[text], lexicon=[{**WORD, "word": text, "senses": [text]}]),
            *(other(kind, text, speaker=text, time=text, flags=[text]) for kind in ("system", "header", "unparsed")),
            message("B", text, 0.01),
        )
    ]
    return conversation(texts[0], entries, title=texts[0], format=texts[0], files=[texts[0], f"a/{texts[0]}"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = write_example(tmp_path_factory.mktemp("site"))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["deterministic"]
    return Site(folder, manifest, is_single=False)


def check(site: Site, texts: list[str]) -> None:
    """What was written is what is read, in each of the five entries of each text, and there is nothing else."""
    view = transcript(hostile(*texts), 1)
    site.write("conversations/0001.html", "conversation.html", {"view": view, "part": 1, "num_conversations": 1})
    said = Page(site.folder / "conversations/0001.html").said
    assert said[-5 * len(texts) :] == [text for text in texts for _ in range(5)]


@given(texts=st.lists(texts, min_size=10, max_size=10))
@settings(max_examples=30, derandomize=True, database=None, deadline=None)
def test_random_texts(site: Site, texts: list[str]) -> None:
    check(site, texts)


@pytest.mark.slow
@given(texts=st.lists(texts, min_size=10, max_size=10))
@settings(max_examples=200, derandomize=True, database=None, deadline=None)
def test_many_random_texts(site: Site, texts: list[str]) -> None:
    check(site, texts)


@pytest.mark.parametrize("is_single", [True, False])
def test_payloads_in_every_field_of_both_files(
    tmp_path: Path, is_single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in what the examiner gives and what the detector's folder says; each page, each way of laying them out."""
    monkeypatch.setattr(pages, "_CONVERSATIONS_ON_ONE_PAGE", 1000 if is_single else 0)
    everything = " ".join(PAYLOADS)
    inputs = [
        {**EXTRA_INPUTS[number % 2], "path": payload, "problem": payload, "format": payload, "sha256": payload}
        for number, payload in enumerate(PAYLOADS)
    ]
    trained = {**SETTINGS, "trained_on": everything, "backbone": everything, "decision": everything}
    write_report(
        write_results(
            tmp_path,
            [hostile(payload) for payload in PAYLOADS],
            inputs=inputs,
            case={"number": everything, "examiner": everything, "time_zone": everything},
            settings={**trained, "threshold_policy": everything},
        )
    )
    found = walk(tmp_path)
    assert len(found) == (3 if is_single else 3 + len(PAYLOADS))  # report, how to read, files
    for rank, payload in enumerate(PAYLOADS, 1):  # all of the same score, so in their order
        page = found["report.html" if is_single else f"conversations/{rank:04}.html"]
        assert [payload] * 5 in [page.said[start : start + 5] for start in range(len(page.said))]


def test_the_policy_allows_the_one_style_and_nothing_else(tmp_path: Path) -> None:
    """The hash is that of the bytes between the tags, as the browser computes it."""
    write_report(write_example(tmp_path))
    for name, page in walk(tmp_path).items():
        content = (tmp_path / name).read_bytes()
        (style,) = re.findall(rb"<style>(.*?)</style>", content, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
        assert page.policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        assert not re.search(rb"url\(|@import|expression\(|://", style)


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_templates_mark_nothing_as_safe(template: Path) -> None:
    """No filter, test or block lifts the escaping; attributes are quoted and hold no data."""
    source = template.read_text(encoding="utf-8")
    tree = Environment(loader=PackageLoader("electra_lab.report"), autoescape=True).parse(source)
    assert not {node.name for node in tree.find_all(nodes.Filter)} & {
        "safe",
        "xmlattr",
        "tojson",
        "urlize",
        "forceescape",
    }
    assert not list(tree.find_all(nodes.ScopedEvalContextModifier))
    assert not list(tree.find_all((nodes.MarkSafe, nodes.MarkSafeIfAutoescape)))
    assert not re.search(r"<script|<iframe|<form|<img|\son\w+\s*=|style=|src=|://|=\{", source)
    for tag in re.findall(r"<[a-z](?:\"[^\"]*\"|\{\{.*?\}\}|\{%.*?%\}|[^>\"])*>", source):
        for expression in re.findall(r"\{\{\s*(.*?)\s*\}\}", tag):
            assert expression in COMPUTED_ATTRIBUTES or tag.startswith("<h{{"), (tag, expression)


def test_no_python_of_the_report_marks_text_as_safe() -> None:
    for path in Path(electra_lab.report.__file__).parent.glob("*.py"):
        assert not re.search(r"\bMarkup\b|markupsafe|autoescape=(?!True)", path.read_text(encoding="utf-8")), path.name


def test_the_walk_finds_what_it_is_for(tmp_path: Path) -> None:
    """Negative control: each of these on a page is refused."""
    for text in ("<script></script>", '<a href="//x">', '<p onclick="x">', '<b class="a&quot;">', "<!-- -->", "<p>"):
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        with warnings.catch_warnings(), pytest.raises(AssertionError):
            Page(path)
