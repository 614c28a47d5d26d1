"""A client of the passenger service system.

``Client`` has the calls of a passenger's journey, ``StaffClient`` the airline staff's too.
"""

from pss_sdk.client import Client
from pss_sdk.errors import (
    ApiProblem,
    FieldProblem,
    OrderNotTicketed,
    PssError,
    UnexpectedAnswer,
    Unreachable,
)
from pss_sdk.models import Guest, Money, Offer, Order, Passenger
from pss_sdk.staff import StaffClient

__all__ = [
    "ApiProblem",
    "Client",
    "FieldProblem",
    "Guest",
    "Money",
    "Offer",
    "Order",
    "OrderNotTicketed",
    "Passenger",
    "PssError",
    "StaffClient",
    "UnexpectedAnswer",
    "Unreachable",
]
