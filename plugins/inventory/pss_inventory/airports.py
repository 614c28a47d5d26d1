"""Where airports are, from the `airportsdata` package (loaded once, when first asked for)."""

from functools import lru_cache
from zoneinfo import ZoneInfo

import airportsdata

from .contracts import Airport

__all__ = ["find_airport", "zone"]


@lru_cache(maxsize=1)
def _by_iata_code() -> dict[str, airportsdata.Airport]:
    return airportsdata.load("IATA")


@lru_cache(maxsize=4096)
def find_airport(code: str) -> Airport | None:
    """Find the airport with that IATA code, or None."""
    entry = _by_iata_code().get(code)
    if entry is None:
        return None
    return Airport(
        code=code,
        name=entry["name"],
        city=entry["city"],
        country=entry["country"],
        time_zone=entry["tz"],
    )


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Give the IANA time zone of that name."""
    return ZoneInfo(name)
