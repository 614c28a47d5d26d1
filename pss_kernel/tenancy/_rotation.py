"""Keys changed for new ones while the system runs: each step can be done again after a kill.

A new data key first becomes the current one, and only when every process has seen that and what had
begun to write has ended is the rest sealed anew. So nothing is written with the old key after the
look that finds nothing left of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from pss_kernel.errors import Conflict
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.keys._data_keys import DataKeys, fresh_key, rewrapped
from pss_kernel.keys._keyring import read_keys
from pss_kernel.keys._secret import MASK
from pss_kernel.tenancy._changing import tenant_transaction, writers_gone
from pss_kernel.tenancy._kept_answers import answers_left, reseal_answers
from pss_kernel.tenancy._origin import Origin, origin
from pss_kernel.tenancy._secret_settings import (
    has_secrets,
    reseal,
    secret_fields,
    with_secrets,
)
from pss_kernel.tenancy._settings_store import keys_now

if TYPE_CHECKING:
    import asyncpg

    from pss_kernel.installation import Installation

__all__ = ["Rotated", "erase_tenant_keys", "rewrap_tenant", "rotate_tenants"]

_BATCH = 500
_ROTATION = "key rotation"
"""The history of settings leaves out what has this source: no value changes."""

Report = Callable[[str, int, int], None]

_RETIRE = "UPDATE pss.tenant_key SET state = 'earlier' WHERE tenant = $1 AND state = 'current'"
_ADD = """
INSERT INTO pss.tenant_key (tenant, number, state, master, wrapped)
VALUES ($1, $2, 'current', $3, $4)
"""
_SETTINGS = "SELECT plugin, settings::text FROM pss.tenant_plugin WHERE tenant = $1"
_RESEALED = """
UPDATE pss.tenant_plugin SET settings = $3::jsonb WHERE tenant = $1 AND plugin = $2
"""
_HISTORY = """
SELECT change_id, setting, before::text AS before, after::text AS after FROM pss.setting_change
WHERE tenant = $1 AND plugin = $2 AND setting = ANY($3)
"""
_MASKED = """
UPDATE pss.setting_change SET before = $3::text::jsonb, after = $4::text::jsonb
WHERE tenant = $1 AND change_id = $2
  AND (before, after) IS DISTINCT FROM ($3::text::jsonb, $4::text::jsonb)
"""
_PEOPLE = """
SELECT subject, wrapped FROM "{schema}".person_key
WHERE data_key <> $1 AND wrapped IS NOT NULL ORDER BY subject LIMIT $2 FOR UPDATE
"""
_REWRAPPED = """
UPDATE "{schema}".person_key k SET data_key = $1, wrapped = g.wrapped
FROM unnest($2::text[], $3::bytea[]) AS g (subject, wrapped) WHERE k.subject = g.subject
"""
_LEFT = """
SELECT count(*) FROM "{schema}".person_key WHERE data_key <> $1 AND wrapped IS NOT NULL
"""
_FORGET = "DELETE FROM pss.tenant_key WHERE tenant = $1 AND state = 'earlier'"
_WRAPPED = """
UPDATE pss.tenant_key SET master = $3, wrapped = $4 WHERE tenant = $1 AND number = $2
"""
_ERASE = """
UPDATE pss.tenant_key SET state = 'erased', wrapped = NULL
WHERE tenant = $1 AND state <> 'erased' RETURNING number
"""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What one tenant's rotation came to."""

    tenant: str
    number: int
    """Of the new data key."""
    resumed: bool
    """A rotation that had been begun before was finished; no further key was made."""
    settings: int
    """Plugins whose secrets were sealed anew."""
    people: int
    """People whose keys were sealed anew."""


async def rotate_tenants(
    installation: Installation, codes: Iterable[str], report: Report
) -> list[Rotated]:
    """Give tenants a new data key and seal everything under it. Run again, it finishes.

    One that has no key yet has nothing to rotate and is left out.
    """
    resumed = {}
    for code in codes:
        begun = await _begin(installation, code)
        if begun is not None:
            resumed[code] = begun
    one_in_each_cell = {installation.directory.by_code(code).cell: code for code in resumed}
    for code in one_in_each_cell.values():
        await writers_gone(installation, code)  # and with its writers those of all its cell
    done = []
    for place, code in enumerate(resumed):
        report("tenants", place, len(resumed))
        done.append(await _finish(installation, code, report, resumed=resumed[code]))
    return done


async def _begin(installation: Installation, code: str) -> bool | None:
    """Make the new key the current one; True where a rotation was under way, None for no key."""
    masters = installation.keyring.masters
    token = origin.set(Origin(origin.get().actor, _ROTATION))
    try:
        async with tenant_transaction(installation, code, leaving=True) as owner:
            keys = await read_keys(owner, code)
            if any(key.state == "earlier" for key in keys):
                return True
            if not any(key.state == "current" for key in keys):
                return None
            number = max(key.number for key in keys) + 1
            made = await asyncio.to_thread(fresh_key, masters, code, number)
            await owner.execute(_RETIRE, code)
            await owner.execute(_ADD, code, made.number, made.master, made.wrapped)
            await audit_as_owner(
                *(owner, code, "keys.rotated", code),
                before={"key": number - 1},
                after={"key": number},
            )
    finally:
        origin.reset(token)
    await installation.directory.refresh()
    return False


async def _finish(
    installation: Installation, code: str, report: Report, *, resumed: bool
) -> Rotated:
    token = origin.set(Origin(origin.get().actor, _ROTATION))
    try:
        settings, keys = await _reseal_settings(installation, code)
        assert keys.current is not None
        number = keys.current.number
        people = 0
        while moved := await _rewrap_people(installation, code, keys, number):
            people += moved
            report(f"people of {code}", people, people + _BATCH)
        await reseal_answers(installation, code, keys, number)
        await _forget(installation, code, number)
    finally:
        origin.reset(token)
    await installation.directory.refresh()
    return Rotated(code, number, resumed, settings, people)


async def _reseal_settings(installation: Installation, code: str) -> tuple[int, DataKeys]:
    plugins = installation.registry.plugins
    count = 0
    async with tenant_transaction(installation, code, leaving=True) as owner:
        keys = await keys_now(installation.keyring, owner, code)
        for row in await owner.fetch(_SETTINGS, code):
            declared = plugins.get(row["plugin"])
            if declared is None:
                if '"$sealed"' in row["settings"]:
                    raise Conflict(
                        f"The plugin {row['plugin']!r} of {code!r} has secrets, and is not "
                        "installed here.",
                        code="plugin-not-installed",
                        mend="Install it and run the same command again.",
                    )
                continue
            if not has_secrets(declared.settings):
                continue
            await _mask_history(owner, code, row["plugin"], declared.settings)
            before: dict[str, Any] = msgspec.json.decode(row["settings"])
            after = reseal(before, declared.settings, row["plugin"], keys)
            if after != before:
                count += 1
                await owner.execute(
                    _RESEALED, code, row["plugin"], msgspec.json.encode(after).decode()
                )
    return count, keys


async def _mask_history(
    owner: asyncpg.Connection, code: str, plugin: str, kind: type[msgspec.Struct]
) -> None:
    """Mask what the history has in clear, from before a setting became a secret."""
    for row in await owner.fetch(_HISTORY, code, plugin, list(secret_fields(kind))):
        known = (row["before"], row["after"])
        safe = [
            None if text is None else _without_secrets(text, row["setting"], kind) for text in known
        ]
        await owner.execute(_MASKED, code, row["change_id"], *safe)


def _without_secrets(text: str, setting: str, kind: type[msgspec.Struct]) -> str:
    settings = {setting: msgspec.json.decode(text)}
    safe = with_secrets(settings, kind, lambda _pointer, _value: MASK)
    return msgspec.json.encode(safe[setting]).decode()


async def _rewrap_people(installation: Installation, code: str, keys: DataKeys, number: int) -> int:
    """One batch, in a transaction of its own; how many there were."""
    tenant = installation.directory.by_code(code)
    async with installation.cell(tenant).owner() as owner, owner.transaction():
        rows = await owner.fetch(_PEOPLE.format(schema=tenant.schema), number, _BATCH)
        if rows:
            places = [("person", row["subject"]) for row in rows]
            sealed = [
                keys.seal(keys.unseal(row["wrapped"], *place), *place)
                for row, place in zip(rows, places, strict=True)
            ]
            await owner.execute(
                _REWRAPPED.format(schema=tenant.schema),
                number,
                [row["subject"] for row in rows],
                sealed,
            )
    return len(rows)


async def _forget(installation: Installation, code: str, number: int) -> None:
    """Remove the earlier keys, now that nothing is sealed with them."""
    tenant = installation.directory.by_code(code)
    async with tenant_transaction(installation, code, leaving=True) as owner:
        people = await owner.fetchval(_LEFT.format(schema=tenant.schema), number)
        if people or await answers_left(owner, tenant, number):
            raise Conflict(
                f"Somebody rotates the keys of {code!r} at the same time.",
                code="concurrent-change",
                mend="Run the same command again.",
                retryable=True,
            )
        await owner.execute(_FORGET, code)


async def rewrap_tenant(installation: Installation, code: str, *, every: bool = False) -> int:
    """Put a tenant's data keys under the current master key; how many were under another."""
    masters = installation.keyring.masters
    count = 0
    async with tenant_transaction(installation, code, leaving=True) as owner:
        for key in await read_keys(owner, code):
            if key.wrapped is None:
                continue
            if every or await asyncio.to_thread(masters.stale, key.master, key.wrapped):
                made = await asyncio.to_thread(rewrapped, masters, code, key)
                await owner.execute(_WRAPPED, code, key.number, made.master, made.wrapped)
                count += 1
        if count:
            await audit_as_owner(
                *(owner, code, "keys.rewrapped", code),
                after={"keys": count, "master": masters.current},
            )
    return count


async def erase_tenant_keys(installation: Installation, code: str) -> int:
    """Erase a tenant's data keys: its secrets and all personal data are unreadable for good."""
    async with tenant_transaction(installation, code, leaving=True) as owner:
        rows = await owner.fetch(_ERASE, code)
        erased = sorted(row["number"] for row in rows)
        if erased:
            await audit_as_owner(owner, code, "keys.erased", code, after={"keys": erased})
    await installation.directory.refresh()
    return len(rows)
