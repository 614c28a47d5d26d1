from __future__ import annotations

from typing import Any

from pss_guarded import Account, Settings, plugin
from pss_kernel import UnitOfWork


@plugin.get("/guarded/limit", permission="guarded:see")
async def limit(uow: UnitOfWork) -> dict[str, Any]:
    """What needs no secret."""
    return {"limit": uow.settings(Settings).limit}


@plugin.get("/guarded/length", permission="guarded:see")
async def length(uow: UnitOfWork) -> dict[str, int]:
    """What needs one."""
    token = uow.settings(Settings).token
    return {"length": len(token.reveal()) if token else 0}


@plugin.get("/guarded/careless", permission="guarded:see")
async def careless(uow: UnitOfWork) -> dict[str, Any]:
    """Answers with the settings themselves."""
    return {"settings": repr(uow.settings(Settings)), "token": uow.settings(Settings).token}


@plugin.get("/guarded/failing", permission="guarded:see")
async def failing(uow: UnitOfWork) -> dict[str, Any]:
    """Fails with settings and a secret in hand."""
    settings: Settings = uow.settings(Settings)
    account: Account = settings.main
    raise RuntimeError(f"{settings} {account!r} {settings.token}")
