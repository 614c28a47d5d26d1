"""What of a passenger is personal beyond the name: sealed where it is kept, each with own keys.

Names stay readable: orders are found by them.
"""

from collections.abc import Sequence
from datetime import date

import msgspec
from msgspec import Struct, structs

from pss_kernel import Erased, UnitOfWork

from .order import OrderPassenger, TravelDocument
from .statements import CLEAR_PASSENGERS, SEAL_PASSENGERS

__all__ = [
    "StoredPassenger",
    "open_passengers",
    "seal_clear_passengers",
    "sealed_passengers",
    "seals_passengers",
]

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
_documents = msgspec.json.Decoder(list[TravelDocument])


def seals_passengers(uow: UnitOfWork) -> bool:
    """Whether the airline's tables have a place for what is sealed; before, it stands in clear."""
    return uow.has_revision("0002", plugin="reservation")


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


async def seal_clear_passengers(uow: UnitOfWork, at_most: int) -> int:
    """Seal personal facts that an earlier version wrote in clear; how many passengers had some."""
    if not seals_passengers(uow):
        return 0
    rows = await uow.hot(CLEAR_PASSENGERS, at_most)
    passengers = [
        OrderPassenger(
            id=row["id"],
            type=row["type"],
            given_name=row["given_name"],
            family_name=row["family_name"],
            born_on=date.fromisoformat(row["born_on"]) if row["born_on"] else None,
            email=row["email"],
            phone=row["phone"],
            documents=_documents.decode(row["documents"]),
        )
        for row in rows
    ]
    sealed = await sealed_passengers(uow, passengers)
    if sealed:
        ids = [one.id for one in sealed]
        await uow.hot(SEAL_PASSENGERS, ids, [one.personal for one in sealed])
    return len(sealed)


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
