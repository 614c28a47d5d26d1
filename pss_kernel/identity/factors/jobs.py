"""Forgetting what was begun and never finished."""

from __future__ import annotations

from pss_kernel.identity import plugin
from pss_kernel.persistence import UnitOfWork

__all__ = ["forget_unconfirmed_factors"]

_FORGET = """
DELETE FROM factor WHERE confirmed_at IS NULL AND created_at < now() - interval '1 hour'
"""


@plugin.job(every=3600)
async def forget_unconfirmed_factors(uow: UnitOfWork) -> None:
    """Forget the secrets of authenticator apps that were shown and never confirmed."""
    await uow.hot(_FORGET)
