"""The states of a payment, and what an answer of the gateway makes of them. No input or output.

pending          the gateway was asked, or will be; its answer is not known
requires_action  the customer must answer the card issuer's challenge
authorised       the money is reserved and the order confirmed, both or neither
captured         the money is taken
voiding          failed for the customer; the reservation is still to be given up
abandoned        failed for the customer, since the gateway did not know of it; watched for a
                 while in case that an authorisation turns up late
failed           nothing is taken and nothing is reserved
"""

from typing import Literal

import msgspec

from .contracts import Outcome

__all__ = [
    "ACTIVE",
    "NEXT",
    "UNSETTLED",
    "Failure",
    "Status",
    "Step",
    "after_authorisation",
    "after_cancellation",
    "after_capture",
    "after_void",
    "public_status",
]

Status = Literal[
    "pending", "requires_action", "authorised", "captured", "voiding", "abandoned", "failed"
]
PublicStatus = Literal["pending", "requires_action", "authorised", "captured", "failed"]

ACTIVE: tuple[Status, ...] = ("pending", "requires_action", "authorised")
UNSETTLED: tuple[Status, ...] = (*ACTIVE, "voiding", "abandoned")

NEXT: dict[Status, frozenset[Status]] = {
    "pending": frozenset({"requires_action", "authorised", "voiding", "abandoned", "failed"}),
    "requires_action": frozenset({"authorised", "voiding", "failed"}),
    "authorised": frozenset({"captured", "failed"}),
    "abandoned": frozenset({"voiding", "failed"}),
    "voiding": frozenset({"failed"}),
    "captured": frozenset(),
    "failed": frozenset(),
}
"""Every transition there is."""


class Failure(msgspec.Struct, frozen=True):
    """Why a payment failed: a stable code and a sentence for people."""

    code: str
    detail: str


class Step(msgspec.Struct, frozen=True):
    """A transition to take; ``failure`` where it is one for the customer."""

    status: Status
    failure: Failure | None = None


_NO_ANSWER = Failure("gateway-no-answer", "The payment did not reach the card network.")
_CANCELLED = Failure("payment-cancelled", "The payment was given up.")
_ACTION_EXPIRED = Failure("action-expired", "The card issuer's question was not answered in time.")


def public_status(status: Status) -> PublicStatus:
    """Name the status as customers see it."""
    return "failed" if status == "voiding" or status == "abandoned" else status  # noqa: PLR1714 - mypy narrows by ==


def after_authorisation(status: Status, outcome: Outcome | None, *, overdue: bool) -> Step | None:
    """Decide after an authorisation, or after looking one up (None: the gateway knows none).

    ``overdue``: the payment's deadline has passed. None: nothing has changed.
    """
    if outcome is None:
        return _after_nothing_found(status, overdue=overdue)
    if outcome.status == "declined":
        return Step("failed", None if status == "abandoned" else _declined(outcome))
    if outcome.status == "unknown" or outcome.reference is None:
        return None
    return _after_charge_found(status, approved=outcome.status == "approved", overdue=overdue)


def after_cancellation(status: Status) -> Step | None:
    """Decide when the customer gives the payment up; None where it can't be, or has ended.

    What the gateway has not answered yet may still turn up as authorised: it is watched for.
    """
    if status == "requires_action":
        return Step("voiding", _CANCELLED)
    return Step("abandoned", _CANCELLED) if status == "pending" else None


def after_capture(outcome: Outcome) -> Step | None:
    """Decide after a capture."""
    if outcome.status == "approved":
        return Step("captured")
    if outcome.status == "declined":
        reason = outcome.decline_reason or "no reason given"
        return Step("failed", Failure("capture-refused", f"The capture was refused: {reason}."))
    return None


def after_void(outcome: Outcome) -> Step | None:
    """Decide after a void. A refused one ends it too: there was nothing left to give up."""
    return Step("failed") if outcome.status in {"approved", "declined"} else None


def _after_nothing_found(status: Status, *, overdue: bool) -> Step | None:
    if status == "pending":
        return Step("abandoned", _NO_ANSWER)
    if status == "abandoned" and overdue:
        return Step("failed")
    return None


def _after_charge_found(status: Status, *, approved: bool, overdue: bool) -> Step | None:
    if status == "abandoned":
        return Step("voiding")
    if approved:
        return Step("authorised")
    if status == "pending":
        return Step("requires_action")
    return Step("voiding", _ACTION_EXPIRED) if overdue else None


def _declined(outcome: Outcome) -> Failure:
    reason = outcome.decline_reason or "card-declined"
    more = "" if reason == "card-declined" else f": {reason}"
    return Failure("card-declined", f"The card was declined{more}.")
