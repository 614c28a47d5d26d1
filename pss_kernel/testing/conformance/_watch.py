"""Watching what comes out of a plugin beside its answers: logs, output, tables, outbox, cache."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import structlog

from pss_kernel.installation import Installation
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._contents import tables_of

__all__ = [
    "Doing",
    "Line",
    "Storage",
    "Watch",
    "cached",
    "doing",
    "settled",
    "storage_of",
    "watching",
]

_MOST_KEYS = 20_000
_SETTLE_SECONDS = 1.0
_MISUSED = {
    "unit_of_work_used_after_end": "a unit of work used after its end",
    "transaction_ended_by_plugin": "a transaction ended by the plugin itself",
    "transaction_failed_unnoticed": "a failed statement that was passed over",
}


@dataclass(frozen=True, slots=True, eq=False)
class Doing:
    """What is being run, and as which tenant; tasks that it starts inherit it."""

    element: str
    tenant: str
    phase: str


_doing: ContextVar[Doing | None] = ContextVar("doing", default=None)


@contextlib.contextmanager
def doing(what: Doing) -> Iterator[None]:
    """Say what is being run inside."""
    token = _doing.set(what)
    try:
        yield
    finally:
        _doing.reset(token)


@dataclass(slots=True)
class Line:
    """Something that was written meanwhile; ``misuse`` where it tells of one."""

    by: Doing
    place: str
    text: str
    misuse: str = ""


@dataclass(slots=True)
class Watch:
    """Collects lines while something is run."""

    lines: list[Line] = field(default_factory=list)

    def note(self, place: str, text: str, misuse: str = "") -> None:
        """Keep a line of whoever runs now."""
        by = _doing.get()
        if by is not None:
            self.lines.append(Line(by, place, text, misuse))

    def note_error(self, error: BaseException, place: str = "exception") -> None:
        """Keep an exception with its causes."""
        text = "".join(traceback.format_exception(error))
        self.note(place, text, _attempt(error))


class _Stream(io.TextIOBase):
    """Standard output and error, which a plugin may write to by itself."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def write(self, text: str) -> int:
        self._watch.note("output", text)
        return len(text)


class _Handler(logging.Handler):
    """Python's own logging, at every level."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.NOTSET)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        self._watch.note("log", record.getMessage())
        if record.exc_info and record.exc_info[1]:
            self._watch.note_error(record.exc_info[1], "log")


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Collect log lines of every level, and what is printed, for as long as the block runs."""
    watch = Watch()

    def keep(_: Any, method: str, event: MutableMapping[str, Any]) -> str:
        facts = {key: value for key, value in event.items() if key != "exc_info"}
        watch.note("log", f"{method} {facts!r}", _MISUSED.get(str(event.get("event")), ""))
        error = event.get("exc_info")
        if isinstance(error, tuple):
            error = error[1]
        if isinstance(error, BaseException):
            watch.note_error(error, "log")
        raise structlog.DropEvent

    before = structlog.get_config()
    root = logging.getLogger()
    level, handlers = root.level, root.handlers
    root.handlers = [_Handler(watch)]
    root.setLevel(logging.DEBUG)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _exc_info, keep],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        cache_logger_on_first_use=False,
    )
    stream = _Stream(watch)
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            yield watch
    finally:
        structlog.configure(**before)
        root.setLevel(level)
        root.handlers = handlers


def _exc_info(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """``exc_info=True`` means the exception that is being handled."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exc_info()
    return event


def _attempt(error: BaseException) -> str:
    """What the database has refused, if that is behind an exception."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, asyncpg.InsufficientPrivilegeError):
            return f"SQL that the database refused: {current}"
        if isinstance(current, asyncpg.InterfaceError) and "operation is in progress" in str(
            current
        ):
            return "a unit of work used by two tasks at once"
        current = current.__cause__ or current.__context__
    return ""


@contextlib.asynccontextmanager
async def settled() -> AsyncIterator[None]:
    """Wait, a moment, for tasks that were begun inside and outlive it."""
    before = asyncio.all_tasks()
    yield
    begun = {one for one in asyncio.all_tasks() - before if not one.get_name().startswith("pss ")}
    if begun:
        await asyncio.wait(begun, timeout=_SETTLE_SECONDS)


class Storage:
    """What a tenant has in the database, and what is added to it."""

    def __init__(self, owner: asyncpg.Connection, tenant: Tenant, tables: list[str]) -> None:
        self._owner = owner
        self._tenant = tenant
        parts = [
            f"SELECT 'table {name}' AS place, t::text AS row "  # noqa: S608 - from the catalogue, quoted
            f'FROM "{tenant.schema}"."{name}" t WHERE t.xmin::text::bigint >= $1'
            for name in tables
        ]
        parts.append(
            "SELECT 'outbox', convert_from(payload, 'UTF8') FROM pss.outbox o "
            "WHERE o.xmin::text::bigint >= $1 "
            "AND convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $2"
        )
        self._added = " UNION ALL ".join(parts)

    async def now(self) -> int:
        """What will be written from now on has a transaction of this number or a higher one."""
        number: int = await self._owner.fetchval(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
        )
        return number

    async def since(self, number: int) -> list[tuple[str, str]]:
        """Rows of its tables, and messages in the outbox."""
        rows = await self._owner.fetch(self._added, number, self._tenant.code)
        return [(row["place"], row["row"]) for row in rows]


@contextlib.asynccontextmanager
async def storage_of(installation: Installation, tenant: Tenant) -> AsyncIterator[Storage]:
    """Look into a tenant's tables as their owner."""
    async with installation.cell(tenant).owner() as owner:
        tables = [one.name for one in await tables_of(owner, tenant.schema)]
        yield Storage(owner, tenant, tables)


async def cached(url: str) -> list[tuple[str, str]]:
    """Every key of a Redis with its value as text."""
    from redis.asyncio import Redis  # noqa: PLC0415 - where a cache is configured

    found = []
    async with Redis.from_url(url, decode_responses=True, encoding_errors="replace") as client:
        read: dict[str, Callable[[str], Awaitable[Any]]] = {
            "string": client.get,
            "hash": client.hgetall,
            "set": client.smembers,
            "list": lambda key: client.lrange(key, 0, -1),
            "zset": lambda key: client.zrange(key, 0, -1),
            "stream": lambda key: client.xrange(key, count=1000),
        }
        async for key in client.scan_iter(count=1000):
            kind = await client.type(key)
            if kind in read:
                found.append((key, repr(await read[kind](key))))
            if len(found) >= _MOST_KEYS:
                break
    return found
