"""The one on whose behalf something is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Actor"]


@dataclass(frozen=True, slots=True)
class Actor:
    """A guest, the holder of an API key, or the system itself (events, jobs, commands).

    ``scopes`` are permission names, ``<plugin>:*`` for all of one plugin, or ``*`` for all.
    """

    kind: Literal["guest", "key", "system"]
    id: str = ""
    scopes: frozenset[str] = frozenset()

    def may(self, permission: str) -> bool:
        """Whether the scopes include the permission (guests have none of their own)."""
        if self.kind == "system":
            return True
        plugin = permission.partition(":")[0]
        return not self.scopes.isdisjoint((permission, f"{plugin}:*", "*"))

    @property
    def label(self) -> str:
        """As written into the event log and the history: ``key:k3f…``."""
        return f"{self.kind}:{self.id}" if self.id else self.kind
