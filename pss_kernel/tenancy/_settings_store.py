"""Settings on their way into the ledger, with every secret sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from pss_kernel.identity.audit.writing import audit_as_owner, differences
from pss_kernel.keys._keyring import Keyring, make_key, read_keys
from pss_kernel.keys._secret import Secret
from pss_kernel.plugin import Plugin
from pss_kernel.tenancy._secret_settings import (
    carried_over,
    has_secrets,
    masked,
    seal_settings,
    with_secrets,
)

if TYPE_CHECKING:
    from pss_kernel.keys._data_keys import DataKeys

__all__ = ["audit_settings", "keys_now", "settings_to_store", "stored_settings"]

_STORED = """
SELECT settings::text AS settings FROM pss.tenant_plugin WHERE tenant = $1 AND plugin = $2
"""


async def settings_to_store(
    keyring: Keyring,
    owner: asyncpg.Connection,
    code: str,
    plugin: Plugin,
    given: dict[str, Any],
    *,
    keep: bool = True,
) -> str:
    """JSON for the ledger. Within the tenant's own transaction.

    With ``keep``, secrets that are stored and not mentioned stay. Raises KeyMissing where there is
    a secret to seal and no master key.
    """
    kind = plugin.settings
    if has_secrets(kind):
        stored = await stored_settings(owner, code, plugin.name) or {}
        if keep:
            given = carried_over(stored, given, kind)
        if _to_seal(given, kind):
            keys = await make_key(keyring, owner, code)
            given = seal_settings(given, kind, plugin.name, keys, stored)
    return msgspec.json.encode(given).decode()


async def stored_settings(
    owner: asyncpg.Connection, code: str, plugin: str
) -> dict[str, Any] | None:
    """The settings as the ledger has them now; None where the plugin was never enabled."""
    text = await owner.fetchval(_STORED, code, plugin)
    if text is None:
        return None
    found: dict[str, Any] = msgspec.json.decode(text)
    return found


async def audit_settings(
    owner: asyncpg.Connection, code: str, plugin: str, before: dict[str, Any], after: str
) -> None:
    """Note which settings differ from before, with asterisks for every secret."""
    was, is_now = differences(before, msgspec.json.decode(after))
    if was or is_now:
        await audit_as_owner(
            *(owner, code, "settings.changed", plugin), before=masked(was), after=masked(is_now)
        )


async def keys_now(keyring: Keyring, owner: asyncpg.Connection, code: str) -> DataKeys:
    """The tenant's keys as they are in the database now, opened."""
    return await keyring.opened(code, await read_keys(owner, code))


def _to_seal(given: dict[str, Any], kind: type[msgspec.Struct]) -> bool:
    clear: list[str] = []

    def look(pointer: str, value: Any) -> Any:
        if isinstance(value, str | Secret):
            clear.append(pointer)
        return value

    with_secrets(given, kind, look)
    return bool(clear)
