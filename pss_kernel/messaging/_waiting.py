"""Events that wait for a plugin which can't be asked now: set aside, and given back later.

A message that is tried again and again would end among the dead ones within minutes, and would
keep its other consumers waiting. So it goes on to them at once, and for the plugin it is kept in
``pss.event_waiting`` for as long as that takes: while the plugin is in quarantine, failed, or just
being enabled. Afterwards it goes through the outbox once more; those who have had it see that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog
from sqlalchemy import text

from pss_kernel.errors import TenantUnknown
from pss_kernel.messaging._log import OUTBOX_QUEUE
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pss_kernel.installation import Installation
    from pss_kernel.messaging._envelope import Envelope
    from pss_kernel.tenancy import Tenant

__all__ = ["absent_plugins", "give_back", "set_aside"]

_log = structlog.get_logger("pss.messaging")
_AT_ONCE = 200

_KEEP = text("""
INSERT INTO pss.event_waiting (tenant, plugin, event_id, event_type, payload, occurred_at)
VALUES (:tenant, :plugin, :event_id, :event_type, :payload, :occurred_at) ON CONFLICT DO NOTHING
""")
# Who waits, by leaps through the primary key: it costs as much as there are waiting plugins, not
# as there are waiting events.
_PAIRS = text("""
WITH RECURSIVE pair AS (
  (SELECT tenant, plugin FROM pss.event_waiting ORDER BY tenant, plugin LIMIT 1)
  UNION ALL
  SELECT further.tenant, further.plugin FROM pair, LATERAL (
    SELECT w.tenant, w.plugin FROM pss.event_waiting w
    WHERE (w.tenant, w.plugin) > (pair.tenant, pair.plugin)
    ORDER BY w.tenant, w.plugin LIMIT 1) further
)
SELECT tenant, plugin FROM pair
""")
# In the order in which they occurred: their ids begin with the time.
_BACK = text(f"""
WITH next AS (
  SELECT event_id FROM pss.event_waiting WHERE tenant = :tenant AND plugin = :plugin
  ORDER BY event_id LIMIT {_AT_ONCE} FOR UPDATE SKIP LOCKED
), back AS (
  DELETE FROM pss.event_waiting w USING next
  WHERE w.tenant = :tenant AND w.plugin = :plugin AND w.event_id = next.event_id
  RETURNING w.event_id, w.payload
)
INSERT INTO pss.outbox (queue, payload, headers)
SELECT '{OUTBOX_QUEUE}', payload, '{{"content-type": "application/json"}}'::jsonb
FROM back ORDER BY event_id
""")  # noqa: S608 - the queue's name and the number are ours


def absent_plugins(installation: Installation, envelope: Envelope) -> list[str]:
    """Plugins of the tenant that can't be asked here and now, and may want the event.

    Where a plugin is failed, or not installed here, its newer code may handle what the one that
    is known here does not.
    """
    try:
        tenant = installation.directory.by_code(envelope.tenant)
    except TenantUnknown:
        return []
    installed = installation.registry.plugins
    consumers = {one.plugin for one in installation.registry.handlers(envelope.type)}
    return [
        name
        for name, one in tenant.plugins.items()
        if name != KERNEL
        and (
            one.state == "failed"
            or (one.state in {"quarantined", "enabling"} and name in consumers)
            or (one.state not in {"disabling", "disabled"} and name not in installed)
        )
    ]


async def set_aside(
    installation: Installation, tenant: Tenant, envelope: Envelope, plugins: Iterable[str]
) -> None:
    """Keep the event for these plugins, whose turn comes later."""
    payload = msgspec.json.encode(envelope)
    rows = [
        {
            "tenant": tenant.code,
            "plugin": plugin,
            "event_id": envelope.id,
            "event_type": envelope.type,
            "payload": payload,
            "occurred_at": envelope.occurred_at,
        }
        for plugin in plugins
    ]
    if not rows:
        return
    async with installation.cell(tenant).relay_engine.begin() as connection:
        await connection.execute(_KEEP, rows)
    for row in rows:
        _log.info(
            "event_waits",
            tenant=tenant.code,
            plugin=row["plugin"],
            event_type=envelope.type,
            event_id=str(envelope.id),
        )


async def give_back(installation: Installation, cell: str) -> int:
    """Put what waits for plugins that serve again back into the outbox; how many events."""
    total = 0
    engine = installation.cells[cell].relay_engine
    async with engine.connect() as connection:
        pairs = (await connection.execute(_PAIRS)).all()
    for code, plugin in pairs:
        while _serves_again(installation, code, plugin):
            async with engine.begin() as connection:
                given = await connection.execute(_BACK, {"tenant": code, "plugin": plugin})
            total += given.rowcount
            if given.rowcount < _AT_ONCE:
                break
    if total:
        installation.wake_relay(cell)
    return total


def _serves_again(installation: Installation, code: str, plugin: str) -> bool:
    try:
        tenant = installation.directory.by_code(code)
    except TenantUnknown:
        return False
    state = tenant.plugins.get(plugin)
    if state is None or tenant.waits(plugin):
        return False
    # One that was disabled meanwhile is still told what it should know from before.
    return plugin in installation.registry.plugins or state.state == "disabled"
