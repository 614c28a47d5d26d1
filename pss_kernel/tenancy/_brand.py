"""A tenant's brand: colours that a page can use, and the logo's file carried along."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pss_kernel.errors import FieldError

__all__ = ["brand_errors", "with_logo"]

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
_MOST_BYTES = 100_000


def brand_errors(folder: Path, brand: Any) -> Iterator[FieldError]:
    """What is wrong with the colours and the logo of a brand, if anything."""
    if not isinstance(brand, dict):
        return
    for name, value in brand.items():
        if name.endswith("_color") and not (isinstance(value, str) and _COLOUR.fullmatch(value)):
            yield FieldError(
                pointer=f"/brand/{name}", detail=f"{value!r} is not a colour such as '#14213d'."
            )
    if isinstance(brand.get("logo"), str):
        yield from _logo_errors(folder, brand["logo"])


def _logo_errors(folder: Path, logo: str) -> Iterator[FieldError]:
    path = folder / logo
    detail = ""
    if path.suffix not in _TYPES:
        detail = f"A logo is one of {', '.join(_TYPES)}."
    elif not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        detail = f"There is no file {logo!r} in the tenant's folder."
    elif path.stat().st_size > _MOST_BYTES:
        detail = f"The logo is larger than {_MOST_BYTES // 1000} kB."
    if detail:
        yield FieldError(pointer="/brand/logo", detail=detail)


def with_logo(folder: Path, brand: dict[str, str]) -> dict[str, str]:
    """The brand with its logo as a ``data:`` URI, so that a page needs nothing else."""
    if "logo" not in brand:
        return brand
    path = folder / brand["logo"]
    content = b64encode(path.read_bytes()).decode()
    return brand | {"logo": f"data:{_TYPES[path.suffix]};base64,{content}"}
