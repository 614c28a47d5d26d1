from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["Settings"]


class Settings(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An airline's stock of ticket numbers.

    `accounting_code` is the three-digit airline code that IATA assigns ("" = none yet: nothing
    can be issued and paid orders wait in the needs-attention queue). Serials run from
    `first_serial` to `last_serial`, both included, and are used in order.
    """

    accounting_code: Annotated[str, Meta(pattern=r"^([0-9]{3})?$")] = ""
    first_serial: Annotated[int, Meta(ge=0, le=9_999_999_999)] = 2_400_000_001
    last_serial: Annotated[int, Meta(ge=0, le=9_999_999_999)] = 2_499_999_999

    def __post_init__(self) -> None:
        """Refuse a range that has no number."""
        if self.last_serial < self.first_serial:
            raise ValueError("last_serial must not be below first_serial")
