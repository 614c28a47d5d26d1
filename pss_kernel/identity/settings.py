"""How a tenant wants its people to sign in."""

from typing import Annotated

import msgspec

__all__ = ["IdentitySettings"]

RoleName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}\Z")]
Domain = Annotated[
    str,
    msgspec.Meta(
        max_length=253,
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z",
    ),
]
Origin = Annotated[
    str,
    msgspec.Meta(
        max_length=280, pattern=r"^(https://[a-z0-9.-]+|http://localhost)(:[0-9]{1,5})?\Z"
    ),
]


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the plugin ``identity``."""

    second_factor_roles: Annotated[tuple[RoleName, ...], msgspec.Meta(max_length=100)] = (
        "super_admin",
        "admin",
    )
    """Roles whose people may do nothing without a second factor, but enrol one."""
    step_up_minutes: Annotated[int, msgspec.Meta(ge=1, le=60)] = 10
    """For how long a second factor that was given allows what needs a fresh one."""
    passkey_domain: Domain | None = None
    """What passkeys are bound to (the relying party id): the domain of the pages where people
    sign in, or one above. None: the first of the tenant's own domains, else its host name here.
    Passkeys that were made for another one stop working."""
    passkey_origins: Annotated[tuple[Origin, ...], msgspec.Meta(max_length=20)] = ()
    """The addresses of those pages, exactly: ``https://staff.example.com``. Empty: the
    ``passkey_domain`` with ``https://``."""
