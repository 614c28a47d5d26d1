"""The one on whose behalf something is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pss_kernel.auth._rules import Limits

__all__ = ["Actor"]


@dataclass(frozen=True, slots=True)
class Actor:
    """A guest, a person who has signed in, the holder of an API key, or the system itself.

    ``scopes`` are what it may do: the names of permissions. Of a person they come from the roles
    (``rights_of``), of a key from its scopes (``scopes_of``); the system (events, jobs, commands)
    may all.
    """

    kind: Literal["guest", "user", "key", "system"]
    id: str = ""
    """Of the account (``acc_…``) or the key."""
    scopes: frozenset[str] = frozenset()
    roles: tuple[str, ...] = ()
    """Of a person, by name."""
    session: str = ""
    """Of a person: the session (``ses_…``) that the token belongs to."""
    authenticated_at: datetime | None = None
    """When the person last proved who it is."""
    methods: frozenset[str] = frozenset()
    """How: ``pwd``, ``otp``, ``hwk``, … (RFC 8176)."""
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Facts about a person that data rules look at: ``{"station": ["VIE"]}``."""
    rules: Mapping[str, tuple[Limits, ...]] = field(default_factory=dict, hash=False)
    """Permission to what narrows it for this person, one of which must hold (``rights_of``)."""
    address: str = ""
    """Where the request came from."""
    user_agent: str = ""
    """What the program that sent it calls itself."""

    def may(self, permission: str) -> bool:
        """Whether the scopes include the permission (guests have none of their own)."""
        if self.kind == "system":
            return True
        return permission in self.scopes

    @property
    def label(self) -> str:
        """As written into the event log and the history: ``key:k3f…``."""
        return f"{self.kind}:{self.id}" if self.id else self.kind
