from __future__ import annotations

import structlog

from pss_kernel import UnitOfWork
from pss_leaky import plugin
from pss_leaky.contracts import Box, open_box
from pss_leaky.settings import Settings

_log = structlog.get_logger("leaky.more")
_parcels: list[str] = []
_settings: list[Settings] = []
_tokens: list[str] = []
_phones: list[str] = []


def _before(seen: list[str], mine: str) -> str:
    """What was seen before and is not one's own."""
    others = [one for one in seen if one != mine]
    seen.append(mine)
    return others[-1] if others else ""


@plugin.post("/leaks/parcels-deleted", permission="leaky:leak")
async def parcels_deleted(uow: UnitOfWork) -> dict[str, str]:
    """No leak, but it leaves nothing to those that run after it."""
    await uow.hot("DELETE FROM parcel")
    return {}


@plugin.job(every=3600)
async def parcels(uow: UnitOfWork) -> None:
    """A job that remembers what it has seen, where there is something."""
    rows = await uow.hot("SELECT content FROM parcel")
    _parcels.extend(row["content"] for row in rows)
    if rows:
        _log.info("parcels", of_all=_parcels)


@plugin.get("/leaks/settings", permission="leaky:leak")
async def settings(uow: UnitOfWork) -> dict[str, object]:
    """The settings of whoever asked before, by a cache without the tenant in its key."""
    mine = uow.settings(Settings)
    one = next((one for one in reversed(_settings) if one != mine), mine)
    _settings.append(mine)
    return {
        "sender": one.sender,
        "aliases": one.aliases,
        "labels": one.labels,
        "greeting": one.desk.greeting,
    }


@plugin.get("/leaks/token", permission="leaky:leak")
async def token(uow: UnitOfWork) -> dict[str, str]:
    """The same with an opened secret."""
    secret = uow.settings(Settings).token
    return {"token": _before(_tokens, secret.reveal() if secret else "")}


@plugin.get("/leaks/phones", permission="leaky:leak")
async def phones(uow: UnitOfWork) -> dict[str, str]:
    """The same with opened personal data."""
    rows = await uow.hot("SELECT guest_id, phone FROM guest")
    sealed = {row["guest_id"]: {"guest.phone": row["phone"]} for row in rows}
    opened = await uow.unseal(sealed)
    phones = [str(one["guest.phone"]) for one in opened.values()]
    return {"phone": _before(_phones, phones[0] if phones else "")}


@plugin.provides(open_box)
async def provide_open_box(uow: UnitOfWork, box: Box) -> str:
    """A service whose argument can't be made from its type."""
    return str(box)
