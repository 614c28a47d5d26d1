"""Colours with enough contrast, whatever an airline's brand colours are (WCAG 2.2, 1.4.3)."""

import re
from typing import NamedTuple

from ._face import Brand

__all__ = ["INK", "LINE", "MUTED", "PAPER", "WHITE", "Colour", "Palette", "palette_of"]


class Colour(NamedTuple):
    """Red, green and blue, 0 to 255."""

    red: int
    green: int
    blue: int


INK = Colour(17, 24, 39)
MUTED = Colour(91, 100, 117)
LINE = Colour(218, 223, 231)
PAPER = Colour(237, 240, 245)
WHITE = Colour(255, 255, 255)
_SLATE = Colour(31, 41, 55)
_LEAST_CONTRAST = 4.5


class Palette(NamedTuple):
    """The header's colour, what is written on it, and the accent for text on white."""

    primary: Colour
    on_primary: Colour
    on_primary_muted: Colour
    accent: Colour


def palette_of(brand: Brand) -> Palette:
    """Return the brand's colours; the accent is darkened until it can be read on white."""
    primary = _parsed(brand.primary_color) or _SLATE
    on_primary = max((WHITE, INK), key=lambda ink: _contrast(ink, primary))
    accent = _parsed(brand.accent_color) or primary
    while _contrast(accent, WHITE) < _LEAST_CONTRAST:
        accent = _mixed(accent, Colour(0, 0, 0), 0.1)
    muted = _mixed(on_primary, primary, 0.22)
    if _contrast(muted, primary) < _LEAST_CONTRAST:
        muted = on_primary
    return Palette(primary, on_primary, muted, accent)


def _parsed(text: str) -> Colour | None:
    match = re.fullmatch(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", text.strip())
    return Colour(*(int(part, 16) for part in match.groups())) if match else None


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    return Colour(*(round(a * (1 - share) + b * share) for a, b in zip(colour, other, strict=True)))


def _luminance(colour: Colour) -> float:
    """Relative luminance of sRGB, 0 to 1."""
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004
        for part in (value / 255 for value in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: Colour, other: Colour) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
