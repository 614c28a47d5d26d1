"""A tenant's colours as a style sheet, made readable where they are not (WCAG 2.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["contrast", "legible", "logo_of", "readable_on", "style_of"]

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_LOGO = re.compile(r"data:image/(svg\+xml|png);base64,[A-Za-z0-9+/=]+")
_NEUTRAL = "#1f3a5f"
_WHITE, _BLACK = "#ffffff", "#000000"
_LIGHT_GROUND, _DARK_GROUND = "#ffffff", "#1b1f26"
"""Those of the cards in pages.css."""
_TEXT = 4.5
"""The least contrast of text (WCAG 2.2, 1.4.3, level AA)."""


def style_of(brand: Mapping[str, Any]) -> str:
    """The custom properties that pages.css draws with, for light and for dark pages."""
    given = str(brand.get("primary_color", ""))
    colour = given if _COLOUR.fullmatch(given) else _NEUTRAL
    light, dark = legible(colour, _LIGHT_GROUND), legible(colour, _DARK_GROUND)
    return (
        f":root {{ --brand: {colour}; --accent: {light}; --on-accent: {readable_on(light)}; }}\n"
        "@media (prefers-color-scheme: dark) {\n"
        f"  :root {{ --accent: {dark}; --on-accent: {readable_on(dark)}; }}\n"
        "}\n"
    )


def logo_of(brand: Mapping[str, Any]) -> str | None:
    """The logo as a ``data:`` URI of a picture, and nothing else."""
    given = str(brand.get("logo", ""))
    return given if _LOGO.fullmatch(given) else None


def readable_on(ground: str) -> str:
    """White or black, whichever stands out more; one of them always reaches 4.5."""
    return max(_WHITE, _BLACK, key=lambda text: contrast(text, ground))


def legible(colour: str, ground: str) -> str:
    """The colour, darker or lighter until text in it can be read on the ground."""
    towards = readable_on(ground)
    for percent in range(0, 101, 5):
        mixed = _mixed(colour, towards, percent / 100)
        if contrast(mixed, ground) >= _TEXT:
            return mixed
    return towards


def contrast(one: str, other: str) -> float:
    """From 1 to 21 (WCAG 2.2, definition of contrast ratio)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance in sRGB (WCAG 2.2)."""
    red, green, blue = (_linear(value / 255) for value in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    knee = 0.04045
    return value / 12.92 if value <= knee else float(((value + 0.055) / 1.055) ** 2.4)


def _mixed(colour: str, other: str, share: float) -> str:
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))
