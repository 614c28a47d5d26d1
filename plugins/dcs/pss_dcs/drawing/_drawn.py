"""Drawings that are kept for a while: a pass is often asked for again, and each takes long."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Literal

import msgspec

from ._face import Brand, Face

__all__ = ["Form", "draw_pdf", "draw_png", "drawn"]

Form = Literal["png", "pdf"]

# A quarter of a second of the processor each: two at once leave it time for everything else.
_MOST_AT_ONCE = 2
_MOST_KEPT = 64  # per process, some 100 kB each
_workers = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="drawing")


async def drawn(form: Form, face: Face, brand: Brand) -> bytes:
    """Draw the pass, or give its drawing where nothing on it has changed since the last time."""
    # The text tells apart what is equal and yet drawn otherwise: one moment in two zones.
    text = msgspec.json.encode(face)
    return await asyncio.get_running_loop().run_in_executor(_workers, _draw, form, text, brand)


@lru_cache(maxsize=_MOST_KEPT)
def _draw(form: Form, text: bytes, brand: Brand) -> bytes:
    face = msgspec.json.decode(text, type=Face)
    return draw_png(face, brand) if form == "png" else draw_pdf([face], brand)


def draw_png(face: Face, brand: Brand) -> bytes:
    """See `_png.draw_png`."""
    from ._png import draw_png as draw  # noqa: PLC0415 -- most processes never draw

    return draw(face, brand)


def draw_pdf(faces: list[Face], brand: Brand) -> bytes:
    """See `_pdf.draw_pdf`."""
    from ._pdf import draw_pdf as draw  # noqa: PLC0415 -- its library takes half a second

    return draw(faces, brand)
