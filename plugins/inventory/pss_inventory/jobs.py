"""Inventory's recurring work."""

from pss_kernel import UnitOfWork

from . import plugin
from .schedule import extend_schedule

__all__ = ["extend_horizon"]


@plugin.job(cron="15 0 * * *")
async def extend_horizon(uow: UnitOfWork) -> None:
    """Open the flights of the day that has come within the horizon."""
    await extend_schedule(uow)
