"""No link of a page leads nowhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from docs_pages import ROOT, links_of, pages


def name(page: Path) -> str:
    """The page's path, for the name of its test."""
    return str(page.relative_to(ROOT))


@cache
def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))
    titles = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages(), ids=name)
def test_relative_links(page: Path) -> None:
    """A relative link leads to a file or folder that is there, and to a heading in it."""
    dead = []
    for link in links_of(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        missing = not target.exists() or not target.is_relative_to(ROOT)
        if missing or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            dead.append(link)
    assert [] == dead


@pytest.mark.parametrize("page", pages(), ids=name)
def test_one_title(page: Path) -> None:
    """A page begins with its title."""
    assert page.read_text(encoding="utf-8").startswith("# ")


def test_every_guide_is_reachable() -> None:
    """From the README, each page of docs can be found."""
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links_of(page)]
    assert set((ROOT / "docs").glob("*.md")) - reached == set()
