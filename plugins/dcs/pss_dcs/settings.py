from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["Settings"]


class Settings(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An airline's check-in window and bag tag range."""

    accounting_code: Annotated[str, Meta(pattern=r"^[0-9]{3}$")] = "000"
    """The airline's 3-digit accounting code, in bag tags and barcodes."""

    check_in_opens_hours: Annotated[int, Meta(ge=1, le=720)] = 48
    """Hours before the first departure of a slice when its check-in opens."""

    check_in_closes_minutes: Annotated[int, Meta(ge=0, le=1440)] = 45
    """Minutes before the first departure of a slice when its check-in closes."""

    first_bag_tag_serial: Annotated[int, Meta(ge=0, le=999_999)] = 1
    """The first 6-digit bag tag serial to issue."""

    last_bag_tag_serial: Annotated[int, Meta(ge=0, le=999_999)] = 999_999
    """The last bag tag serial to issue; further bags are refused (bag-tags-exhausted)."""

    maximum_bags: Annotated[int, Meta(ge=0, le=99)] = 10
    """The most bags that one passenger may check in."""

    seat_price_minor: Annotated[int, Meta(ge=0)] = 0
    """Price of a seat chosen before check-in on fares whose seats are paid, in minor units."""
