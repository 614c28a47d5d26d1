"""When each key was last used, and from where.

A request writes nothing for it: the servers remember, and tell the database all at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pss_kernel.errors import TenantUnknown, Unavailable

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["KeyUse", "record_uses"]

# In the order of the keys, so that two processes never wait for each other in a circle. A tenant
# that has moved or gone meanwhile is left out.
_RECORD = """
INSERT INTO pss.api_key_use AS u (tenant, key_id, last_used_at, last_used_from)
SELECT g.tenant, g.key_id, g.at, g.address
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])
  AS g (tenant, key_id, at, address)
WHERE EXISTS (SELECT FROM pss.tenant t WHERE t.code = g.tenant)
ORDER BY g.key_id
ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at,
  last_used_from = excluded.last_used_from
WHERE u.last_used_at < excluded.last_used_at AND u.tenant = excluded.tenant
"""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One use of a key."""

    tenant: str
    key_id: str
    at: datetime
    address: str


async def record_uses(installation: Installation, uses: Iterable[KeyUse]) -> None:
    """Write them in each tenant's cell; a later use that is there already stays."""
    by_cell: dict[str, list[KeyUse]] = {}
    for use in uses:
        try:
            cell = installation.directory.by_code(use.tenant).cell
        except (TenantUnknown, Unavailable):
            continue
        by_cell.setdefault(cell, []).append(use)
    for cell, those in by_cell.items():
        async with installation.cells[cell].relay_engine.begin() as connection:
            raw = await connection.get_raw_connection()
            driver: Any = raw.driver_connection
            await driver.execute(
                _RECORD,
                [one.tenant for one in those],
                [one.key_id for one in those],
                [one.at for one in those],
                [one.address for one in those],
            )
