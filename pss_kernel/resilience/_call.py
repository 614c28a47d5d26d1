"""One call of a plugin's code: within its time budget, and counted."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pss_kernel.config import KERNEL
from pss_kernel.errors import PluginTooSlow, Problem

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = ["Call", "blame", "counted", "seconds_left"]

_SERVER_ERROR = 500
_deadline: ContextVar[float | None] = ContextVar("pss_deadline", default=None)


def seconds_left() -> float | None:
    """Of the time budget of what runs now; None where it has none."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def blame(error: BaseException, plugin: str) -> str:
    """Who is to blame for an error: the first that is named, whoever lets it pass later."""
    if not hasattr(error, "pss_plugin"):
        error.pss_plugin = plugin  # type: ignore[attr-defined]  # travels with the error
    named: str = error.pss_plugin  # type: ignore[attr-defined]
    return named


def counted(error: BaseException) -> bool:
    """Whether the error was counted before; from now on it was."""
    before: bool = getattr(error, "pss_counted", False)
    error.pss_counted = True  # type: ignore[attr-defined]  # travels with the error
    return before


class Call:
    """Wraps the code of one plugin, for one tenant.

    Over its budget (seconds) it is cancelled and PluginTooSlow is raised; what it had to wait for
    a connection is not its fault, and neither is what the database can't do for anybody. A
    Problem is raised on purpose and counts as success. ``subject``: what is tried again when it
    fails, so that it counts once.
    """

    __slots__ = (
        "_before",
        "_installation",
        "_started",
        "_subject",
        "_tenant",
        "_timeout",
        "budget",
        "expired",
        "failed",
        "plugin",
    )

    def __init__(
        self,
        installation: Installation,
        tenant: Tenant,
        plugin: str,
        budget: float | None,
        *,
        subject: object = None,
    ) -> None:
        self._installation = installation
        self._tenant = tenant
        self._subject = subject
        self._timeout: asyncio.Timeout | None = None
        self.plugin = plugin
        self.budget = budget
        self.expired = False
        self.failed = False

    def answers(self, status: int) -> None:
        """An HTTP status that the plugin chose; 500 and above is a failure."""
        self.failed = status >= _SERVER_ERROR

    async def __aenter__(self) -> Self:
        """Start the clock."""
        self._started = time.monotonic()
        self._before = _deadline.get()
        if self.budget is not None:
            deadline = self._started + self.budget
            _deadline.set(min(deadline, self._before or deadline))
            self._timeout = asyncio.timeout(self.budget)
            await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Count, and raise PluginTooSlow where the budget has ended the call."""
        _deadline.set(self._before)
        if error is not None and isinstance(error, asyncio.CancelledError):
            blame(error, self.plugin)  # the innermost code that was running
        if self._timeout is not None:
            try:
                await self._timeout.__aexit__(kind, error, traceback)
            except TimeoutError:
                self.expired = True
            else:  # the cancellation was swallowed
                cancelled = isinstance(error, asyncio.CancelledError)
                self.expired = self._timeout.expired() and not cancelled
        spent = time.monotonic() - self._started
        culprit = self._count(error, spent)
        if self.expired:
            raise PluginTooSlow(
                f"The plugin {culprit!r} did not answer within {self.budget:g} s."
                if culprit != KERNEL
                else f"There was no answer within {self.budget:g} s."
            ) from error

    def _moving(self) -> bool:
        """Whether the database refuses changes because the tenant is on its way elsewhere."""
        return self._installation.directory.current(self._tenant).placement == "moving"

    def _count(self, error: BaseException | None, spent: float) -> str:
        """Charge the call, and what went wrong in it to whoever is to blame."""
        installation, code = self._installation, self._tenant.code
        meter = installation.meters.of(code, self.plugin)
        counts = meter.current()
        counts.calls += 1
        counts.seconds += spent
        culprit = self.plugin
        bad = False
        if self.expired or (self.budget is not None and spent > self.budget):
            culprit = getattr(error, "pss_plugin", self.plugin)
            if culprit != KERNEL:
                blamed = installation.meters.of(code, culprit).current()
                blamed.timeouts += 1
                blamed.late_seconds += spent
                bad = True
        elif self.failed or (error is not None and _is_failure(error) and not self._moving()):
            culprit = self.plugin if error is None else blame(error, self.plugin)
            bad = error is None or not counted(error)  # an inner call may have counted it
            if bad:
                installation.meters.of(code, culprit).failed(self._subject)
        if bad or counts.database_seconds > installation.meters.limits.database_seconds > 0:
            installation.breaker.judge(self._tenant, culprit)
        return culprit


def _is_failure(error: BaseException) -> bool:
    """Whether the plugin's own code went wrong, and not the caller or the database."""
    # The hooks are counted here, and the persistence layer calls hooks.
    from pss_kernel.persistence import Answered, database_problem  # noqa: PLC0415
    from pss_kernel.persistence._binding import (  # noqa: PLC0415 - as above
        TransactionEnded,
        TransactionFailed,
        UnitOfWorkEnded,
    )

    if isinstance(error, TransactionEnded | TransactionFailed | UnitOfWorkEnded):
        return True  # said by the kernel about the plugin
    if not isinstance(error, Exception) or isinstance(error, Problem | Answered):
        return False
    return database_problem(error) is None
