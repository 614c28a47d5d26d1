from msgspec import Struct

__all__ = ["Settings"]


class Settings(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Boarding has nothing to set yet: an empty `[plugins.boarding]` table enables it."""
