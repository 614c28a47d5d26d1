"""What an administrator does for a person who has lost all second factors."""

from __future__ import annotations

from pss_kernel.identity import plugin
from pss_kernel.identity.factors.reset import FactorsReset, reset_factors
from pss_kernel.persistence import UnitOfWork

__all__ = ["reset"]


@plugin.delete("/accounts/{account_id:str}/factors", permission="identity:factors-reset")
async def reset(account_id: str, uow: UnitOfWork) -> FactorsReset:
    """Take a person's second factors and recovery codes away, and end its sessions."""
    return await reset_factors(uow, account_id)
