"""Who changes a tenant's settings, and by what; the history of settings has it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Origin", "origin"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Empty texts: the database's login, and ``sql``."""

    actor: str = ""
    source: str = ""


origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 - immutable
