"""What pricing keeps: filings and offers."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256

import msgspec
from msgspec import Struct

from pss_kernel import NotFound, UnitOfWork, check_id, new_id

from .contracts import MarketFare, StoredOffer
from .domain.filed import FareFiling, FareTerms, TaxFiling
from .domain.offers import Draft

__all__ = [
    "Filed",
    "delete_expired",
    "find_offer",
    "keep_offers",
    "read_filed",
    "replace_fares",
    "replace_taxes",
]

_FARE_FIELDS = MarketFare.__struct_fields__
_SHARED_LENGTH = 24  # characters of an id that the offers of one request have in common
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, as in all ids

# One round trip for all that a price needs. The documents stand in the first row only.
_READ_FILED = f"""
SELECT now() AS moment, {", ".join(f"filed.{field}" for field in _FARE_FIELDS)},
    CASE WHEN row_number() OVER () = 1
        THEN (SELECT document::text FROM price_filing WHERE kind = 'fares') END AS terms,
    CASE WHEN row_number() OVER () = 1
        THEN (SELECT document::text FROM price_filing WHERE kind = 'taxes') END AS taxes
FROM (SELECT) AS always
LEFT JOIN (
    SELECT {", ".join(f"fare.{field}" for field in _FARE_FIELDS)}
    FROM unnest($1::text[], $2::text[]) AS market (origin, destination)
    JOIN fare ON fare.origin = market.origin AND fare.destination = market.destination
    WHERE (fare.valid_from IS NULL OR fare.valid_from <= $4)
        AND (fare.valid_until IS NULL OR fare.valid_until >= $3)
) AS filed ON true
"""  # noqa: S608 -- only the names of our own columns are put in

_KEEP = "INSERT INTO offer_request (key, expires_at, offers) VALUES ($1, $2, $3::bytea[])"

_FIND = """
SELECT offers[$2] AS offer, expires_at > now() AS live FROM offer_request WHERE key = $1
"""

_DELETE_EXPIRED = """
DELETE FROM offer_request WHERE expires_at < now() - make_interval(mins => $1)
"""

_FILE = """
INSERT INTO price_filing (kind, version, document) VALUES ($1, $2, $3::text::jsonb)
ON CONFLICT (kind) DO UPDATE
SET version = excluded.version, document = excluded.document, filed_at = now()
WHERE price_filing.version <> excluded.version
RETURNING version
"""


class Filed(Struct, frozen=True, kw_only=True):
    """What is filed for some markets; `moment` is the database's time of the reading."""

    moment: datetime
    terms: FareTerms | None
    taxes: TaxFiling | None
    fares: list[MarketFare]


async def read_filed(
    uow: UnitOfWork, markets: Iterable[tuple[str, str]], days: Sequence[date]
) -> Filed:
    """Fares of the markets that are valid for some departure in `days`, terms and taxes."""
    pairs = sorted(set(markets))
    rows = await uow.hot(
        _READ_FILED,
        [origin for origin, _ in pairs],
        [destination for _, destination in pairs],
        min(days),
        max(days),
    )
    terms, taxes = rows[0]["terms"], rows[0]["taxes"]
    return Filed(
        moment=rows[0]["moment"],
        terms=msgspec.json.decode(terms, type=FareTerms) if terms else None,
        taxes=msgspec.json.decode(taxes, type=TaxFiling) if taxes else None,
        fares=[
            MarketFare(**{field: row[field] for field in _FARE_FIELDS})
            for row in rows
            if row["origin"] is not None
        ],
    )


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


async def replace_fares(uow: UnitOfWork, filing: FareFiling) -> bool:
    """Put this filing in the place of the one before; False when it is the same."""
    terms = msgspec.json.encode(filing.terms)
    version = sha256(terms + msgspec.json.encode(filing.fares)).hexdigest()
    if not await uow.hot(_FILE, "fares", version, terms.decode()):
        return False
    await uow.hot("DELETE FROM fare")
    await uow.copy_in(
        "fare",
        _FARE_FIELDS,
        [tuple(getattr(fare, field) for field in _FARE_FIELDS) for fare in filing.fares],
    )
    return True


async def replace_taxes(uow: UnitOfWork, filing: TaxFiling) -> bool:
    """Put this filing in the place of the one before; False when it is the same."""
    document = msgspec.json.encode(filing)
    version = sha256(document).hexdigest()
    return bool(await uow.hot(_FILE, "taxes", version, document.decode()))
