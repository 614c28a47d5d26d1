"""What ``pss account`` and ``pss operator`` do, and how they tell it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from pss_kernel.cli._context import print_json, print_table, with_installation
from pss_kernel.config import IDENTITY
from pss_kernel.errors import Conflict, Invalid, NotFound
from pss_kernel.identity.accounts import changes
from pss_kernel.identity.accounts.letters import link_to
from pss_kernel.identity.accounts.links import Purpose, make_link
from pss_kernel.identity.accounts.store import (
    Account,
    account_by_email,
    account_of,
    accounts_page,
)
from pss_kernel.identity.accounts.views import Attributes, Name, account_view
from pss_kernel.identity.factors.reset import FactorsReset, reset_factors
from pss_kernel.installation import Installation
from pss_kernel.persistence import UnitOfWork
from pss_kernel.tenancy import Tenant
from pss_kernel.validation import explain

__all__ = [
    "Invited",
    "PrintLink",
    "Reason",
    "State",
    "WhichTenant",
    "run_change",
    "run_disable",
    "run_invite",
    "run_list",
    "run_reset",
    "run_reset_factors",
    "run_roles",
    "run_show",
]

PrintLink = Annotated[
    bool,
    typer.Option("--print-link", help="Print the link and send no mail: give it to them yourself."),
]
State = Annotated[
    Literal["invited", "active", "disabled"] | None, typer.Option(help="Only those in this state.")
]
Reason = Annotated[str, typer.Option(help="Why; stands in the audit trail.")]
WhichTenant = Callable[[Installation], Awaitable[Tenant]]
Change = Callable[[UnitOfWork, str], Awaitable[Account]]

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Invited:
    """Who is invited, as it was typed."""

    email: str
    name: str
    roles: list[str]
    attributes: list[str]
    print_link: bool


def run_invite(which: WhichTenant, invited: Invited, *, data_dir: Path | None, json: bool) -> None:
    """Invite somebody, or once more who has not accepted yet."""
    attributes = _attributes(invited.attributes)
    if explain(invited.name, Name):
        raise Invalid("A name has 1 to 100 characters, in one line.", code="invalid-name")

    async def work(installation: Installation) -> tuple[Account, str | None]:
        if not invited.print_link:
            installation.mailer.refuse_unconfigured()
        tenant = await which(installation)
        async with installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            known = await account_by_email(uow, invited.email)
            if known is not None and known.state == "invited":
                account = await changes.invite_again(
                    uow, known.account_id, by_mail=not invited.print_link
                )
            else:
                account = await changes.invite(
                    uow,
                    email=invited.email,
                    name=invited.name,
                    roles=invited.roles,
                    attributes=attributes,
                    by_mail=not invited.print_link,
                )
            return account, await _link(uow, account, "invitation", wanted=invited.print_link)

    account, link = with_installation(work, data_dir)
    _tell_link(account, link, "The invitation", json=json)


def run_reset(
    which: WhichTenant, who: str, *, print_link: bool, data_dir: Path | None, json: bool
) -> None:
    """Send a link for a new password, or print it."""

    async def work(installation: Installation) -> tuple[Account, str | None]:
        if not print_link:
            installation.mailer.refuse_unconfigured()
        tenant = await which(installation)
        async with installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            account = await _found(uow, who)
            if not await changes.request_reset(uow, account, by_mail=not print_link):
                raise Conflict(
                    "The account is not in use, or has no password.",
                    code="no-password",
                    mend="Invite somebody once more with 'pss account invite'.",
                )
            return account, await _link(uow, account, "reset", wanted=print_link)

    account, link = with_installation(work, data_dir)
    _tell_link(account, link, "The link for a new password", json=json)


def run_list(which: WhichTenant, state: str | None, *, data_dir: Path | None, json: bool) -> None:
    """All accounts."""

    async def work(installation: Installation) -> list[Account]:
        tenant = await which(installation)
        found: list[Account] = []
        async with installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            while True:
                after = found[-1].account_id if found else None
                page = await accounts_page(uow, state=state, after=after, limit=_AT_ONCE)
                found += page
                if len(page) < _AT_ONCE:
                    return found

    accounts = with_installation(work, data_dir)
    if json:
        print_json({"data": [account_view(one) for one in accounts]})
        return
    print_table(
        ["id", "email", "name", "kind", "state", "roles"],
        [
            [one.account_id, one.email, one.name, one.kind, one.state, ", ".join(one.roles)]
            for one in accounts
        ],
    )


def run_show(which: WhichTenant, who: str, *, data_dir: Path | None, json: bool) -> None:
    """One account."""

    async def look(uow: UnitOfWork, account_id: str) -> Account:
        return await account_of(uow, account_id)

    run_change(which, who, look, data_dir=data_dir, json=json)


def run_disable(
    which: WhichTenant, who: str, reason: str, *, data_dir: Path | None, json: bool
) -> None:
    """Disable an account."""

    async def disable(uow: UnitOfWork, account_id: str) -> Account:
        return await changes.disable(uow, account_id, reason=reason)

    run_change(which, who, disable, data_dir=data_dir, json=json)


def run_reset_factors(
    which: WhichTenant, who: str, reason: str, *, data_dir: Path | None, json: bool
) -> None:
    """Take somebody's second factors away."""

    async def work(installation: Installation) -> FactorsReset:
        tenant = await which(installation)
        async with installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            return await reset_factors(uow, (await _found(uow, who)).account_id, reason=reason)

    done = with_installation(work, data_dir)
    if json:
        print_json(done)
        return
    sys.stdout.write(
        f"Taken away from {done.account_id}: authenticator apps ({done.totp}), passkeys "
        f"({done.passkeys}) and all recovery codes. Sessions ended: {done.sessions_ended}.\n"
    )


def run_roles(
    which: WhichTenant,
    who: str,
    roles: list[str],
    *,
    none: bool,
    data_dir: Path | None,
    json: bool,
) -> None:
    """Give an account these roles."""
    if none == bool(roles):
        raise Invalid("Give the roles with --role, or --none.", code="which-roles")

    async def assign(uow: UnitOfWork, account_id: str) -> Account:
        return await changes.set_roles(uow, account_id, roles)

    run_change(which, who, assign, data_dir=data_dir, json=json)


def run_change(
    which: WhichTenant, who: str, change: Change, *, data_dir: Path | None, json: bool
) -> None:
    """Change one account, and show it as it is then."""

    async def work(installation: Installation) -> Account:
        tenant = await which(installation)
        async with installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            return await change(uow, (await _found(uow, who)).account_id)

    account = with_installation(work, data_dir)
    if json:
        print_json(account_view(account))
        return
    facts = msgspec.to_builtins(account_view(account))
    for name, value in facts.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        if isinstance(value, bool):
            shown = "yes" if value else "no"
        if isinstance(value, dict):
            shown = "; ".join(f"{key}={','.join(map(str, one))}" for key, one in value.items())
        sys.stdout.write(f"{name:21}{'' if shown is None else shown}\n")


async def _found(uow: UnitOfWork, who: str) -> Account:
    """By id or address. Raises NotFound."""
    if who.startswith("acc_"):
        return await account_of(uow, who)
    account = await account_by_email(uow, who)
    if account is None:
        raise NotFound(
            f"Nobody has an account with the address {who!r}.", mend="See 'pss account list'."
        )
    return account


async def _link(uow: UnitOfWork, account: Account, purpose: Purpose, *, wanted: bool) -> str | None:
    if not wanted:
        return None
    token = await make_link(uow, account, purpose, account.email)
    return link_to(uow.installation, uow.tenant, purpose, token)


def _tell_link(account: Account, link: str | None, what: str, *, json: bool) -> None:
    if json:
        print_json({"account": account_view(account), "link": link})
    elif link is not None:
        sys.stdout.write(f"{link}\n")
        sys.stderr.write(
            f"{what} for {account.email}: it can be used once; whoever has it gets in.\n"
        )
    else:
        sys.stdout.write(f"{what} to {account.email} is sent by the running application.\n")


def _attributes(typed: list[str]) -> dict[str, Any]:
    """``station=VIE``, several times. Raises Invalid."""
    found: dict[str, list[str]] = {}
    for one in typed:
        name, _, value = one.partition("=")
        found.setdefault(name, []).append(value)
    if explain(found, Attributes):
        raise Invalid(
            "Attributes are not valid.",
            code="invalid-attributes",
            mend="Each reads like station=VIE: a name of a-z, 0-9 and '_', and a short text.",
        )
    return found
