"""What the pages quote is what the files say."""

from __future__ import annotations

import tomllib

import pytest
from docs_pages import ROOT, Quotation, pages, quotations_of

QUOTATIONS = [one for page in pages() for one in quotations_of(page)]
QUOTED = [one for one in QUOTATIONS if one.source is not None]


def place(one: Quotation) -> str:
    """Where the block stands, for the name of its test."""
    return f"{one.page.relative_to(ROOT)}:{one.line}"


@pytest.mark.parametrize("one", QUOTED, ids=place)
def test_quotation_is_in_its_file(one: Quotation) -> None:
    """A block under a link to a file stands in that file, word for word."""
    assert one.source is not None
    assert one.text in one.source.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "one", [one for one in QUOTATIONS if one.page.parent.name == "docs"], ids=place
)
def test_python_is_quoted(one: Quotation) -> None:
    """The guides show no Python but what tests run: each block names its file."""
    assert one.language != "python" or one.source is not None


@pytest.mark.parametrize("one", [one for one in QUOTATIONS if one.language == "toml"], ids=place)
def test_toml_can_be_read(one: Quotation) -> None:
    """Every block of TOML is TOML."""
    assert isinstance(tomllib.loads(one.text), dict)


def test_guide_quotes_the_plugin() -> None:
    """The plugin author's guide is made of real code."""
    guide = ROOT / "docs" / "plugin-authors.md"
    assert len([one for one in QUOTED if one.page == guide]) > 10
