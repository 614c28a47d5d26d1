"""The tenant's keys over HTTP."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain
from typing import Annotated, Any

import msgspec

from pss_kernel.answers import Page
from pss_kernel.api_versions import NEWEST
from pss_kernel.auth import KeyMode
from pss_kernel.identity import plugin
from pss_kernel.identity.api_keys import rules, store
from pss_kernel.identity.api_keys.making import audited, make_key, rotate_key
from pss_kernel.identity.api_keys.reach import (
    bare_id,
    changing_key,
    find_holder,
    holder_for,
    unit_for,
)
from pss_kernel.identity.api_keys.resources import (
    ApiKeyChange,
    ApiKeyFacts,
    MadeApiKey,
    NewApiKey,
    Rotation,
    facts_of,
    made_of,
    public_id,
)
from pss_kernel.identity.audit.writing import differences
from pss_kernel.persistence import UnitOfWork, Work

__all__ = [
    "change_api_key",
    "create_api_key",
    "list_api_keys",
    "revoke_api_key",
    "rotate_api_key",
    "show_api_key",
]

Limit = Annotated[int, msgspec.Meta(ge=1, le=100)]


@plugin.post("/api-keys", permission="identity:keys-manage", confidential=True)
async def create_api_key(work: Work, data: NewApiKey) -> MadeApiKey:
    """Make a key; the answer shows it, this once.

    Every process knows it within a second. It may not have more scopes than you (`403
    scopes-beyond-own`), nor those that you have within limits only. An `Idempotency-Key` does
    nothing here, as the answer is not kept: after a lost one, look for the key by its name and
    revoke it.
    """
    registry, tenant = work.installation.registry, holder_for(work, data.mode)
    async with unit_for(work, tenant) as uow:
        rules.refuse(
            chain(
                rules.scope_errors(registry, data.scopes),
                rules.network_errors(data.networks),
                rules.time_errors(data.expires_at, await uow.now()),
                rules.version_errors(data.api_version),
            )
        )
        rules.refuse_more_than_own(registry, tenant, work.actor, data.scopes)
        row, text = await make_key(
            uow.hot,
            tenant.code,
            tenant.mode,
            name=data.name,
            scopes=data.scopes,
            expires_at=data.expires_at,
            networks=rules.networks_of(data.networks),
            api_version=data.api_version or NEWEST,
            created_by=work.actor.label,
        )
        uow.audit("api-key.created", f"key:{row['key_id']}", after=audited(row))
    await _told(work, uow, "api-key.created", row["key_id"], after=audited(row))
    return made_of(row, text)


@plugin.get("/api-keys", permission="identity:keys-read")
async def list_api_keys(
    work: Work, mode: KeyMode | None = None, cursor: str | None = None, limit: Limit = 50
) -> Page[ApiKeyFacts]:
    """The keys, oldest first, with their last use and without their secrets.

    Those of the data that you ask about; with `mode=test`, those of the test data.
    """
    tenant = holder_for(work, mode)
    after = bare_id(cursor) if cursor is not None else None
    async with unit_for(work, tenant) as uow:
        rows = await store.keys_of(uow.hot, tenant.code, after=after, limit=limit + 1)
    shown = rows[:limit]
    more = public_id(shown[-1]["key_id"]) if len(rows) > limit else None
    return Page([facts_of(row) for row in shown], more)


@plugin.get("/api-keys/{key_id:str}", permission="identity:keys-read")
async def show_api_key(work: Work, key_id: str) -> ApiKeyFacts:
    """One key, also a revoked one."""
    bare = bare_id(key_id)
    tenant = await find_holder(work, bare)
    async with unit_for(work, tenant) as uow:
        return facts_of(await store.show_key(uow.hot, tenant.code, bare))


@plugin.patch("/api-keys/{key_id:str}", permission="identity:keys-manage")
async def change_api_key(work: Work, key_id: str, data: ApiKeyChange) -> ApiKeyFacts:
    """Change what is named of a key that is in use; every process knows it within a second."""
    registry = work.installation.registry
    given = {
        name: value
        for name, value in msgspec.structs.asdict(data).items()
        if value is not msgspec.UNSET
    }
    async with changing_key(work, key_id) as (uow, row):
        rules.refuse(
            chain(
                rules.scope_errors(registry, given.get("scopes", ())),
                rules.network_errors(given.get("networks", ())),
                rules.time_errors(given.get("expires_at"), await uow.now()),
                rules.version_errors(given.get("api_version")),
            )
        )
        if "scopes" in given:
            rules.refuse_more_than_own(registry, uow.tenant, work.actor, given["scopes"])
        if "networks" in given:
            given["networks"] = rules.networks_of(given["networks"])
        names = ("name", "scopes", "expires_at", "networks", "api_version")
        await store.change_key(uow.hot, row, **({one: row[one] for one in names} | given))
        changed = await store.show_key(uow.hot, uow.tenant.code, row["key_id"])
        before, after = differences(audited(row), audited(changed))
        uow.audit("api-key.changed", f"key:{row['key_id']}", before=before, after=after)
    await _told(work, uow, "api-key.changed", row["key_id"], before=before, after=after)
    return facts_of(changed)


@plugin.delete("/api-keys/{key_id:str}", permission="identity:keys-manage")
async def revoke_api_key(work: Work, key_id: str) -> ApiKeyFacts:
    """End a key; every process refuses it within a second. Again, nothing changes."""
    async with changing_key(work, key_id) as (uow, row):
        await store.revoke_key(uow.hot, row)
        ended = await store.show_key(uow.hot, uow.tenant.code, row["key_id"])
        if row["state"] != "revoked":
            uow.audit("api-key.revoked", f"key:{row['key_id']}", before=audited(row))
    if row["state"] != "revoked":
        await _told(work, uow, "api-key.revoked", row["key_id"], before=audited(row))
    return facts_of(ended)


@plugin.post("/api-keys/{key_id:str}/rotate", permission="identity:keys-manage", confidential=True)
async def rotate_api_key(work: Work, key_id: str, data: Rotation) -> MadeApiKey:
    """Make a key with the same facts; the old one expires after the overlap.

    A key that was made for a time is replaced by one for as long a time. Both are shown as a pair
    (`replaces`, `replaced_by`). Refused for a key that has ended (`key-ended`), was replaced
    before (`key-rotated`), or may do more than you.
    """
    async with changing_key(work, key_id) as (uow, old):
        registry = work.installation.registry
        rules.refuse_more_than_own(registry, uow.tenant, work.actor, old["scopes"])
        row, text = await rotate_key(
            uow.hot,
            old,
            timedelta(hours=data.overlap_hours),
            await uow.now(),
            work.actor.label,
        )
        after = audited(row) | {"overlap_hours": data.overlap_hours}
        uow.audit("api-key.rotated", f"key:{row['key_id']}", before=audited(old), after=after)
    await _told(work, uow, "api-key.rotated", row["key_id"], before=audited(old), after=after)
    return made_of(row, text)


async def _told(work: Work, uow: UnitOfWork, action: str, key_id: str, **facts: Any) -> None:
    """Know it here at once; and tell the tenant's own trail what was done with its test keys."""
    if uow.tenant.code != work.tenant.code:
        async with work.begin() as own:
            own.audit(action, f"key:{key_id}", **facts)
    await work.installation.directory.refresh()
