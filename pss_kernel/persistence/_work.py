"""Several units of work, one after the other, for one request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec
import structlog

from pss_kernel.errors import PluginBusy
from pss_kernel.keys._secret import encode_secret
from pss_kernel.persistence._binding import UnitOfWorkEnded
from pss_kernel.persistence._limits import refuse_unasked
from pss_kernel.persistence._opening import open_unit_of_work
from pss_kernel.persistence._position import Freshness
from pss_kernel.persistence._unit_of_work import Correlation, UnitOfWork
from pss_kernel.resilience import blame
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.installation import Installation
    from pss_kernel.outgoing import CallLimits, OutgoingClient
    from pss_kernel.persistence._idempotency import Idempotency
    from pss_kernel.tenancy import Tenant

__all__ = ["Work"]

S = TypeVar("S", bound=msgspec.Struct)

_log = structlog.get_logger("pss.persistence")


class _Unit:
    """One unit of a Work, which knows it as open until it has ended."""

    def __init__(self, work: Work, *, read_only: bool) -> None:
        self._work = work
        self._transaction = work._transaction(read_only=read_only)  # noqa: SLF001 - the other half of the class

    async def __aenter__(self) -> UnitOfWork:
        try:
            uow = await self._transaction.__aenter__()
        except asyncio.CancelledError as error:
            blame(error, KERNEL)  # waiting for a connection is not the plugin's doing
            raise
        self._work._open.add(self)  # noqa: SLF001 - the other half of the class
        if self._work._ended:  # noqa: SLF001 - while this one waited for a connection
            await self.roll_back()
            raise _ended(self._work.plugin)
        return uow

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if self not in self._work._open:  # noqa: SLF001 - the other half of the class
            if error is None:
                raise _ended(self._work.plugin)
            return None
        self._work._open.discard(self)  # noqa: SLF001 - the other half of the class
        return await self._transaction.__aexit__(kind, error, traceback)

    async def roll_back(self) -> None:
        """End it, as its block will not."""
        abandoned = _LeftOpen()
        with contextlib.suppress(_LeftOpen):
            await self.__aexit__(_LeftOpen, abandoned, None)


def _ended(plugin: str) -> UnitOfWorkEnded:
    return UnitOfWorkEnded(
        f"The plugin {plugin!r} used its work after the request, event or job had ended.",
        mend="What it had begun was rolled back; do such things in an event's handler or a job.",
    )


class _LeftOpen(Exception):  # noqa: N818 - not an error of anybody: how a forgotten unit ends
    """Ends a unit of work whose block was never left."""


class Work:
    """Opens units of work one after the other, for what must call another company between.

    With an Idempotency-Key, the first unit claims it; ``answer`` keeps the answer together
    with the last effect.
    """

    def __init__(
        self,
        installation: Installation,
        tenant: Tenant,
        actor: Actor,
        correlation: Correlation,
        plugin: str,
        idempotency: Idempotency | None = None,
        status: int = 200,
        freshness: Freshness | None = None,
        permission: str = "",
    ) -> None:
        self.installation = installation
        self.tenant = tenant
        self.actor = actor
        self.correlation = correlation
        self.plugin = plugin
        self.idempotency = idempotency
        self._permission = permission
        self._asked: set[str] = set()
        self._status = status
        self._freshness = freshness or Freshness()
        self._claimed = idempotency is None
        self._open: set[_Unit] = set()
        self._people: set[str] = set()
        self._answered = idempotency is None
        self._ended = False

    @property
    def idempotency_key(self) -> str | None:
        """The caller's key, for passing a key of its own to another company."""
        return self.idempotency.key if self.idempotency else None

    def settings(self, kind: type[S]) -> S:
        """This tenant's settings of the plugin that declares the type ``kind``."""
        return self.installation.settings_of(self.tenant, kind)

    def outgoing(
        self,
        target: str,
        *,
        base_url: str,
        internal: bool = False,
        limits: CallLimits | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> OutgoingClient:
        """A caller of somebody else's HTTP API, for between the units; see UnitOfWork."""
        return self.installation.outgoing.client(
            *(self.tenant.code, self.plugin, target),
            base_url=base_url,
            internal=internal,
            limits=limits,
            headers=headers,
        )

    def begin(self, *, read_only: bool = False) -> AbstractAsyncContextManager[UnitOfWork]:
        """A unit of work; commits when the block ends, rolls back when it raises.

        ``read_only``: the database refuses to write, and the cell's replica may be read from,
        but not after a write of this work and not in a request that may change something.
        """
        return _Unit(self, read_only=read_only)

    @asynccontextmanager
    async def _transaction(self, *, read_only: bool) -> AsyncIterator[UnitOfWork]:
        if self._ended:
            raise _ended(self.plugin)
        if len(self._open) >= self.installation.meters.limits.units:
            raise PluginBusy(  # it would wait for itself
                f"The plugin {self.plugin!r} has {len(self._open)} units of work open at once.",
                retryable=False,
            )
        async with (
            self.installation.meters.unit(self.tenant.code, self.plugin),
            open_unit_of_work(
                *(self.installation, self.tenant, self.actor, self.correlation, self.plugin),
                read_only=read_only,
                freshness=self._freshness,
            ) as uow,
        ):
            if not (read_only or self._claimed) and self.idempotency is not None:
                await self.idempotency.claim(uow)
            yield uow
            self._asked |= uow.asked
            self.refuse_unasked()
            self._people |= uow.people
        self._claimed = self._claimed or not read_only

    def refuse_unasked(self) -> None:
        """Raises Forbidden where somebody's limits were not asked about: nothing may be done then.

        Before the first commit, and before anything is answered.
        """
        refuse_unasked(self.actor, self._permission, self._asked)

    async def __aenter__(self) -> Self:
        """What it is for has begun."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """What it was for has ended: roll back whatever was left open, and count it."""
        self._ended = True
        left = list(self._open)
        if not left:
            return
        # Whatever becomes of one, the others are ended as well.
        await asyncio.gather(*(unit.roll_back() for unit in left), return_exceptions=True)
        facts = {"tenant": self.tenant.code, "plugin": self.plugin}
        _log.warning("units_left_open", units=len(left), actor=self.actor.label, **facts)
        meter = self.installation.meters.of(self.tenant.code, self.plugin)
        meter.current().leaks += len(left)
        self.installation.breaker.judge(self.tenant, self.plugin)

    async def answer(self, uow: UnitOfWork, value: Any, *, status: int | None = None) -> None:
        """Keep what will be answered, so that the same key gets the same answer again."""
        if self.idempotency is not None:
            body = msgspec.json.encode(value, enc_hook=encode_secret)
            self._answered = True
            await self.idempotency.answer(uow, status or self._status, body, self._subjects(uow))

    async def keep(self, status: int, body: bytes) -> None:
        """Keep an answer that was not kept with the last effect, in a transaction of its own."""
        if self.idempotency is not None and self._claimed and not self._answered:
            async with self.installation.unit_of_work(self.tenant, self.actor) as uow:
                await self.idempotency.answer(uow, status, body, self._people)

    async def release(self) -> None:
        """Let the Idempotency-Key be used again: whoever asked was not let in, nothing was done."""
        if self.idempotency is not None and self._claimed:
            async with self.installation.unit_of_work(self.tenant, self.actor) as uow:
                await self.idempotency.release(uow)

    def _subjects(self, uow: UnitOfWork) -> set[str]:
        """Whose personal data was sealed or opened, here or before."""
        return self._people | uow.people
