"""Managing the accounts of a tenant."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar.params import QueryParameter

from pss_kernel.answers import Page
from pss_kernel.errors import Forbidden
from pss_kernel.identity import plugin
from pss_kernel.identity.accounts import changes
from pss_kernel.identity.accounts.store import account_of, accounts_page
from pss_kernel.identity.accounts.views import (
    AccountChange,
    AccountView,
    NewAccount,
    RoleNames,
    account_view,
)
from pss_kernel.identity.factors.step_up import require_step_up
from pss_kernel.ids import check_id
from pss_kernel.persistence import UnitOfWork

__all__ = [
    "assign_roles",
    "change_account",
    "invite_account",
    "list_accounts",
    "repeat_invitation",
    "show_account",
    "unlock_account",
]

_ASSIGN = "identity:roles-assign"
_State = Annotated[
    Literal["invited", "active", "disabled"] | None,
    QueryParameter(name="state", description="Only those in this state."),
]
_Kind = Annotated[
    Literal["staff", "passenger"] | None, QueryParameter(description="Only those of this kind.")
]


class RolesOfAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All roles that somebody shall have."""

    roles: RoleNames


@plugin.post("/accounts", permission="identity:accounts-manage")
async def invite_account(uow: UnitOfWork, data: NewAccount) -> AccountView:
    """Invite somebody: they get a mail with a link, and choose their password.

    With roles it needs ``identity:roles-assign`` too. Nobody gives roles that may more than they
    may themselves.
    """
    uow.installation.mailer.refuse_unconfigured()
    if data.roles:
        _refuse_to_assign(uow)
    account = await changes.invite(
        uow, email=data.email, name=data.name, roles=data.roles, attributes=data.attributes
    )
    return account_view(account)


@plugin.get("/accounts", permission="identity:accounts-read")
async def list_accounts(
    uow: UnitOfWork,
    having: _State = None,
    kind: _Kind = None,
    cursor: str | None = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
) -> Page[AccountView]:
    """The accounts of the tenant, the oldest first."""
    after = None if cursor is None else check_id("acc", cursor)
    found = await accounts_page(uow, state=having, kind=kind, after=after, limit=limit + 1)
    page = [account_view(one) for one in found[:limit]]
    return Page(data=page, next_cursor=page[-1].id if len(found) > limit else None)


@plugin.get("/accounts/{account_id:str}", permission="identity:accounts-read")
async def show_account(uow: UnitOfWork, account_id: str) -> AccountView:
    """One account."""
    return account_view(await account_of(uow, check_id("acc", account_id)))


@plugin.patch("/accounts/{account_id:str}", permission="identity:accounts-manage")
async def change_account(uow: UnitOfWork, account_id: str, data: AccountChange) -> AccountView:
    """Change the name or the attributes, disable or enable.

    To disable ends all sessions within a second. Nobody changes the account of somebody who may
    more than they may themselves.
    """
    account_id = check_id("acc", account_id)
    if data.name is not msgspec.UNSET or data.attributes is not msgspec.UNSET:
        await changes.set_facts(
            uow,
            account_id,
            name=None if data.name is msgspec.UNSET else data.name,
            attributes=None if data.attributes is msgspec.UNSET else data.attributes,
        )
    if data.state == "disabled":
        await changes.disable(uow, account_id)
    elif data.state == "active":
        await changes.enable(uow, account_id)
    return account_view(await account_of(uow, account_id))


@plugin.put("/accounts/{account_id:str}/roles", permission=_ASSIGN)
async def assign_roles(uow: UnitOfWork, account_id: str, data: RolesOfAccount) -> AccountView:
    """Give somebody these roles and no others; their tokens are fetched anew within a second."""
    return account_view(await changes.set_roles(uow, check_id("acc", account_id), data.roles))


@plugin.post(
    "/accounts/{account_id:str}/invitations", permission="identity:accounts-manage", limit="mail"
)
async def repeat_invitation(uow: UnitOfWork, account_id: str) -> AccountView:
    """Send the invitation once more; the earlier link ends."""
    uow.installation.mailer.refuse_unconfigured()
    return account_view(await changes.invite_again(uow, check_id("acc", account_id)))


@plugin.post("/accounts/{account_id:str}/unlock", permission="identity:accounts-manage", status=200)
async def unlock_account(uow: UnitOfWork, account_id: str) -> AccountView:
    """Let somebody try again who had too many wrong passwords."""
    return account_view(await changes.unlock(uow, check_id("acc", account_id)))


def _refuse_to_assign(uow: UnitOfWork) -> None:
    """Raises Forbidden for who may invite people, but not with roles, or not just now."""
    if not uow.actor.may(_ASSIGN):
        raise Forbidden(
            f"To invite somebody with roles needs the permission {_ASSIGN!r}.",
            code="missing-permission",
        )
    require_step_up(uow)
