"""What an airline may choose about its offers: `[plugins.pricing]` in tenant.toml."""

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["Settings"]


class Settings(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An airline's choices about its offers."""

    offer_minutes: Annotated[int, Meta(ge=1, le=1440)] = 30
    """Minutes an offer can be ordered, by the database's clock."""

    max_offers: Annotated[int, Meta(ge=1, le=250)] = 60
    """Most offers in the answer to one request."""

    max_itineraries_per_slice: Annotated[int, Meta(ge=1, le=60)] = 16
    """Itineraries of one slice that are priced, soonest arrival first, direct flights first."""

    sale_closes_minutes: Annotated[int, Meta(ge=0, le=2880)] = 60
    """Minutes before departure from which a flight is no longer offered."""

    expired_offers_kept_minutes: Annotated[int, Meta(ge=0, le=10080)] = 60
    """Minutes after its expiry that an offer can still be read as expired, or re-priced."""
