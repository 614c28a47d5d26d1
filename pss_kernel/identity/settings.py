"""How a tenant wants its people to sign in."""

import msgspec

__all__ = ["IdentitySettings"]


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the plugin ``identity``."""
