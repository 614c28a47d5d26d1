"""Answers that are kept for repeated requests, when a tenant's data key is changed for a new one.

Without them a request that is repeated would act a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pss_kernel.persistence._idempotency import places_of, seals_answers

if TYPE_CHECKING:
    import asyncpg

    from pss_kernel.installation import Installation
    from pss_kernel.keys._data_keys import DataKeys
    from pss_kernel.tenancy._tenant import Tenant

__all__ = ["answers_left", "reseal_answers"]

_BATCH = 500
# In the order of the table's key, so that each row is looked at once.
_READ = """
SELECT scope, key, fingerprint, body FROM "{schema}".idempotency
WHERE data_key <> $1 AND (scope, key) > ($2, $3) ORDER BY scope, key LIMIT $4 FOR UPDATE
"""
_RESEALED = """
UPDATE "{schema}".idempotency i SET data_key = $1, fingerprint = g.fingerprint, body = g.body
FROM unnest($2::text[], $3::text[], $4::bytea[], $5::bytea[]) AS g (scope, key, fingerprint, body)
WHERE i.scope = g.scope AND i.key = g.key
"""
_LEFT = 'SELECT count(*) FROM "{schema}".idempotency WHERE data_key <> $1'


async def reseal_answers(
    installation: Installation, code: str, keys: DataKeys, number: int
) -> None:
    """Seal what is kept with the key of that number, each batch in a transaction of its own."""
    tenant = installation.directory.by_code(code)
    last = ("", "")
    while seals_answers(tenant):
        async with installation.cell(tenant).owner() as owner, owner.transaction():
            rows = await owner.fetch(_READ.format(schema=tenant.schema), number, *last, _BATCH)
            if not rows:
                return
            last = (rows[-1]["scope"], rows[-1]["key"])
            names = [[row[column] for row in rows] for column in ("scope", "key")]
            sealed = [
                [_resealed(keys, row, column) for row in rows] for column in ("fingerprint", "body")
            ]
            await owner.execute(_RESEALED.format(schema=tenant.schema), number, *names, *sealed)


async def answers_left(owner: asyncpg.Connection, tenant: Tenant, number: int) -> int:
    """How many are sealed with another key."""
    if not seals_answers(tenant):
        return 0
    left: int = await owner.fetchval(_LEFT.format(schema=tenant.schema), number)
    return left


def _resealed(keys: DataKeys, row: asyncpg.Record, column: str) -> bytes | None:
    kept: bytes | None = row[column]
    if kept is None:
        return None
    place = places_of(row["scope"], row["key"], column)
    return keys.seal(keys.unseal(kept, *place), *place)
