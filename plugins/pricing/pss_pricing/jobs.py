"""What pricing does again and again."""

from datetime import timedelta

from pss_kernel import UnitOfWork

from . import plugin
from .settings import Settings
from .store import delete_expired

__all__ = ["delete_expired_offers"]


@plugin.job(every=300.0)
async def delete_expired_offers(uow: UnitOfWork) -> None:
    """Delete offers that nobody can order or re-price any more."""
    kept = uow.settings(Settings).expired_offers_kept_minutes
    await delete_expired(uow, timedelta(minutes=kept))
