"""The database's time that a plugin uses, and who broke a transaction."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from pss_kernel.resilience._call import blame

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = ["Statement"]

_BROKEN = "25P02"  # in_failed_sql_transaction: an earlier statement failed, and was swallowed


class Statement:
    """One statement, its time charged to the plugin whose code runs now."""

    __slots__ = ("_started", "_uow")

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def __enter__(self) -> None:
        """Take the time."""
        self._started = time.monotonic()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Charge it; where an earlier statement is why it is refused, blame that one's plugin."""
        uow = self._uow
        meter = uow.installation.meters.of(uow.tenant.code, uow.plugin)
        meter.current().database_seconds += time.monotonic() - self._started
        if error is None:
            return
        if getattr(getattr(error, "orig", error), "sqlstate", None) == _BROKEN:
            blame(error, uow.broken_by or uow.plugin)
        elif uow.broken_by is None:
            uow.broken_by = uow.plugin
