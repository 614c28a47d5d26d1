"""Telling a caller what it is known as, and what it may do."""

from contextlib import suppress
from datetime import datetime

import msgspec

from pss_kernel.errors import NotFound
from pss_kernel.identity import plugin
from pss_kernel.identity.accounts.store import account_of
from pss_kernel.identity.roles.explain import permissions_of
from pss_kernel.persistence import UnitOfWork

__all__ = ["Me", "show_me"]


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """The caller; of a guest only ``kind`` says anything."""

    kind: str
    id: str
    tenant: str
    roles: list[str]
    permissions: list[str]
    session: str | None = None
    authenticated_at: datetime | None = None
    methods: list[str] = []
    name: str | None = None
    email: str | None = None


@plugin.get("/me", permission="identity:self", summary="Who one is")
async def show_me(uow: UnitOfWork) -> Me:
    """What the caller is known as here, and the permissions that it has."""
    actor = uow.actor
    account = None
    if actor.kind == "user":
        with suppress(NotFound):  # it may be gone before its last token has expired
            account = await account_of(uow, actor.id)
    return Me(
        kind=actor.kind,
        id=actor.id,
        tenant=uow.tenant.code,
        roles=list(actor.roles),
        permissions=permissions_of(uow.installation.registry, uow.tenant, actor.scopes),
        session=actor.session or None,
        authenticated_at=actor.authenticated_at,
        methods=sorted(actor.methods),
        name=account.name if account else None,
        email=account.email if account else None,
    )
