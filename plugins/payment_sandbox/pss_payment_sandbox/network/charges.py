"""The network's rules: what each test token does and what a charge allows. No input or output."""

from typing import Literal

import msgspec

__all__ = [
    "TOKENS",
    "Behaviour",
    "Charge",
    "ChargeStatus",
    "Refusal",
    "answer_challenge",
    "authorise",
    "behaviour_of",
    "capture",
    "refund",
    "void",
]

ChargeStatus = Literal["authorised", "declined", "requires_action", "captured", "voided"]


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to a charge made with a token."""

    status: ChargeStatus = "authorised"
    decline_reason: str | None = None
    slow: frozenset[str] = frozenset()
    """Operations that are done at once and answered long after the caller has given up."""
    refuses: frozenset[str] = frozenset()
    """Operations that are declined though the charge would allow them."""


TOKENS: dict[str, Behaviour] = {
    "tok_visa": Behaviour(),
    "tok_mastercard": Behaviour(),
    "tok_declined": Behaviour(status="declined", decline_reason="card-declined"),
    "tok_insufficient_funds": Behaviour(status="declined", decline_reason="insufficient-funds"),
    "tok_requires_action": Behaviour(status="requires_action"),
    "tok_timeout": Behaviour(slow=frozenset({"authorise"})),
    "tok_capture_timeout": Behaviour(slow=frozenset({"capture"})),
    "tok_capture_declined": Behaviour(refuses=frozenset({"capture"})),
    "tok_refund_timeout": Behaviour(slow=frozenset({"refund"})),
    "tok_refund_declined": Behaviour(refuses=frozenset({"refund"})),
}

_UNKNOWN = Behaviour(status="declined", decline_reason="unknown-token")


class Refusal(Exception):  # noqa: N818 - the network's answer, not a failure of it
    """The charge does not allow the operation; ``code`` is kebab-case and stable."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(detail)


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """Money of one card: reserved, then taken or given up. Amounts are minor units."""

    id: str
    merchant: str
    payment_id: str
    token: str
    amount_minor: int
    currency: str
    status: ChargeStatus
    decline_reason: str | None = None
    captured_minor: int = 0
    refunded_minor: int = 0
    return_url: str | None = None


def behaviour_of(token: str) -> Behaviour:
    """Tell what a token does; one that the network does not know is declined."""
    return TOKENS.get(token, _UNKNOWN)


def authorise(charge: Charge) -> Charge:
    """Make the new charge what its token decides."""
    behaviour = behaviour_of(charge.token)
    return msgspec.structs.replace(
        charge, status=behaviour.status, decline_reason=behaviour.decline_reason
    )


def answer_challenge(charge: Charge, *, approved: bool) -> Charge:
    """Take the customer's answer to the card issuer. Raises Refusal when none is due."""
    if charge.status != "requires_action":
        raise Refusal("no-challenge", "This charge awaits no answer of the customer.")
    if approved:
        return msgspec.structs.replace(charge, status="authorised")
    return msgspec.structs.replace(
        charge, status="declined", decline_reason="authentication-failed"
    )


def capture(charge: Charge, amount_minor: int) -> Charge:
    """Take money of a reservation, once. Raises Refusal."""
    if charge.status != "authorised":
        raise Refusal("charge-not-authorised", f"The charge is {charge.status}.")
    if "capture" in behaviour_of(charge.token).refuses:
        raise Refusal("capture-declined", "The card issuer does not honour the reservation.")
    if not 0 < amount_minor <= charge.amount_minor:
        raise Refusal("capture-exceeds-charge", "More than was reserved.")
    return msgspec.structs.replace(charge, status="captured", captured_minor=amount_minor)


def void(charge: Charge) -> Charge:
    """Give a reservation up; nothing changes when that was done. Raises Refusal."""
    if charge.status not in {"authorised", "requires_action", "voided"}:
        raise Refusal(f"charge-{charge.status}", f"The charge is {charge.status}.")
    return msgspec.structs.replace(charge, status="voided")


def refund(charge: Charge, amount_minor: int) -> Charge:
    """Give captured money back, in parts if wanted. Raises Refusal."""
    if charge.status != "captured":
        raise Refusal("charge-not-captured", f"The charge is {charge.status}.")
    if "refund" in behaviour_of(charge.token).refuses:
        raise Refusal("refund-declined", "The card issuer does not take the money back.")
    if not 0 < amount_minor <= charge.captured_minor - charge.refunded_minor:
        raise Refusal("refund-exceeds-capture", "More than is left of what was captured.")
    return msgspec.structs.replace(charge, refunded_minor=charge.refunded_minor + amount_minor)
