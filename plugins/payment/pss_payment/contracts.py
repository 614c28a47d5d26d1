"""What other plugins may import from payment: gateways, events, ledger entries, services.

Amounts named ``…_minor`` are integers in the currency's minor units.
"""

from datetime import timedelta
from typing import Literal, Protocol

from msgspec import Struct

from pss_kernel import Conflict, Event, Invalid, Money, UnitOfWork, hookspec, service

__all__ = [
    "Account",
    "CardNumberRefused",
    "DepositsShort",
    "Entry",
    "Gateway",
    "Outcome",
    "PaymentCaptured",
    "PaymentInProgress",
    "PaymentNotCancellable",
    "PaymentRefunded",
    "balance_of_order",
    "open_gateway",
    "post_entries",
    "posted_within",
]

Account = Literal[
    "gateway_clearing",  # what the gateway owes the airline
    "customer_deposits",  # paid, and not yet exchanged for a document
    "refunds_payable",  # promised to the customer, on its way back
    "ticket_revenue",
    "tax_payable",
    "penalty_revenue",
]


class PaymentInProgress(Conflict):
    """Another payment of the same order has not ended yet."""

    code = "payment-in-progress"


class PaymentNotCancellable(Conflict):
    """The money is reserved for a confirmed order, or taken: the order is what to cancel."""

    code = "payment-not-cancellable"


class CardNumberRefused(Invalid):
    """The body held what looks like a card number; only a gateway's token is taken."""

    code = "card-number-refused"


class DepositsShort(Conflict):
    """The entries would take more out of the order's deposits than was paid in."""

    code = "deposits-short"


# Gateways -----------------------------------------------------------------------------------


class Outcome(Struct, kw_only=True, frozen=True):
    """What a gateway said. ``unknown``: no answer, or none that can be understood.

    Unknown means neither done nor refused: the same call with the same key may be repeated.
    """

    status: Literal["approved", "declined", "requires_action", "unknown"]
    reference: str | None = None  # the gateway's own id of the charge
    decline_reason: str | None = None  # kebab-case, e.g. "insufficient-funds"
    action_url: str | None = None  # where the customer answers the card issuer's challenge


class Gateway(Protocol):
    """A company that moves money. No method raises for what the company answers or doesn't.

    Every effect carries a key and happens at most once for that key. ``authorise`` uses the
    payment's id as its key.
    """

    name: str
    """Stored with the payment, so that the same gateway is asked for it ever after."""

    test: bool
    """Whether it only plays: no money of anybody's moves. Only such a one is used in test mode;
    a gateway with a test account of its own looks at ``uow.tenant.test_of`` when it is opened."""

    async def authorise(
        self,
        payment_id: str,
        amount: Money,
        token: str,
        *,
        return_url: str | None,
        metadata: dict[str, str],
    ) -> Outcome:
        """Reserve the amount on the customer's card."""
        ...

    async def capture(self, reference: str, amount: Money, key: str) -> Outcome:
        """Take the reserved amount."""
        ...

    async def void(self, reference: str, key: str) -> Outcome:
        """Give a reservation up; declined when it was captured. Again: approved."""
        ...

    async def refund(self, reference: str, amount: Money, key: str) -> Outcome:
        """Give back a part of what was captured, or all of it."""
        ...

    async def lookup(self, payment_id: str) -> Outcome | None:
        """How the authorisation of a payment stands; None: the gateway never heard of it."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


@hookspec("first", budget=2.0)
async def open_gateway(uow: UnitOfWork, method_type: str, gateway: str | None) -> Gateway | None:
    """Give a gateway for a method ("card"); ``gateway``: only the one of this name, if given."""


# Events -------------------------------------------------------------------------------------


class PaymentCaptured(Event, name="payment-captured", version=1):
    """The money of an order that still stands was taken; stream: the order's id."""

    order_id: str
    payment_id: str
    amount_minor: int
    currency: str


class PaymentRefunded(Event, name="payment-refunded", version=1):
    """The gateway gave money back; stream: the order's id."""

    order_id: str
    payment_id: str
    refund_id: str
    amount_minor: int
    currency: str


# Ledger -------------------------------------------------------------------------------------


class Entry(Struct, kw_only=True, frozen=True):
    """One side of a posting: exactly one of the two amounts is positive, the other is 0."""

    account: Account
    debit_minor: int = 0
    credit_minor: int = 0


@service
async def post_entries(
    uow: UnitOfWork, order_id: str, reason: str, currency: str, entries: list[Entry]
) -> None:
    """Write one balanced posting to the order's ledger; the ledger is append-only.

    Raises Invalid ("unbalanced-entries") when debits and credits differ or an entry is
    malformed, Conflict ("ledger-currency") for another currency than the order's, and
    DepositsShort when ``customer_deposits`` would go below nothing: after a cancellation the
    deposits are gone, so a late issue of documents fails here.
    """


@service
async def posted_within(uow: UnitOfWork, order_id: str, period: timedelta) -> bool:
    """Whether anything was posted for the order in the last `period`, by the database's clock."""


@service
async def balance_of_order(uow: UnitOfWork, order_id: str) -> dict[str, int]:
    """Each account's balance in minor units, debit minus credit; they add up to 0.

    ``gateway_clearing`` is what the airline has got, hence not negative; what it owes or has
    earned is not positive. Accounts that were never used are 0.
    """
