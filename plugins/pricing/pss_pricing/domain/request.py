"""Checking a request for offers: every wrong field with its pointer."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from pss_kernel import FieldError
from pss_pricing.contracts import OfferRequestBody

from .filed import CABINS, PASSENGER_TYPES

__all__ = ["MOST_PASSENGERS", "MOST_SLICES", "WantedSlice", "check_airports", "check_request"]

MOST_SLICES = 6
MOST_PASSENGERS = 9

_AIRPORT = re.compile(r"[A-Z]{3}")


class WantedSlice(Struct, frozen=True):
    """A slice whose text was understood; a wrong airport is "" and a wrong date None."""

    origin: str
    destination: str
    departure_date: date | None


_WEST_OF_ALL = timedelta(hours=12)
"""No place is further behind UTC: a date before that is over everywhere."""


def check_request(body: OfferRequestBody) -> tuple[list[WantedSlice], list[FieldError]]:
    """The slices as far as they can be read, and all that is wrong without asking anyone."""
    errors: list[FieldError] = []
    wanted = [
        _read_slice(body, index, errors) for index in range(min(len(body.slices), MOST_SLICES))
    ]
    if not 1 <= len(body.slices) <= MOST_SLICES:
        detail = f"Ask for 1 to {MOST_SLICES} slices."
        errors.append(FieldError(pointer="/slices", detail=detail, code="wrong-count"))
    _check_order(wanted, errors)
    _check_passengers(body, errors)
    if body.cabin is not None and body.cabin not in CABINS:
        detail = f"Use one of {', '.join(CABINS)}, or leave it out."
        errors.append(FieldError(pointer="/cabin", detail=detail, code="unknown-cabin"))
    return wanted, errors


def check_airports(
    wanted: Sequence[WantedSlice], zones: Mapping[str, str | None], now: datetime
) -> list[FieldError]:
    """Airports outside the network (no zone), and dates that are over at their origin."""
    errors = []
    for index, one in enumerate(wanted):
        for field, code in (("origin", one.origin), ("destination", one.destination)):
            if code and zones.get(code) is None:
                errors.append(
                    FieldError(
                        pointer=f"/slices/{index}/{field}",
                        detail=f"{code} is not an airport this airline sells.",
                        code="unknown-airport",
                    )
                )
        zone = zones.get(one.origin)
        today = (now.astimezone(ZoneInfo(zone)) if zone else now - _WEST_OF_ALL).date()
        if one.departure_date and one.departure_date < today:
            errors.append(
                FieldError(
                    pointer=f"/slices/{index}/departure_date",
                    detail=f"{one.departure_date} is over{f' at {one.origin}' if zone else ''}.",
                    code="date-in-past",
                )
            )
    return errors


def _read_slice(body: OfferRequestBody, index: int, errors: list[FieldError]) -> WantedSlice:
    asked = body.slices[index]
    airports = {}
    for field, value in (("origin", asked.origin), ("destination", asked.destination)):
        code = value.strip().upper()
        airports[field] = code if _AIRPORT.fullmatch(code) else ""
        if not airports[field]:
            errors.append(
                FieldError(
                    pointer=f"/slices/{index}/{field}",
                    detail="Give the three letters of an IATA airport code.",
                    code="required" if not code else "unknown-airport",
                )
            )
    if airports["origin"] and airports["origin"] == airports["destination"]:
        errors.append(
            FieldError(
                pointer=f"/slices/{index}/destination",
                detail="Origin and destination are the same airport.",
                code="same-airport",
            )
        )
    return WantedSlice(
        airports["origin"], airports["destination"], _read_date(asked.departure_date, index, errors)
    )


def _read_date(text: str, index: int, errors: list[FieldError]) -> date | None:
    # fromisoformat alone would also take "20261123" and "2026-W48-1"
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        with suppress(ValueError):
            return date.fromisoformat(text)
    errors.append(
        FieldError(
            pointer=f"/slices/{index}/departure_date",
            detail="Give the local date of departure as YYYY-MM-DD.",
            code="invalid-date" if text else "required",
        )
    )
    return None


def _check_order(wanted: Sequence[WantedSlice], errors: list[FieldError]) -> None:
    latest: date | None = None
    for index, one in enumerate(wanted):
        if one.departure_date is None:
            continue
        if latest is not None and one.departure_date < latest:
            errors.append(
                FieldError(
                    pointer=f"/slices/{index}/departure_date",
                    detail=f"It is before the slice that comes first, on {latest}.",
                    code="out-of-order",
                )
            )
        latest = max(latest or one.departure_date, one.departure_date)


def _check_passengers(body: OfferRequestBody, errors: list[FieldError]) -> None:
    types = [passenger.type for passenger in body.passengers]
    if not 1 <= len(types) <= MOST_PASSENGERS:
        detail = f"Ask for 1 to {MOST_PASSENGERS} passengers."
        errors.append(FieldError(pointer="/passengers", detail=detail, code="wrong-count"))
    for index, kind in enumerate(types[: MOST_PASSENGERS + 1]):
        if kind not in PASSENGER_TYPES:
            errors.append(
                FieldError(
                    pointer=f"/passengers/{index}/type",
                    detail=f"Use one of {', '.join(PASSENGER_TYPES)}.",
                    code="unknown-passenger-type" if kind else "required",
                )
            )
    adults = types.count("adult")
    if types.count("child") and not adults:
        detail = "Children travel with at least one adult."
        errors.append(FieldError(pointer="/passengers", detail=detail, code="adult-required"))
    if types.count("infant") > adults:
        detail = "Each infant needs an adult's lap: there are more infants than adults."
        errors.append(FieldError(pointer="/passengers", detail=detail, code="too-many-infants"))
