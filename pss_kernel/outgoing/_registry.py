"""Whom this process calls, for which tenant; and telling the database how they are."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from pss_kernel.outgoing._addresses import Addresses
from pss_kernel.outgoing._client import OutgoingClient
from pss_kernel.outgoing._limits import CallLimits
from pss_kernel.outgoing._state import TargetState, forget, write
from pss_kernel.outgoing._target import Target
from pss_kernel.resilience import flush_every

if TYPE_CHECKING:
    from pss_kernel.config import Config
    from pss_kernel.outgoing._http import Connections
    from pss_kernel.persistence import Database

__all__ = ["Outgoing"]

_log = structlog.get_logger("pss.outgoing")
_DEFAULT = CallLimits()
_MOST_TARGETS = 10_000
_FLUSH_SECONDS = 1.0
_SEEN_SECONDS = 30.0
"""So often a process that has nothing new says that it is there."""


class Outgoing:
    """All outgoing calls of a process go through here; ``installation.outgoing``."""

    def __init__(self, config: Config) -> None:
        self._addresses = Addresses(config.outgoing_allow)
        self._connections: dict[bool, Connections] = {}
        self._targets: dict[tuple[str, str, str], Target] = {}
        self._changed: set[tuple[str, str, str]] = set()
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._database: Database | None = None
        self._task: asyncio.Task[None] | None = None
        self._seen = 0.0

    def target(
        self, tenant: str, plugin: str, name: str, limits: CallLimits | None = None
    ) -> Target:
        """Whom ``plugin`` calls ``name`` for that tenant; one for all calls in this process.

        Other limits than those of the call before take the place of it, with a closed circuit.
        An empty ``tenant``: for the installation itself.
        """
        limits = limits or _DEFAULT
        key = (tenant, plugin, name)
        found = self._targets.get(key)
        if found is None or found.limits != limits:
            if len(self._targets) >= _MOST_TARGETS:
                self._make_room()
            found = Target(tenant, plugin, name, limits, lambda: self._changed.add(key))
            self._targets[key] = found
        return found

    def client(
        self,
        tenant: str,
        plugin: str,
        name: str,
        *,
        base_url: str,
        internal: bool = False,
        limits: CallLimits | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> OutgoingClient:
        """HTTP to a target. ``internal``: the URL is the operator's own, and not a tenant's."""
        # What HTTP takes is loaded where something is called, and by no other command.
        from pss_kernel.outgoing._http import Connections  # noqa: PLC0415 - as above

        connections = self._connections.get(internal)
        if connections is None:
            connections = Connections(self._addresses, guarded=not internal)
            self._connections[internal] = connections
        target = self.target(tenant, plugin, name, limits)
        return OutgoingClient(target, connections, base_url, headers or {})

    def states(self) -> list[TargetState]:
        """How the targets of this process are."""
        return [_state(self._process, one) for one in self._targets.values()]

    def start(self, database: Database) -> None:
        """Tell the database from now on, about once a second."""
        self._database = database
        flushing = flush_every(
            _FLUSH_SECONDS,
            lambda: self.flush(database),
            lambda error: _log.warning("outgoing_not_told", error=error),
        )
        self._task = asyncio.create_task(flushing, name="pss outgoing")

    async def stop(self) -> None:
        """Close the connections; what this process knew is not true any more."""
        if self._task is not None and self._database is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            if self._seen:
                await asyncio.gather(forget(self._database, self._process), return_exceptions=True)
        for one in self._connections.values():
            await one.close()

    async def flush(self, database: Database) -> None:
        """Write what has changed since the last time."""
        now = time.monotonic()
        if now - self._seen > _SEEN_SECONDS:
            changed = set(self._targets)
            self._changed.clear()
        else:
            changed, self._changed = self._changed, set()
        states = [
            _state(self._process, self._targets[key])
            for key in sorted(changed)
            if key in self._targets
        ]
        if states:
            self._seen = now
            await write(database, states)

    def _make_room(self) -> None:
        """Forget those that were not used for the longest time, closed ones only."""
        idle = sorted((one.used, key) for key, one in self._targets.items() if one.idle)
        for _, key in idle[: _MOST_TARGETS // 10]:
            del self._targets[key]


def _state(process: str, target: Target) -> TargetState:
    counted = target.counted
    return TargetState(
        process=process,
        tenant=target.tenant,
        plugin=target.plugin,
        target=target.name,
        state=target.circuit.state,
        since=target.circuit.since,
        calls=counted.calls,
        failed=counted.failed,
        refused=counted.refused,
        repeated=counted.repeated,
        inside=target.room.inside,
        waiting=target.room.waiting,
        last_error=counted.last_error,
    )
