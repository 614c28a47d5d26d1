"""The offers that pricing keeps."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import product

import msgspec

from pss_kernel import NotFound, UnitOfWork, check_id, new_id

from .contracts import StoredOffer
from .domain.offers import Draft

__all__ = ["delete_expired", "find_offer", "keep_offers", "segment_ids"]

_SHARED_LENGTH = 24  # characters of an id that the offers of one request have in common
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, as in all ids

_KEEP = "INSERT INTO offer_request (key, expires_at, offers) VALUES ($1, $2, $3::bytea[])"

_FIND = """
SELECT offers[$2] AS offer, expires_at > now() AS live FROM offer_request WHERE key = $1
"""

_DELETE_EXPIRED = """
DELETE FROM offer_request WHERE expires_at < now() - make_interval(mins => $1)
"""


def segment_ids() -> Iterator[str]:
    """Ids for the segments of one request's offers: 59 random bits, and three digits to count.

    They need to differ within an offer only; an order gives its segments ids of their own.
    """
    shared = new_id("seg")[:-3]
    for digits in product(_DIGITS, repeat=3):
        yield shared + "".join(digits)


async def keep_offers(
    uow: UnitOfWork, drafts: Sequence[Draft], expires_at: datetime
) -> tuple[str, list[StoredOffer]]:
    """Store the offers of one request in one row; the request's id and the offers with theirs.

    An offer's id is the first 24 characters of the request's, with 64 random bits, and its
    place in two digits. The content is never changed afterwards.
    """
    request_id = new_id("ofr")
    key = request_id.partition("_")[2][:_SHARED_LENGTH]
    stored = [
        draft.stored(f"off_{key}{_DIGITS[place >> 5]}{_DIGITS[place & 31]}", expires_at)
        for place, draft in enumerate(drafts)
    ]
    if stored:
        await uow.hot(_KEEP, key, expires_at, [msgspec.json.encode(offer) for offer in stored])
    return request_id, stored


async def find_offer(uow: UnitOfWork, offer_id: str) -> tuple[StoredOffer, bool]:
    """The offer, and whether it has not expired by the database's clock. Raises NotFound."""
    digits = check_id("off", offer_id).partition("_")[2]
    high, low = (_DIGITS.index(digit) for digit in digits[_SHARED_LENGTH:])
    rows = await uow.hot(_FIND, digits[:_SHARED_LENGTH], (high << 5 | low) + 1)
    if not rows or rows[0]["offer"] is None:
        raise NotFound(f"There is no offer {offer_id}.", mend="Ask for offers again.")
    return msgspec.json.decode(rows[0]["offer"], type=StoredOffer), rows[0]["live"]


async def delete_expired(uow: UnitOfWork, kept: timedelta) -> None:
    """Delete what expired longer ago than `kept`."""
    await uow.hot(_DELETE_EXPIRED, int(kept.total_seconds() // 60))
