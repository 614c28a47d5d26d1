"""What an airline has filed: read with one statement, replaced whole."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from hashlib import sha256

import asyncpg
import msgspec
from msgspec import Struct

from pss_kernel import UnitOfWork

from .contracts import MarketFare
from .domain.filed import FareFiling, FareTerms, TaxFiling
from .domain.taxes import TaxBook

__all__ = ["Filed", "read_filed", "replace_fares", "replace_taxes"]

_FARE_FIELDS = MarketFare.__struct_fields__
_MOST_REMEMBERED = 500  # tenants, at some 50 kB each; then the one read longest ago goes

# One round trip for all that a price needs. A document comes along only where its version is
# not the one that this process has decoded already ($5 and $6).
_READ_FILED = f"""
SELECT now() AS moment, terms.version AS terms_version, taxes.version AS taxes_version,
    CASE WHEN terms.version IS DISTINCT FROM $5 THEN terms.document::text END AS terms,
    CASE WHEN taxes.version IS DISTINCT FROM $6 THEN taxes.document::text END AS taxes,
    ARRAY(
        SELECT ROW({", ".join(f"fare.{field}" for field in _FARE_FIELDS)})
        FROM unnest($1::text[], $2::text[]) AS market (origin, destination)
        JOIN fare ON fare.origin = market.origin AND fare.destination = market.destination
        WHERE (fare.valid_from IS NULL OR fare.valid_from <= $4)
            AND (fare.valid_until IS NULL OR fare.valid_until >= $3)
    ) AS fares
FROM (SELECT) AS always
LEFT JOIN price_filing AS terms ON terms.kind = 'fares'
LEFT JOIN price_filing AS taxes ON taxes.kind = 'taxes'
"""  # noqa: S608 -- only the names of our own columns are put in

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
    taxes: TaxBook
    fares: list[MarketFare]


class _Documents(Struct, frozen=True, kw_only=True):
    """A tenant's documents, decoded; a version is the digest of the content."""

    terms_version: str | None = None
    terms: FareTerms | None = None
    taxes_version: str | None = None
    taxes: TaxBook


# By tenant and selling currency: what was decoded last. Each reading compares the versions with
# the database's own, so a new filing counts at once, and one that was rolled back never does.
_remembered: dict[tuple[str, str], _Documents] = {}


async def read_filed(
    uow: UnitOfWork, markets: Iterable[tuple[str, str]], days: Sequence[date]
) -> Filed:
    """Fares of the markets that are valid for some departure in `days`, terms and taxes."""
    pairs = sorted(set(markets))
    owner = uow.tenant.code, uow.tenant.currency
    known = _remembered.get(owner) or _Documents(taxes=TaxBook(None, uow.tenant.currency))
    (row,) = await uow.hot(
        _READ_FILED,
        [origin for origin, _ in pairs],
        [destination for _, destination in pairs],
        min(days),
        max(days),
        known.terms_version,
        known.taxes_version,
    )
    documents = _current(row, known, uow.tenant.currency)
    if documents is not known:
        if len(_remembered) >= _MOST_REMEMBERED:
            del _remembered[next(iter(_remembered))]
        _remembered[owner] = documents
    return Filed(
        moment=row["moment"],
        terms=documents.terms,
        taxes=documents.taxes,
        fares=[MarketFare(*fare) for fare in row["fares"]],
    )


def _current(row: asyncpg.Record, known: _Documents, currency: str) -> _Documents:
    """The documents that are filed now: `known` itself where nothing else is."""
    new_terms = row["terms_version"] != known.terms_version
    new_taxes = row["taxes_version"] != known.taxes_version
    if not (new_terms or new_taxes):
        return known
    terms, taxes = known.terms, known.taxes
    if new_terms:
        terms = msgspec.json.decode(row["terms"], type=FareTerms) if row["terms"] else None
    if new_taxes:
        filing = msgspec.json.decode(row["taxes"], type=TaxFiling) if row["taxes"] else None
        taxes = TaxBook(filing, currency)
    return _Documents(
        terms_version=row["terms_version"],
        terms=terms,
        taxes_version=row["taxes_version"],
        taxes=taxes,
    )


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
