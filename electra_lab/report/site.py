"""The pages of a report: which there are, how they point to each other, and how one is written."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from electra_lab.data.exports.chat import FLAGS
from electra_lab.report.transcript import mark
from electra_lab.report.visible import language, marked_pieces, plain, shortened

REPORT, HOW_TO_READ = "report.html", "how-to-read.html"
ROWS_OF_A_PAGE = 100  # of the ranking


class Site:
    """The folder of a report."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any], is_single: bool) -> None:
        """Of one manifest.

        Args:
            folder: of results.jsonl.
            manifest: the deterministic part.
            is_single: whether the conversations stand in report.html, or each on a page of its own.
        """
        self.folder = folder
        self.is_single = is_single
        self.environment = Environment(
            loader=PackageLoader("electra_lab.report"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        is_demo = manifest["detector"]["is_demo"]
        style = self.environment.get_template("style.css").render(is_demo=is_demo)
        self.environment.globals.update(
            {name: manifest[name] for name in ("tool", "detector", "case", "counts", "bands")},
            site=self,
            is_demo=is_demo,
            is_redacted=manifest["options"].get("redact", False),
            style_hash=f"sha256-{b64encode(hashlib.sha256(style.encode()).digest()).decode()}",
            flag_sentences=FLAGS,
            language=language,
            mark=mark,
            marked_pieces=marked_pieces,
            plain=plain,
            shortened=shortened,
        )

    def write(self, page: str, template: str, context: Mapping[str, Any]) -> None:
        """Write a page.

        Args:
            page: its path in the folder, with "/".
            template: file name.
            context: what the template asks for.
        """
        path = self.folder / page
        path.parent.mkdir(exist_ok=True)
        text = self.environment.get_template(template).render(root="../" * page.count("/"), page=page, **context)
        # what cannot be encoded, half of a surrogate pair, becomes a reference that browsers show as U+FFFD
        path.write_text(text, encoding="utf-8", errors="xmlcharrefreplace", newline="\n")

    def conversation(self, rank: int, part: int = 1) -> str:
        """Path of the page on which a part of a conversation stands."""
        if self.is_single:
            return REPORT
        return f"conversations/{rank:04}.html" if part == 1 else f"conversations/{rank:04}-{part}.html"

    def ranking(self, rank: int) -> str:
        """Path of the page of the ranking on which a rank stands."""
        number = (rank - 1) // ROWS_OF_A_PAGE + 1
        return REPORT if number == 1 else f"ranking/{number:04}.html"
