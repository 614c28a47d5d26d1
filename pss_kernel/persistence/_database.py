"""Engines: the application's, the owner's and the relay's, each with the least it needs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
from sqlalchemy import ExceptionContext, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from pss_kernel.config import CONTROL_CELL, Config
from pss_kernel.errors import Invalid
from pss_kernel.persistence._owners import OwnerPool
from pss_kernel.persistence._recycling import TenantPool

if TYPE_CHECKING:
    from pss_kernel.persistence._replica import Replica

__all__ = ["CONTROL_CONNECTIONS", "LIMITS", "Database", "Roles", "disconnected"]

CONTROL_CONNECTIONS = 2
"""How many connections a process has beside those of requests and of the relay, for each cell."""

LIMITS = {
    # No statement, wait or forgotten transaction may hold a connection for ever (milliseconds).
    "statement_timeout": "15000",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "30000",
}


# Of an identifier, in bytes; what is longer PostgreSQL would cut off.
_LONGEST_NAME = 63
_DIGEST_LENGTH = 16


def _digest(name: str, length: int) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:length]


def _keep_when_cancelled(context: ExceptionContext) -> None:
    """Keep the connection of a statement that was cancelled: the driver has it cancelled there.

    So what goes over its time budget inside a savepoint is undone alone.
    """
    if isinstance(context.original_exception, asyncio.CancelledError):
        context.is_disconnect = False


class Roles(msgspec.Struct, frozen=True):
    """The names of this installation's database roles."""

    prefix: str

    @property
    def app(self) -> str:
        """The application's login: no table rights of its own."""
        return f"{self.prefix}pss_app"

    @property
    def control(self) -> str:
        """Reads the control schema."""
        return f"{self.prefix}pss_control"

    @property
    def relay(self) -> str:
        """Works on the outbox and the job table."""
        return f"{self.prefix}pss_relay"

    @property
    def tenants(self) -> str:
        """What every tenant's role may do in the control schema: append to the outbox."""
        return f"{self.prefix}pss_tenant"

    @property
    def identity(self) -> str:
        """Works on the tables of accounts, sessions and the audit trail, of the tenant bound."""
        return f"{self.prefix}pss_identity"

    def tenant(self, code: str) -> str:
        """A tenant's own role: may touch its schema and nothing else."""
        return f"{self.prefix}t_{code}"

    def plugin(self, code: str, plugin: str) -> str:
        """The role of one plugin at a tenant with ``strict_plugins``."""
        beginning = self.plugins_of(code)
        if len(beginning + plugin) > _LONGEST_NAME:
            plugin = _digest(plugin, _LONGEST_NAME - len(beginning))
        return beginning + plugin

    def plugins_of(self, code: str) -> str:
        """What the names of all plugins' roles of a tenant begin with, and no other role's.

        Neither a code nor a plugin's name has a dot in it.
        """
        beginning = f"{self.prefix}t_{code}."
        if len(beginning) + _DIGEST_LENGTH > _LONGEST_NAME:
            beginning = f"{self.prefix}t.{_digest(code, _DIGEST_LENGTH)}."
        return beginning


def disconnected(error: BaseException) -> bool:
    """Whether the error says that the database can't be reached, rather than that SQL is wrong."""
    if isinstance(error, ConnectionError):  # asyncpg passes on what the socket says
        return True
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(
            current,
            (
                asyncpg.PostgresConnectionError,
                asyncpg.CannotConnectNowError,
                asyncpg.AdminShutdownError,
                asyncpg.CrashShutdownError,
                asyncpg.TooManyConnectionsError,
            ),
        ):
            return True
        if isinstance(current, asyncpg.InterfaceError) and "clos" in str(current):
            return True
        if isinstance(current, asyncpg.InternalClientError):
            return True  # the server has said good-bye while the connection was idle
        current = current.__cause__ or current.__context__
    return False


class Database:
    """The connections of one process to one database cluster, a cell."""

    def __init__(
        self,
        config: Config,
        owner_url: str,
        *,
        cell: str = CONTROL_CELL,
        app_url: str | None = None,
        direct_url: str | None = None,
        embedded: bool = False,
    ) -> None:
        self.cell = cell
        self.roles = Roles(config.role_prefix)
        self.embedded = embedded
        self._owner_url = _checked(owner_url)
        self._app_url = _checked(app_url or owner_url)
        if embedded:
            self._app_url = self._app_url.set(username=self.roles.app)
        self._owners = OwnerPool(connect_arguments(self._owner_url))
        self._own_login = embedded or app_url is not None
        self._pooled = config.pooler == "transaction" and not embedded
        direct = self._app_url
        if direct_url is not None:
            direct = _checked(direct_url)
        elif self._pooled:  # what must not go through the pooler goes the way that the owner goes
            there = self._owner_url
            direct = direct.set(
                host=there.host, port=there.port, database=there.database, query=there.query
            )
        self.tenants_per_connection = config.tenants_per_connection
        self._pool_size = config.pool_size
        self.engine = self._engine(self._app_url, config.pool_size)
        # Apart from those of requests: one that holds a connection may have to ask which tenants,
        # plugins and keys there are, and when all of them did, none would ever be answered.
        self.control_engine = self._engine(self._app_url, CONTROL_CONNECTIONS, name="pss control")
        self.replica: Replica | None = None
        self.relay_engine = create_async_engine(
            # With its address in the URL: the outbox's listener opens a connection from it.
            direct.set(drivername="postgresql+asyncpg"),
            connect_args={
                "server_settings": {
                    "search_path": "",
                    "application_name": "pss relay",
                    "role": self.roles.relay,
                },
                "timeout": 5,
            },
            pool_size=10,
            max_overflow=0,
            hide_parameters=True,
        )

    def reading_engine(self, url: str) -> AsyncEngine:
        """The application's connections to a replica, impatient: the primary can answer too."""
        return self._engine(_checked(url), self._pool_size, connect_seconds=2, pool_seconds=2)

    def _engine(
        self,
        url: URL,
        pool_size: int,
        *,
        name: str = "",
        connect_seconds: float = 5,
        pool_seconds: float = 10,
    ) -> AsyncEngine:
        """The application's connections, to the primary or to a replica."""
        connect = self._creator(url, connect_seconds, name or f"pss {self.roles.app}")
        cached = 0 if self._pooled else 100

        def creator() -> Any:
            # What "async_creator" does, and how many prepared statements SQLAlchemy may keep.
            dialect: Any = engine.sync_engine.dialect
            return dialect.dbapi.connect(
                async_creator_fn=connect, prepared_statement_cache_size=cached
            )

        engine = create_async_engine(
            "postgresql+asyncpg://",
            creator=creator,
            poolclass=TenantPool,
            # The unit of work begins and ends its own transactions (one round trip for BEGIN
            # and the tenant's binding together), so SQLAlchemy must not open any.
            isolation_level="AUTOCOMMIT",
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_seconds,
            hide_parameters=True,  # an error's text is logged; what people entered is not
            json_serializer=lambda value: msgspec.json.encode(value).decode(),
            json_deserializer=msgspec.json.decode,
        )
        event.listen(engine.sync_engine, "handle_error", _keep_when_cancelled)
        return engine

    def _creator(
        self, url: URL, seconds: float, name: str
    ) -> Callable[[], Awaitable[asyncpg.Connection]]:
        arguments = connect_arguments(url)
        role = self.roles.app
        settings = {"application_name": name}
        if self._pooled:
            # Between two transactions a pooler may give us another connection, which knows
            # neither what we asked for when we connected (the role's own limits hold instead)
            # nor the statements that we prepared.
            arguments["statement_cache_size"] = 0
        else:
            settings |= {"search_path": "", **LIMITS}
        own = {role, self._app_url.username} if self._own_login else {role}
        if url.username not in own:
            settings["role"] = role

        async def connect() -> asyncpg.Connection:
            try:
                return await asyncpg.connect(**arguments, server_settings=settings, timeout=seconds)
            except OSError as error:  # refused, no such socket, too slow
                # Told apart from another company's refusal, which is an OSError as well.
                raise asyncpg.ClientCannotConnectError(str(error)) from error

        return connect

    @property
    def owner_url(self) -> URL:
        """The login that may create roles and schemas."""
        return self._owner_url

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection as the owner, for provisioning and migrations.

        Kept for the next use for a while; nothing that one use sets is seen by another.
        """
        async with self._owners.connection() as connection:
            yield connection

    def owner_engine(self) -> AsyncEngine:
        """For Alembic, which wants an engine."""

        async def connect() -> asyncpg.Connection:
            return await asyncpg.connect(**connect_arguments(self._owner_url), timeout=5)

        return create_async_engine(
            "postgresql+asyncpg://", async_creator=connect, poolclass=NullPool
        )

    async def close(self) -> None:
        """Close every pooled connection."""
        if self.replica is not None:
            await self.replica.stop()
        await self.engine.dispose()
        await self.control_engine.dispose()
        await self.relay_engine.dispose()
        await self._owners.close()


def connect_arguments(url: URL) -> dict[str, Any]:
    """Asyncpg's arguments for a database URL (host may be a socket folder in the query)."""
    query_host = url.query.get("host")
    return {
        "host": query_host if isinstance(query_host, str) else (url.host or "127.0.0.1"),
        "port": url.port or 5432,
        "user": url.username or "postgres",
        "password": url.password,
        "database": url.database or "postgres",
    }


def _checked(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise Invalid(
            "The database URL can't be read.",
            code="invalid-configuration",
            mend="It looks like postgresql://user:password@host:5432/database.",
        ) from error
    if not url.drivername.startswith("postgres"):
        raise Invalid(
            f"The database URL is for {url.drivername!r}; it must be PostgreSQL.",
            code="invalid-configuration",
        )
    return url
