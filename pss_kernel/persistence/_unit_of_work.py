"""The unit of work: one transaction, bound to one tenant, with its events in the same commit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
import msgspec
from sqlalchemy import CursorResult, Executable, RowMapping, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from pss_kernel.errors import (
    Problem,
    ReadOnlyUnit,
)
from pss_kernel.hooks._dispatch import call_hook
from pss_kernel.hooks._spec import HookSpec
from pss_kernel.identity.audit.writing import audit_entry, write_audit
from pss_kernel.identity.factors.step_up import require_step_up
from pss_kernel.keys._persons import erase_persons, seal_persons, unseal_persons
from pss_kernel.limits._tenant import limits_of
from pss_kernel.messaging._log import EventBuffer
from pss_kernel.persistence._binding import Binding
from pss_kernel.persistence._idempotency import forget_answers
from pss_kernel.persistence._limits import refusal_of
from pss_kernel.persistence._migrations import reached
from pss_kernel.resilience import Statement
from pss_kernel.tenancy._tenant import IDENTITY, KERNEL

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.installation import Installation
    from pss_kernel.messaging._event import Event
    from pss_kernel.money import Money
    from pss_kernel.outgoing import CallLimits, OutgoingClient
    from pss_kernel.tenancy import Tenant

__all__ = ["Correlation", "UnitOfWork"]

R = TypeVar("R")
S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Correlation:
    """Ties what happens to what caused it, across requests and messages."""

    correlation_id: str
    causation_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Take:
    sort_key: tuple[Any, ...]
    sql: str
    arguments: tuple[Any, ...]
    otherwise: Problem
    plugin: str


class UnitOfWork:
    """Everything a plugin needs within one transaction; see the methods.

    Opened by the kernel for a route, an event handler or a job; committed when the function
    returns, rolled back when it raises.
    """

    def __init__(
        self,
        installation: Installation,
        tenant: Tenant,
        actor: Actor,
        correlation: Correlation,
        plugin: str,
        connection: AsyncConnection,
        binding: Binding,
        *,
        read_only: bool = False,
    ) -> None:
        self.installation = installation
        self.tenant = tenant
        self.actor = actor
        self.correlation = correlation
        self.plugin = plugin
        self.read_only = read_only
        self._connection = connection
        self._binding = binding
        self._events = EventBuffer()
        self._takes: list[_Take] = []
        self._audited: list[str] = []
        self._savepoints = 0
        self.asked: set[str] = set()
        """The permissions that ``require`` and ``allowed`` were asked about."""
        self.people: set[str] = set()
        """Whose personal data was sealed or opened in this transaction."""
        self.broken_by: str | None = None
        """Whose statement failed in this transaction, where one has."""

    def settings(self, kind: type[S]) -> S:
        """This tenant's settings of the plugin that declares the type ``kind``."""
        return self.installation.settings_of(self.tenant, kind)

    def require(self, permission: str, *, up_to: Money | None = None, **facts: str) -> None:
        """Refuse what the roles of the one who asks don't allow with this thing.

        For a permission with ``rules``: ``up_to`` is the amount of this action (``UpTo``), and
        each fact the thing's own (``Own``). Guests, keys and the system are not narrowed. Raises
        Forbidden: ``outside-your-limits``, or ``missing-permission`` without the permission.
        """
        if refusal := refusal_of(self, permission, up_to, facts):
            raise refusal

    def allowed(self, permission: str, *, up_to: Money | None = None, **facts: str) -> bool:
        """Whether ``require`` would let it pass: for showing only what somebody may see."""
        return refusal_of(self, permission, up_to, facts) is None

    def has_revision(self, revision: str, *, plugin: str | None = None) -> bool:
        """Whether this tenant's tables have that migration of a plugin (of whose code runs).

        For code that also works on the tables of the version before, until they are migrated.
        """
        name = plugin or self.plugin
        state = self.tenant.plugins.get(name)
        folder = self.installation.registry.migrations_of(name)
        return reached(folder, state.revision if state else None, revision)

    async def execute(
        self, statement: Executable, parameters: Any | None = None
    ) -> CursorResult[Any]:
        """Run a SQLAlchemy Core statement on the tenant's tables."""
        if isinstance(statement, TextClause):
            self._binding.refuse_ending(statement.text, self.plugin)
        with Statement(self):
            await self._binding.acting_for(self.plugin)
            return await self._connection.execute(statement, parameters)

    async def fetch_all(
        self, statement: Executable, parameters: Any | None = None
    ) -> Sequence[RowMapping]:
        """All rows of a SQLAlchemy Core statement, as mappings."""
        return (await self.execute(statement, parameters)).mappings().all()

    async def fetch_one(
        self, statement: Executable, parameters: Any | None = None
    ) -> RowMapping | None:
        """The first row of a SQLAlchemy Core statement, or None."""
        return (await self.execute(statement, parameters)).mappings().first()

    async def scalar(self, statement: Executable, parameters: Any | None = None) -> Any:
        """The first column of the first row, or None."""
        return (await self.execute(statement, parameters)).scalar()

    async def hot(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """The fast path: SQL text with ``$1``-style parameters on the driver's own connection.

        For the few statements that decide how many requests a second are served. Same
        transaction; prepared once per connection. ``jsonb`` goes in as JSON text and comes
        out decoded (select it as ``::text`` to decode it into a struct yourself).
        """
        self._binding.refuse_ending(sql, self.plugin)
        with Statement(self):
            driver = await self._binding.acting_for(self.plugin)
            rows: list[asyncpg.Record] = await driver.fetch(sql, *arguments)
        return rows

    async def copy_in(
        self, table: str, columns: Sequence[str], records: Sequence[Sequence[Any]]
    ) -> None:
        """Load many rows at once with PostgreSQL's COPY, in this transaction."""
        self._refuse_to_write("copy_in")
        with Statement(self):
            driver = await self._binding.acting_for(self.plugin)
            await driver.copy_records_to_table(
                table, columns=list(columns), records=list(records), schema_name=self.tenant.schema
            )

    def take(
        self, sort_key: tuple[Any, ...], sql: str, *arguments: Any, otherwise: Problem
    ) -> None:
        """Register a conditional statement on a contended row, with ``RETURNING``.

        All of them run as the last statements before the commit, in the order of their sort
        keys, so that contended rows are locked briefly and never in opposite orders. A sort key
        is the table's name and then the row's key, which makes keys of one table alike. One that
        returns no row raises ``otherwise`` and everything is rolled back.
        """
        self._refuse_to_write("take")
        self._takes.append(_Take(sort_key, sql, arguments, otherwise, self.plugin))

    async def seal(
        self, persons: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, dict[str, bytes | None]]:
        """Encrypt personal data: subject (a person's id) to field to a value that JSON can hold.

        Each person has a key of their own. A field is bound to its name, so name it after its
        column (``meal.diet``). None stays None. One round trip for all of them, none where
        nothing is to be sealed. Raises Gone (``person-erased``) for whose key was erased.
        """
        self._refuse_to_write("seal")
        self.people |= persons.keys()
        async with self.acting(KERNEL):
            return await seal_persons(self, persons)

    async def unseal(
        self, persons: Mapping[str, Mapping[str, bytes | None]]
    ) -> dict[str, dict[str, Any]]:
        """Decrypt what ``seal`` gave; ``ERASED`` stands for what was erased.

        One round trip for all of them. Raises Unavailable for what was altered or copied here from
        another person or field, and where the keys can't be opened now.
        """
        self.people |= persons.keys()
        async with self.acting(KERNEL):
            return await unseal_persons(self, persons)

    async def erase_persons(self, *subjects: str) -> list[str]:
        """Erase the keys of people for good; gives those that had not been erased before.

        Answers that are kept for repeated requests and are about one of them are forgotten.
        """
        self._refuse_to_write("erase_persons")
        async with self.acting(KERNEL):
            erased = await erase_persons(self, subjects)
            await forget_answers(self, subjects)
        for subject in erased:
            self.audit("person.erased", subject)
        return erased

    async def now(self) -> datetime:
        """The database's time, at which this transaction began."""
        moment: datetime = await self._binding.open(self.plugin).fetchval("SELECT now()")
        return moment

    def emit(self, event: Event, *, stream: str) -> None:
        """Append the event to its stream, and to the outbox, when this commits.

        Raises TypeError for an event that no plugin lists in ``emits``.
        """
        self._refuse_to_write("emit")
        if "." not in event.event_type:
            raise TypeError(f"{type(event).__name__} stands in no plugin's 'emits'.")
        self._events.add(event, stream)

    def audit(
        self,
        action: str,
        subject: str,
        *,
        before: Any = None,
        after: Any = None,
        reason: str = "",
    ) -> None:
        """Add to the audit trail, when this commits: who did what to whom, from where.

        ``action`` reads like ``payment.refund-retried``; ``before`` and ``after`` are what JSON
        can hold or structs, with secrets and personal data masked.
        """
        self._refuse_to_write("audit")
        facts = {"action": action, "subject": subject, "before": before, "after": after}
        self._audited.append(audit_entry(self, facts, reason))

    def require_step_up(self) -> None:
        """Refuse a person who has not given a second factor a few minutes ago at the most.

        For what needs it in some cases only; where it always does, the permission says so
        (``step_up``). Raises StepUpRequired. Guests, keys and the system pass.
        """
        require_step_up(self)

    @asynccontextmanager
    async def guessing(self, subject: str) -> AsyncIterator[None]:
        """Around what opens something to whoever knows ``subject`` and something more.

        A NotFound or Unauthorised in the block counts as a wrong guess. Raises TooManyRequests
        where too many were made: from the caller's address, about the subject, or of all guests.
        """
        installation = self.installation
        limits = limits_of(installation, self.tenant)
        async with installation.limiter.guessing(
            self.tenant.code, limits, self.actor.address, subject
        ):
            yield

    def _refuse_to_write(self, method: str) -> None:
        if self.read_only:
            raise ReadOnlyUnit(f"A read-only unit of work of {self.plugin!r} called {method!r}.")

    @asynccontextmanager
    async def acting(self, plugin: str) -> AsyncIterator[None]:
        """Whose code runs inside: the kernel says so around each hook, service and handler."""
        before, self.plugin = self.plugin, plugin
        try:
            yield
        finally:
            self.plugin = before

    def outgoing(
        self,
        target: str,
        *,
        base_url: str,
        internal: bool = False,
        limits: CallLimits | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> OutgoingClient:
        """A caller of somebody else's HTTP API, to be used once this unit of work has ended.

        ``target`` names them, for people; ``base_url`` must be public and https, unless it is
        ``internal``: not a tenant's but the operator's. ``headers`` go with every request.
        """
        return self.installation.outgoing.client(
            *(self.tenant.code, self.plugin, target),
            base_url=base_url,
            internal=internal,
            limits=limits,
            headers=headers,
        )

    async def call(self, spec: HookSpec[..., R], **arguments: Any) -> R:
        """Call a hook: what this tenant's enabled plugins implement of it."""
        answer: R = await call_hook(spec, self, arguments)
        return answer

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """What fails inside is undone alone; events and takes of the inside go with it."""
        self._savepoints += 1
        name = f"s{self._savepoints}"
        events, takes, role = self._events.mark(), len(self._takes), self._binding.mark()
        audited = len(self._audited)
        await self._binding.open(self.plugin).execute(f"SAVEPOINT {name}")
        try:
            yield
            # Refused where a statement failed inside and the failure was swallowed.
            await self._binding.open(self.plugin).execute(f"RELEASE SAVEPOINT {name}")
        except BaseException:
            self._events.reset(events)
            del self._takes[takes:]
            del self._audited[audited:]
            await self._binding.roll_back_to(name, role)
            self.broken_by = None
            raise

    async def flush(self) -> None:
        """Write buffered events, then run the takes. The kernel calls it before the commit."""
        async with self.acting(KERNEL):
            await self._events.write(self)
        for take in sorted(self._takes, key=lambda one: one.sort_key):
            driver = await self._binding.acting_for(take.plugin)
            if not await driver.fetch(take.sql, *take.arguments):
                raise take.otherwise
        self._takes.clear()
        if self._audited:  # last, as its place in the chain is held until the commit
            async with self.acting(IDENTITY):
                await write_audit(self, self._audited)
            self._audited.clear()

    @property
    def wrote_events(self) -> bool:
        """Whether the relay has something to do after the commit."""
        return self._events.written > 0

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the event log keeps about who did this, and why."""
        return {
            "tenant": self.tenant.code,
            "actor": self.actor.label,
            "correlation_id": self.correlation.correlation_id,
            "causation_id": self.correlation.causation_id,
        }
