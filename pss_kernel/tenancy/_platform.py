"""The reserved tenant whose staff are the operators of the installation.

It has accounts and nothing else, lives in the control cell, and is made when the first operator is
invited (``pss operator invite``). No tenant's file, import, move or deletion is about it.
"""

from __future__ import annotations

from collections.abc import Iterable

from pss_kernel.config import IDENTITY, PLATFORM
from pss_kernel.errors import Invalid

__all__ = ["refuse_platform", "refuse_platform_plugins"]


def refuse_platform(code: str) -> None:
    """Raises Invalid for the operators' tenant."""
    if code == PLATFORM:
        raise Invalid(
            f"The code {PLATFORM!r} is kept for the operators of the installation.",
            code="reserved-code",
            mend="Their accounts are made with 'pss operator invite'.",
        )


def refuse_platform_plugins(code: str, plugins: Iterable[str]) -> None:
    """Raises Invalid for plugins that the operators' tenant would be given."""
    if code == PLATFORM and set(plugins) - {IDENTITY}:
        refuse_platform(code)
