"""What one cell says of its tenants; read anew only for those that have changed.

Every change of a tenant's rows in the control schema is written down with the transaction that made
it (``pss.tenant_change``, by triggers). A reader keeps the snapshot of its last look and asks for
what it sees now and that snapshot did not: so a transaction that commits late is never missed,
whatever the order in which transactions began.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import asyncpg

from pss_kernel.auth import ApiKey
from pss_kernel.auth._signing_store import READ, SigningKey, signing_key_of

__all__ = ["Cell", "look"]

V = TypeVar("V")

_EVERYTHING = "*"

_CHANGED = """
SELECT pg_current_snapshot()::text AS snapshot, pg_postmaster_start_time()::text AS started,
       ARRAY(SELECT c.code FROM pss.tenant_change c
             WHERE c.changed_in >= pg_snapshot_xmin($1::text::pg_snapshot)
               -- a row that was restored from another cluster's dump has a number of that one's
               AND c.changed_in < pg_snapshot_xmax(pg_current_snapshot())
               AND NOT pg_visible_in_snapshot(c.changed_in, $1::text::pg_snapshot)) AS codes
"""
_TENANTS = """
SELECT t.code, t.name, t.schema_name, t.role, t.currency, t.time_zone, t.locales, t.brand,
       t.strict_plugins, t.test_of,
       coalesce((SELECT jsonb_object_agg(p.plugin, jsonb_build_object(
                   'state', p.state, 'since', p.since, 'version', p.version,
                   'revision', p.revision, 'reason', p.reason, 'settings', p.settings))
                 FROM pss.tenant_plugin p WHERE p.tenant = t.code), '{}') AS plugins,
       (SELECT array_agg(ROW(k.number, k.state, k.master, k.wrapped) ORDER BY k.number)
        FROM pss.tenant_key k WHERE k.tenant = t.code) AS keys,
       coalesce((SELECT jsonb_object_agg(r.name, r.grants) FROM pss.role r
                 WHERE r.tenant = t.code), '{}') AS roles,
       (SELECT array_agg(ROW(c.subject, c.not_before)) FROM pss.token_cutoff c
        WHERE c.tenant = t.code AND c.until > now()) AS cutoffs
FROM pss.tenant t
"""
_KEYS = """
SELECT key_id, tenant, name, secret_digest, scopes, expires_at, mode, networks, api_version
FROM pss.api_key
WHERE revoked_at IS NULL
"""
_PLACEMENTS = """
SELECT p.tenant, p.cell, p.state, p.due_at,
       coalesce((SELECT array_agg(d.host ORDER BY d.host) FROM pss.tenant_domain d
                 WHERE d.tenant = p.tenant), '{}') AS domains
FROM pss.placement p WHERE p.state <> 'importing'
"""


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """The tenants that a cell has, by code, and their keys; as of one snapshot."""

    snapshot: str | None = None
    started: str = ""
    """When its server was started: after a failover, snapshots can't be compared."""
    tenants: dict[str, asyncpg.Record] = field(default_factory=dict)
    keys: dict[str, tuple[ApiKey, ...]] = field(default_factory=dict)
    placements: dict[str, asyncpg.Record] = field(default_factory=dict)
    """Where each tenant lives; in the control cell alone."""
    signing_keys: tuple[SigningKey, ...] = ()
    """What tokens are signed with; in the control cell alone."""
    changed: frozenset[str] = frozenset()
    """The codes of those that may differ from what was known before."""


async def look(driver: asyncpg.Connection, known: Cell, *, placements: bool) -> Cell:
    """A cell as it is now; the same object while nothing has changed there.

    The connection is in a transaction that sees one snapshot (repeatable read).
    """
    now = await driver.fetchrow(_CHANGED, known.snapshot)
    codes = set(now["codes"])
    if known.snapshot is None or now["started"] != known.started or _EVERYTHING in codes:
        return await _whole(driver, known, now, placements=placements)
    if not codes:
        return known
    wanted = list(codes)
    tenants = await driver.fetch(f"{_TENANTS} WHERE t.code = ANY($1)", wanted)
    keys = await driver.fetch(f"{_KEYS} AND tenant = ANY($1)", wanted)
    placed = (
        await driver.fetch(f"{_PLACEMENTS} AND p.tenant = ANY($1)", wanted) if placements else []
    )
    return Cell(
        snapshot=now["snapshot"],
        started=now["started"],
        tenants=_without(known.tenants, codes) | {row["code"]: row for row in tenants},
        keys=_without(known.keys, codes) | _by_tenant(keys),
        placements=_without(known.placements, codes) | {row["tenant"]: row for row in placed},
        signing_keys=known.signing_keys,
        changed=frozenset(codes),
    )


async def _whole(
    driver: asyncpg.Connection, known: Cell, now: asyncpg.Record, *, placements: bool
) -> Cell:
    tenants = {row["code"]: row for row in await driver.fetch(_TENANTS)}
    keys = _by_tenant(await driver.fetch(_KEYS))
    placed = {}
    signing_keys: tuple[SigningKey, ...] = ()
    if placements:
        placed = {row["tenant"]: row for row in await driver.fetch(_PLACEMENTS)}
        signing_keys = tuple(signing_key_of(row) for row in await driver.fetch(READ))
    return Cell(
        snapshot=now["snapshot"],
        started=now["started"],
        tenants=tenants,
        keys=keys,
        placements=placed,
        signing_keys=signing_keys,
        changed=frozenset({*tenants, *placed, *known.tenants, *known.placements}),
    )


def _without(rows: dict[str, V], codes: set[str]) -> dict[str, V]:
    return {code: row for code, row in rows.items() if code not in codes}


def _by_tenant(rows: list[asyncpg.Record]) -> dict[str, tuple[ApiKey, ...]]:
    keys: dict[str, tuple[ApiKey, ...]] = {}
    for row in rows:
        key = ApiKey(
            row["key_id"],
            row["tenant"],
            row["name"],
            row["secret_digest"],
            frozenset(row["scopes"]),
            row["expires_at"],
            row["mode"],
            tuple(row["networks"]),
            row["api_version"],
        )
        keys[key.tenant] = (*keys.get(key.tenant, ()), key)
    return keys
