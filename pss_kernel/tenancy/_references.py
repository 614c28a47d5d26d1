"""Secrets in a tenant's file: where they are, never what they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from pss_kernel.errors import FieldError
from pss_kernel.keys._secret import LONGEST_SECRET, MASK, Secret
from pss_kernel.tenancy._secret_settings import with_secrets

__all__ = ["with_references"]


def with_references(
    settings: dict[str, Any], kind: type[msgspec.Struct], folder: Path, *, pointer: str = ""
) -> tuple[dict[str, Any], list[FieldError]]:
    """Settings with ``{env = "NAME"}`` and ``{file = "path"}`` looked up, and what is wrong there.

    A path is relative to the tenant's folder; the end of line at the file's end isn't part of the
    secret.
    """
    errors: list[FieldError] = []

    def looked_up(place: str, value: Any) -> Any:
        try:
            return Secret(_text(value, folder))
        except (LookupError, ValueError) as error:
            code = "no-such-secret" if isinstance(error, KeyError) else "secret-in-file"
            errors.append(
                FieldError(pointer=f"{pointer}{place}", detail=str(error.args[0]), code=code)
            )
            return Secret(MASK)

    return with_secrets(settings, kind, looked_up), errors


def _text(value: Any, folder: Path) -> str:
    """Raises ValueError for what is no reference, KeyError for one to nothing."""
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError("A secret must not stand in this file.")
    ((what, name),) = value.items()
    if not isinstance(name, str) or what not in {"env", "file"}:
        raise ValueError("A secret must not stand in this file.")
    if what == "env":
        if name.startswith("PSS_"):
            raise ValueError(f"{name} is the installation's own. Use another variable.")
        found = os.environ.get(name, "")
        if not found:
            raise KeyError(f"The environment variable {name} is not set.")
        return found
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"The file {name} is not in the tenant's folder.")
    try:
        with (folder / name).open(encoding="utf-8") as file:
            return file.read(LONGEST_SECRET + 2).removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        raise KeyError(f"The file {name} with the secret can't be read.") from error
