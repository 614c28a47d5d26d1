"""What of a passenger is personal beyond the name: sealed where it is kept, each with own keys.

Names stay readable: orders are found by them.
"""

from collections.abc import Sequence
from datetime import date

import msgspec
from msgspec import Struct, structs

from pss_kernel import Erased, UnitOfWork

from .order import OrderPassenger, TravelDocument

__all__ = ["StoredPassenger", "open_passengers", "sealed_passengers"]

_COLUMN = "order_passenger.personal"


class _Facts(Struct, kw_only=True, omit_defaults=True):
    born_on: date | None = None
    email: str | None = None
    phone: str | None = None
    documents: list[TravelDocument] = []


class StoredPassenger(OrderPassenger, kw_only=True):
    """A passenger as stored; ``personal`` is what is sealed, in hexadecimal digits."""

    personal: str | None = None


_NOTHING = _Facts()


async def sealed_passengers(
    uow: UnitOfWork, passengers: Sequence[OrderPassenger]
) -> list[StoredPassenger]:
    """Seal the personal facts of passengers; one round trip, and none where there are none."""
    sealed = await uow.seal({one.id: {_COLUMN: _facts(one)} for one in passengers})
    return [
        StoredPassenger(
            **{
                **structs.asdict(one),
                **structs.asdict(_NOTHING),
                "personal": None if personal is None else personal.hex(),
            }
        )
        for one in passengers
        for personal in (sealed[one.id][_COLUMN],)
    ]


async def open_passengers(
    uow: UnitOfWork, stored: Sequence[StoredPassenger]
) -> list[OrderPassenger]:
    """Open what is sealed; of a passenger who was erased, nothing personal but the name is left."""
    opened = await uow.unseal(
        {
            one.id: {_COLUMN: None if one.personal is None else bytes.fromhex(one.personal)}
            for one in stored
        }
    )
    return [_opened(one, opened[one.id][_COLUMN]) for one in stored]


def _facts(passenger: OrderPassenger) -> object:
    facts = _Facts(**{name: getattr(passenger, name) for name in _Facts.__struct_fields__})
    return None if facts == _NOTHING else facts


def _opened(stored: StoredPassenger, personal: object) -> OrderPassenger:
    known = {name: getattr(stored, name) for name in OrderPassenger.__struct_fields__}
    if isinstance(personal, Erased):
        known |= structs.asdict(_NOTHING) | {"erased": True}
    elif personal is not None:
        known |= structs.asdict(msgspec.convert(personal, _Facts))
    return OrderPassenger(**known)
