"""What a plugin declares: permissions, routes, hooks, handlers, jobs, files and servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from pss_kernel.auth._rights import Level
from pss_kernel.auth._rules import Rule
from pss_kernel.hooks._spec import HookSpec
from pss_kernel.limits._classes import LimitClass
from pss_kernel.messaging._event import Event

__all__ = [
    "EVENT_SECONDS",
    "JOB_SECONDS",
    "REQUEST_SECONDS",
    "FileFinding",
    "Function",
    "Handler",
    "HookImplementation",
    "Job",
    "NoSettings",
    "Permission",
    "Progress",
    "Route",
    "Sidecar",
    "TenantFiles",
]

REQUEST_SECONDS = 20.0
"""The time budget of a route that names none."""
EVENT_SECONDS = 30.0
"""The time budget of an event handler that names none; below the relay's lease of a message."""
JOB_SECONDS = 600.0
"""The time budget of a job that names none."""

Function = Callable[..., Any]


class Progress(Protocol):
    """Told by long work how far it is."""

    def __call__(self, done: int, total: int) -> None:
        """``done`` of ``total`` units of work."""


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a plugin that has none."""


@dataclass(frozen=True, slots=True)
class Permission:
    """What a route asks of its caller. ``guest`` ones need no account.

    Each that is not for guests says its ``level``: who has it is decided, never left to a default.
    """

    name: str
    summary: str
    guest: bool = False
    level: Level | None = None
    """The lowest of the built-in roles that has it, and with it all above. Of one that guests
    have too: for whom ``uow.actor.may`` says yes, as for staff who see more than the own."""
    step_up: bool = False
    """Whether a person must have given a second factor a few minutes ago at the most."""
    special: bool = False
    """Whether it opens special categories of personal data (health, belief): no built-in role
    below ``admin`` has it, and a role must name it for itself."""
    rules: tuple[Rule, ...] = ()
    """What a role may narrow it by (``UpTo``, ``Own``); each route that asks for the permission
    must then call ``uow.require`` or ``uow.allowed``. See docs/access.md."""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the HTTP interface, mounted under ``/v1``."""

    plugin: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    permission: str
    function: Function
    status: int
    summary: str
    takes: Literal["uow", "work"]
    budget: float = REQUEST_SECONDS
    read_only: bool = False
    confidential: bool = False
    """Whether its body or its answer holds a password or a token: nothing of them is kept for
    repeated requests unless it is sealed."""
    limit: LimitClass = "read"
    """Which of the caller's limits it draws from."""
    produces: str = "application/json"
    """The media type of its answer, as the interface's description names it."""


@dataclass(frozen=True, slots=True)
class HookImplementation:
    """A plugin's implementation of a hook; ``accepts`` are the parameters it asks for."""

    plugin: str
    spec: HookSpec[..., Any]
    function: Function
    order: int
    accepts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Handler:
    """A consumer of one type of event. ``name`` identifies it in the inbox for ever."""

    plugin: str
    event: type[Event]
    function: Function
    name: str
    takes: Literal["uow", "work"]
    budget: float = EVENT_SECONDS


@dataclass(frozen=True, slots=True)
class Job:
    """Work that recurs for each tenant: ``every`` seconds, or by ``cron`` in its time zone."""

    plugin: str
    name: str
    function: Function
    every: float | None
    cron: str | None
    takes: Literal["uow", "work"]
    budget: float = JOB_SECONDS


class FileFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Something to say about a line of a tenant's file."""

    path: Path
    message: str
    line: int | None = None
    column: int | None = None
    mend: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.path, self.line, self.column) if part)
        return f"{place}: {self.message}" + (f" {self.mend}" if self.mend else "")


@dataclass(frozen=True, slots=True)
class TenantFiles:
    """Files of a tenant's folder that a plugin reads when the tenant is applied."""

    plugin: str
    name: str
    pattern: str
    check: Callable[[Path], list[FileFinding]]
    load: Function


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A server of the plugin's own that ``pss serve`` runs beside the application.

    Started with ``--port N --state FILE``; found at the address in the variable ``env_url``.
    """

    name: str
    argv: list[str]
    env_url: str
