"""What happens to people's second factors. Events name the account alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pss_kernel.messaging._event import Event

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = ["EVENTS", "Change", "SecondFactorChanged", "tell"]

Change = Literal["added", "removed", "reset", "recovery-codes-made", "recovery-code-used"]


class SecondFactorChanged(Event, name="second-factor-changed"):
    """Somebody's second factors are others than before, and the person shall be told."""

    account_id: str
    change: Change


EVENTS = [SecondFactorChanged]


def tell(uow: UnitOfWork, account_id: str, change: Change) -> None:
    """Have a mail sent to whoever's factors these are, once this commits."""
    uow.emit(SecondFactorChanged(account_id=account_id, change=change), stream=account_id)
