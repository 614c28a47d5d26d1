"""One tenant, as every process sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from pss_kernel.config import CONTROL_CELL, IDENTITY, KERNEL
from pss_kernel.errors import Gone
from pss_kernel.keys._data_keys import WrappedKey

__all__ = ["IDENTITY", "KERNEL", "PluginState", "Tenant"]

_WAITING = {"enabling", "failed", "quarantined"}


@dataclass(frozen=True, slots=True)
class PluginState:
    """The state of one plugin for one tenant; ``settings`` as stored, not yet decoded."""

    state: str
    since: datetime
    version: str | None
    revision: str | None
    reason: str | None
    settings: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Tenant:
    """An immutable snapshot; a change gives a new object."""

    code: str
    name: str
    schema: str
    role: str
    currency: str
    time_zone: str
    locales: tuple[str, ...]
    brand: dict[str, Any]
    cell: str = CONTROL_CELL
    """The database cluster that it lives in."""
    placement: str = "active"
    """``active``, ``moving`` between cells, or ``deleting`` after a waiting time."""
    strict_plugins: bool = False
    """Whether each plugin has a database role of its own here."""
    due_at: datetime | None = None
    """When a tenant that is being deleted will be dropped."""
    domains: tuple[str, ...] = ()
    plugins: dict[str, PluginState] = field(default_factory=dict)
    keys: tuple[WrappedKey, ...] = field(default=(), repr=False)
    """Its data keys, wrapped; see ``Keyring``."""
    test_of: str | None = None
    """The code of the tenant that this one's data is the test data of."""
    roles: Mapping[str, Any] = field(default_factory=dict)
    """The grants of the roles that it has made for itself."""
    cutoffs: Mapping[str, datetime] = field(default_factory=dict)
    """Accounts and sessions: tokens that were signed for them before that moment are refused."""
    decoded_settings: dict[type, Any] = field(default_factory=dict, repr=False)
    """Filled on first use; goes with the snapshot."""
    rights: dict[Any, Any] = field(default_factory=dict, repr=False)
    """What roles and scopes amount to here; filled on first use, goes with the snapshot."""

    @cached_property
    def enabled(self) -> frozenset[str]:
        """The names of the plugins that serve this tenant now."""
        return frozenset(name for name, one in self.plugins.items() if one.state == "enabled")

    @cached_property
    def quarantined(self) -> frozenset[str]:
        """The names of the plugins that are switched off here because they kept failing."""
        return frozenset(name for name, one in self.plugins.items() if one.state == "quarantined")

    def waits(self, plugin: str) -> bool:
        """Whether events for the plugin wait: it will serve again once something has been done."""
        state = self.plugins.get(plugin)
        return state is not None and state.state in _WAITING

    def consumes(self, plugin: str, occurred_at: datetime) -> bool:
        """Whether an event of that moment is for the plugin: it was enabled then, or is now.

        While it is being disabled, it is still given what it should know.
        """
        state = self.plugins.get(plugin)
        if state is None:
            return False
        return state.state in {"enabled", "disabling"} or (
            state.state == "disabled" and occurred_at < state.since
        )

    @property
    def mode(self) -> Literal["live", "test"]:
        """Whether its data are real."""
        return "live" if self.test_of is None else "test"

    @property
    def leaving(self) -> bool:
        """Whether it is being deleted, and served no more."""
        return self.placement == "deleting"

    def refuse_leaving(self) -> None:
        """Raises Gone where the tenant is being deleted."""
        if self.leaving:
            raise Gone(f"{self.name} has left and is no longer served.", code="tenant-deleting")

    def binding_as(self, role: str, *, begin: str = "BEGIN") -> str:
        """Begins a transaction bound to this tenant, in one round trip.

        While it moves, or where ``begin`` says so, the transaction can only read. Role and search
        path are local to the transaction, so they end with it, also behind a pooler. Before, what
        the connection's last user may have set for the session is reset, in a transaction of its
        own: a ROLLBACK must not bring it back. The names were checked when the tenant was made
        (lower-case letters, digits, _).
        """
        if self.placement == "moving" and begin == "BEGIN":
            begin = "BEGIN READ ONLY"
        return (
            f"BEGIN; RESET ALL; RESET ROLE; SELECT pg_advisory_unlock_all(); UNLISTEN *; COMMIT; "
            f"{begin}; "
            f"SELECT set_config('role', '{role}', true), "
            f"set_config('search_path', '\"{self.schema}\"', true)"
        )

    def __hash__(self) -> int:
        return hash(self.code)
