"""What keeps a unit of work to its tenant: whether it may still act, and as which database role.

The role is set for one transaction. With ``strict_plugins`` each plugin has a role of its own, and
the kernel's statements (events, inbox, idempotency keys) act as the tenant's. Those on accounts,
sessions and the audit trail have a role of their own at every tenant, so that no plugin reads them.
The change from one to another costs a round trip, and is made when the next statement runs: a hook
that asks the database nothing costs none.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import asyncpg
import structlog

from pss_kernel.errors import Problem
from pss_kernel.tenancy._tenant import IDENTITY, KERNEL

if TYPE_CHECKING:
    from pss_kernel.persistence._database import Roles
    from pss_kernel.tenancy import Tenant

__all__ = ["Binding", "TransactionEnded", "TransactionFailed", "UnitOfWorkEnded", "first_role"]

_log = structlog.get_logger("pss.persistence")


# Also behind white space and comments. ROLLBACK TO a savepoint ends nothing.
_ENDING = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
    r"(?:(?:commit|end|abort)\b|rollback\b(?!\s+(?:work\s+|transaction\s+)?to\b)|prepare\s+transaction\b)",
    re.IGNORECASE | re.DOTALL,
)


class UnitOfWorkEnded(Problem):
    """A unit of work was used after its transaction: by a task that outlived it, say."""

    code, title = "unit-of-work-ended", "A plugin used its unit of work after the end"


class TransactionEnded(Problem):
    """A plugin ended the kernel's transaction with SQL of its own."""

    code, title = "transaction-ended", "A plugin ended its transaction by itself"


class TransactionFailed(Problem):
    """A plugin went on after a statement had failed, so that PostgreSQL would keep nothing."""

    code, title = "transaction-failed", "A plugin went on after a statement had failed"


def first_role(tenant: Tenant, roles: Roles, plugin: str) -> str:
    """The role that a unit of work begins with."""
    if plugin == IDENTITY:
        return roles.identity
    if tenant.strict_plugins and plugin != KERNEL:
        return roles.plugin(tenant.code, plugin)
    return tenant.role


class Binding:
    """The transaction of one unit of work, and the role that it has there now."""

    __slots__ = ("_driver", "_ended", "_role", "_roles", "_tenant")

    def __init__(
        self, driver: asyncpg.Connection, tenant: Tenant, roles: Roles, plugin: str
    ) -> None:
        self._driver = driver
        self._tenant = tenant
        self._roles = roles
        self._role: str | None = first_role(tenant, roles, plugin)
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the transaction is over."""
        return self._ended

    def end(self) -> None:
        """From here on the connection belongs to somebody else."""
        self._ended = True

    def open(self, plugin: str) -> asyncpg.Connection:
        """The connection, while the transaction lasts.

        Raises UnitOfWorkEnded, TransactionEnded.
        """
        if self._ended:
            self._say("unit_of_work_used_after_end", plugin)
            raise UnitOfWorkEnded(
                f"The plugin {plugin!r} used its unit of work after the end.",
                mend="Work that outlives a request belongs into an event's handler or a job.",
            )
        if not self._driver.is_in_transaction():
            # Nothing runs unbound after that: the login has no rights. This says it in words.
            self._say("transaction_ended_by_plugin", plugin)
            raise TransactionEnded(
                f"The plugin {plugin!r} ended the transaction of its unit of work.",
                mend="The kernel begins and ends transactions; use 'uow.savepoint()' inside one.",
            )
        return self._driver

    def refuse_ending(self, sql: str, plugin: str) -> None:
        """Raises TransactionEnded for a statement that would end the transaction.

        One that begins the next at once (``AND CHAIN``) could not be noticed afterwards.
        """
        if _ENDING.match(sql):
            self._say("transaction_ended_by_plugin", plugin)
            raise TransactionEnded(
                f"The plugin {plugin!r} wanted to end the transaction of its unit of work.",
                mend="The kernel begins and ends transactions; use 'uow.savepoint()' inside one.",
            )

    async def acting_for(self, plugin: str) -> asyncpg.Connection:
        """The connection with the role that the plugin's code has; as ``open``."""
        driver = self.open(plugin)
        role = first_role(self._tenant, self._roles, plugin)
        if role != self._role:
            await self._take_on(driver, role)
        return driver

    async def commit(self, plugin: str) -> None:
        """Commit, and let nothing more be done. Raises as ``open``, and TransactionFailed."""
        driver = self.open(plugin)
        self._ended = True
        if await driver.execute("COMMIT") != "COMMIT":
            self._say("transaction_failed_unnoticed", plugin)
            raise TransactionFailed(
                f"A statement of the plugin {plugin!r} failed and it went on; nothing was kept.",
                mend="Put what may fail into 'async with uow.savepoint():'.",
            )

    def mark(self) -> str | None:
        """The role at a savepoint."""
        return self._role

    async def roll_back_to(self, savepoint: str, role: str | None) -> None:
        """Undo what came after a savepoint; PostgreSQL sets the role back with it.

        What is already being raised must not be hidden by what can't be undone any more: the
        connection went with a cancelled statement, or the savepoint was already released.
        """
        self._role = role
        if not self._driver.is_closed():
            with contextlib.suppress(asyncpg.InvalidSavepointSpecificationError):
                await self._driver.execute(f"ROLLBACK TO SAVEPOINT {savepoint}")

    async def _take_on(self, driver: asyncpg.Connection, role: str) -> None:
        self._role = None
        try:
            await driver.execute(f"SELECT set_config('role', '{role}', true)")
        except asyncpg.InFailedSQLTransactionError:
            # Only a way back to a savepoint is possible now, and it may come as SQL; the role is
            # then that of the savepoint, and set again before the next statement.
            return
        self._role = role

    def _say(self, event: str, plugin: str) -> None:
        _log.error(event, tenant=self._tenant.code, plugin=plugin)
