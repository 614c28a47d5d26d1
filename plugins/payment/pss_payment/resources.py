"""What the routes take and answer."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from pss_kernel import Money

from .states import Failure, PublicStatus

__all__ = [
    "Action",
    "CardMethod",
    "LedgerAccount",
    "LedgerLine",
    "NewPayment",
    "OrderLedger",
    "Payment",
    "PaymentMethod",
    "Refund",
]

_ADDRESS = "^[Hh][Tt][Tt][Pp][Ss]?://"  # a browser is led there, so nothing else than the web


class CardMethod(Struct, kw_only=True, forbid_unknown_fields=True):
    """A card, by the token that the gateway's own form gave to the customer's browser."""

    type: Literal["card"]
    token: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            description="The gateway's token of the card; never a card number.",
            examples=["tok_visa"],
        ),
    ]


class NewPayment(Struct, kw_only=True, forbid_unknown_fields=True):
    """A payment of an order's whole total."""

    order_id: Annotated[
        str, Meta(min_length=1, max_length=200, description="The order that is paid.")
    ]
    amount: Annotated[Money, Meta(description="The order's whole total, in its currency.")]
    method: Annotated[CardMethod, Meta(description="What is paid with.")]
    return_url: (
        Annotated[
            str,
            Meta(
                max_length=2000,
                pattern=_ADDRESS,
                description="Where the card issuer's challenge leads back to; http or https.",
            ),
        ]
        | None
    ) = None
    metadata: Annotated[
        dict[str, Annotated[str, Meta(max_length=500)]],
        Meta(max_length=20, description="Passed on to the gateway, as it is."),
    ] = field(default_factory=dict)


class PaymentMethod(Struct, kw_only=True):
    """How it is paid; never with a token or a number."""

    type: str


class Action(Struct, kw_only=True):
    """What the customer has to do: follow the address in a browser."""

    url: str
    type: Literal["redirect"] = "redirect"


class Payment(Struct, kw_only=True):
    """A payment. ``failure`` is there when ``status`` is failed, ``action`` for requires_action.

    ``refunded`` is what the gateway has given back so far.
    """

    id: str
    order_id: str
    status: PublicStatus
    amount: Money
    refunded: Money
    method: PaymentMethod
    created_at: datetime
    action: Action | None = None
    failure: Failure | None = None


class Refund(Struct, kw_only=True):
    """Money on its way back, or given back. ``refused``: by the gateway; staff must see to it."""

    id: str
    payment_id: str
    status: Literal["pending", "refunded", "refused"]
    amount: Money
    reason: str
    created_at: datetime


class LedgerLine(Struct, kw_only=True):
    """One entry; the entries of one posting share ``posting_id`` and are balanced."""

    posting_id: str
    posted_at: datetime
    reason: str
    account: str
    debit: Money | None = None
    credit: Money | None = None


class LedgerAccount(Struct, kw_only=True):
    """An account's totals; ``balance`` is debit minus credit."""

    account: str
    debit: Money
    credit: Money
    balance: Money


class OrderLedger(Struct, kw_only=True):
    """All the money of one order.

    ``balanced``: the balances add up to 0. ``reconciled``: the ledger agrees with the payments
    and refunds themselves.
    """

    order_id: str
    currency: str
    balanced: bool
    reconciled: bool
    accounts: list[LedgerAccount]
    entries: list[LedgerLine]
    payments: list[Payment]
    refunds: list[Refund]
