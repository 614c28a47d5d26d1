"""The project's pages, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Quotation", "links_of", "pages", "quotations_of", "without_code"]

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A line that is nothing but a link to a file, right before a block, says where it is from.
_SOURCE = re.compile(r"\[[^\]]+\]\(([^)#]+)\)\n\n\Z")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HTML = re.compile(r"""(?:src|href)=["']([^"']+)["']""")


@dataclass(frozen=True)
class Quotation:
    """A fenced block: its language, its text, and the file that it says it is from."""

    page: Path
    line: int
    language: str
    text: str
    source: Path | None


def pages() -> list[Path]:
    """Every page of the project that people read."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    found += [*(ROOT / "tenants").rglob("*.md"), *(ROOT / "sdk").glob("*/README.md")]
    return sorted([*found, *(ROOT / "plugins").glob("*/README.md"), *ROOT.glob("api/README.md")])


def quotations_of(page: Path) -> Iterator[Quotation]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        last = before.rpartition("\n\n")[0].rpartition("\n\n")[2] + "\n\n"
        named = _SOURCE.fullmatch(last)
        source = (page.parent / named[1]).resolve() if named else None
        yield Quotation(page, before.count("\n") + 1, match[1], match[2], source)


def without_code(text: str) -> str:
    """The page's prose: without fenced blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))


def links_of(page: Path) -> list[str]:
    """Where the page's links and pictures lead, as written."""
    prose = without_code(page.read_text(encoding="utf-8"))
    return [match[1] for pattern in (_LINK, _HTML) for match in pattern.finditer(prose)]
