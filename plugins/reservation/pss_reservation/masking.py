"""What of an order's personal facts is shown to somebody who knows only reference and name.

Both stand on every boarding pass and luggage tag, so they open the journey and no more.
"""

from msgspec import structs

from .order import Order, OrderPassenger

__all__ = ["masked", "without_special"]

_SHOWN = 3  # characters: enough for its owner to recognise it


_ORDINARY = {"seat", "bag"}
"""Services that tell nothing of health or belief, as a meal or assistance does."""


def without_special(order: Order) -> Order:
    """Return a copy without what was chosen, where that is of a special category."""
    services = [
        one if one.code is None or one.type in _ORDINARY else structs.replace(one, code="***")
        for one in order.services
    ]
    return structs.replace(order, services=services)


def masked(order: Order) -> Order:
    """Return a copy with masked documents, phones and e-mails, and without dates of birth."""
    passengers = [_passenger(passenger) for passenger in order.passengers]
    return structs.replace(order, passengers=passengers)


def _passenger(passenger: OrderPassenger) -> OrderPassenger:
    documents = [
        structs.replace(document, number=_end(document.number)) for document in passenger.documents
    ]
    return structs.replace(
        passenger,
        born_on=None,
        email=None if passenger.email is None else _address(passenger.email),
        phone=None if passenger.phone is None else _end(passenger.phone),
        documents=documents,
    )


def _end(text: str) -> str:
    """Return "***" and the last three characters; of a text too short for that, none."""
    return "***" + (text[-_SHOWN:] if len(text) > _SHOWN else "")


def _address(email: str) -> str:
    """Return the first letter and the domain, "a***@example.org"."""
    name, _, domain = email.rpartition("@")
    return f"{name[:1]}***@{domain}"
