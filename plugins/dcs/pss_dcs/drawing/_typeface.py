"""The typeface: Source Sans Pro (OFL-1.1), which has Latin, Greek and Cyrillic letters."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from fontTools.ttLib import TTFont  # type: ignore[import-untyped]  # it has no stubs
from PIL import ImageFont

from pss_dcs.bcbp import transliterate

__all__ = ["Weight", "drawable", "font", "font_path"]

Weight = Literal["Regular", "Semibold", "Bold"]


@cache
def font_path(weight: Weight) -> Path:
    """Where the font file of that weight is."""
    return Path(str(files("font_source_sans_pro").joinpath("files", f"SourceSansPro-{weight}.ttf")))


@cache
def font(weight: Weight, size: int) -> ImageFont.FreeTypeFont:
    """Return the font at a size in pixels."""
    return ImageFont.truetype(font_path(weight), size)


def drawable(name: str) -> str:
    """Return the name itself where the typeface has all its letters, else its transliteration."""
    text = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    known = _letters()
    if all(ord(character) in known for character in text):
        return text
    return transliterate(text).title() or "?"


@cache
def _letters() -> frozenset[int]:
    with TTFont(font_path("Regular"), lazy=True) as face:
        return frozenset(face.getBestCmap())
