"""A plugin for the kernel's tests: it has secrets, and personal data."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pss_kernel import Permission, Plugin, Secret


class Account(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A secret inside a table."""

    name: str = ""
    password: Secret | None = None


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Secrets in every place that a setting can have."""

    limit: Annotated[int, msgspec.Meta(ge=0, le=100)] = 5
    address: str = "https://there.invalid"
    token: Secret | None = None
    main: Account = Account()
    accounts: dict[str, Account] = msgspec.field(default_factory=dict)
    spare: list[Secret] = msgspec.field(default_factory=list)


plugin = Plugin(
    "guarded",
    version="1.0.0",
    summary="Secrets and visitors",
    settings=Settings,
    permissions=[Permission("guarded:see", "See everything", guest=True)],
    modules=["routes"],
)
