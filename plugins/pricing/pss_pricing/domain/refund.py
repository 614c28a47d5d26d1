"""What comes back when passengers of an order give up their journey."""

from collections import Counter
from collections.abc import Sequence

from pss_kernel import FieldError, Invalid
from pss_pricing.contracts import RefundQuote, SoldFare, StoredOffer

from .exchange import money

__all__ = ["quote_refund"]


def quote_refund(
    stored: StoredOffer, *, seats_used: bool, passenger_types: Sequence[str]
) -> RefundQuote:
    """Refund and penalty; together all that these passengers paid for fares and taxes.

    Before travel taxes come back whole, and a refundable fare less the fee: once per passenger,
    never more than the fare itself, not for an infant. After travel began nothing comes back.
    Raises Invalid for a passenger the offer does not have.
    """
    _refuse_strangers(stored, passenger_types)
    refund = penalty = taxes = 0
    for kind, count in Counter(passenger_types).items():
        fares = [fare for fare in stored.fares if fare.passenger_type == kind]
        base = sum(fare.base_minor for fare in fares)
        tax = sum(line.amount.minor for fare in fares for line in fare.taxes)
        if seats_used:
            penalty += count * (base + tax)
            continue
        kept = _kept(fares, kind)
        refund += count * (base - kept + tax)
        penalty += count * kept
        taxes += count * tax
    currency = stored.offer.total.currency
    return RefundQuote(
        refund=money(refund, currency),
        penalty=money(penalty, currency),
        taxes=money(taxes, currency),
    )


def _kept(fares: Sequence[SoldFare], kind: str) -> int:
    """What the airline keeps of one passenger's fares: of lost ones all, of others the fee."""
    lost = sum(fare.base_minor for fare in fares if not fare.refundable)
    refundable = [fare for fare in fares if fare.refundable]
    if kind == "infant" or not refundable:
        return lost
    fee = max(fare.cancellation_fee_minor for fare in refundable)
    return lost + min(fee, sum(fare.base_minor for fare in refundable))


def _refuse_strangers(stored: StoredOffer, passenger_types: Sequence[str]) -> None:
    there = Counter(passenger.type for passenger in stored.offer.passengers)
    asked: Counter[str] = Counter()
    errors = []
    for index, kind in enumerate(passenger_types):
        asked[kind] += 1
        if asked[kind] > there[kind]:
            errors.append(
                FieldError(
                    pointer=f"/passenger_types/{index}",
                    detail=f"The offer has {there[kind]} passengers of type {kind}.",
                    code="unknown-passenger",
                )
            )
    if errors:
        raise Invalid("The offer does not have these passengers.", errors=errors)
