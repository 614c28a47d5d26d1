"""Accounts as the interface takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from pss_kernel.identity.accounts.addresses import LONGEST_ADDRESS
from pss_kernel.identity.accounts.store import Account

__all__ = [
    "AccountChange",
    "AccountView",
    "Attributes",
    "Email",
    "LinkToken",
    "Name",
    "NewAccount",
    "Password",
    "Received",
    "RoleNames",
    "account_view",
]

Email = Annotated[str, msgspec.Meta(min_length=3, max_length=LONGEST_ADDRESS)]
Name = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+\Z"),
]
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
"""Longer ones than are allowed are told so in words, up to here."""
LinkToken = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
RoleNames = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=41)]], msgspec.Meta(max_length=20)
]
Attributes = Annotated[
    dict[
        Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,40}\Z")],
        Annotated[
            list[Annotated[str, msgspec.Meta(min_length=1, max_length=64)]],
            msgspec.Meta(max_length=50),
        ],
    ],
    msgspec.Meta(max_length=20),
]
"""Facts that data rules look at: they travel in every token, so they are few and short."""


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who is invited."""

    email: Email
    name: Name
    roles: RoleNames = []
    attributes: Attributes = {}


class AccountChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be different; what is left out stays."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    attributes: Attributes | msgspec.UnsetType = msgspec.UNSET
    """All of them at once."""
    state: Literal["active", "disabled"] | msgspec.UnsetType = msgspec.UNSET


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account; nothing of its password."""

    id: str
    email: str
    name: str
    kind: Literal["staff", "passenger"]
    state: Literal["invited", "active", "disabled"]
    roles: list[str]
    attributes: dict[str, Any]
    has_password: bool
    failed_attempts: int
    refused_attempts: int
    locked_until: datetime | None
    new_email: str | None
    email_verified_at: datetime | None
    password_changed_at: datetime | None
    signed_in_at: datetime | None
    created_at: datetime
    created_by: str


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """It was received; whether anything comes of it is not said."""

    status: Literal["received"] = "received"


def account_view(account: Account) -> AccountView:
    """As it is shown."""
    facts = {
        name: getattr(account, name)
        for name in AccountView.__struct_fields__
        if name not in {"id", "roles", "attributes"}
    }
    return AccountView(
        id=account.account_id,
        roles=list(account.roles),
        attributes=dict(account.attributes),
        **facts,
    )
