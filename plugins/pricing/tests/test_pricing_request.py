"""Every wrong field of a request is named."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pss_pricing.contracts import OfferRequestBody
from pss_pricing.domain.request import check_airports, check_request


def body(
    slices: Sequence[tuple[str, str, str]] = (("VIE", "LHR", "2026-11-23"),),
    passengers: Sequence[str] = ("adult",),
    **rest: Any,
) -> OfferRequestBody:
    return msgspec.convert(
        {
            "slices": [
                dict(zip(("origin", "destination", "departure_date"), one, strict=True))
                for one in slices
            ],
            "passengers": [{"type": kind} for kind in passengers],
            **rest,
        },
        OfferRequestBody,
    )


def refusals(request: OfferRequestBody) -> set[tuple[str, str]]:
    return {(error.pointer, error.code) for error in check_request(request)[1]}


def test_sound_request() -> None:
    """Airport codes may be written small."""
    wanted, errors = check_request(body([("vie", "lhr", "2026-11-23")], cabin="business"))
    assert errors == []
    assert [(one.origin, one.destination) for one in wanted] == [("VIE", "LHR")]


def test_everything_at_once() -> None:
    """All that is wrong is in one answer, each with its pointer."""
    request = body(
        [("VIE", "VIE", "2026-11-23"), ("V1E", "", "23.11.2026"), ("VIE", "LHR", "2026-11-22")],
        ["child", "infant", "dog", ""],
        cabin="attic",
    )
    assert {
        ("/slices/0/destination", "same-airport"),
        ("/slices/1/origin", "unknown-airport"),
        ("/slices/1/destination", "required"),
        ("/slices/1/departure_date", "invalid-date"),
        ("/slices/2/departure_date", "out-of-order"),
        ("/passengers/2/type", "unknown-passenger-type"),
        ("/passengers/3/type", "required"),
        ("/passengers", "adult-required"),
        ("/passengers", "too-many-infants"),
        ("/cabin", "unknown-cabin"),
    } == refusals(request)


@pytest.mark.parametrize(
    ("slices", "passengers", "pointer"),
    [(0, 1, "/slices"), (7, 1, "/slices"), (1, 0, "/passengers"), (1, 10, "/passengers")],
)
def test_counts(slices: int, passengers: int, pointer: str) -> None:
    """One to six slices, one to nine passengers."""
    request = body([("VIE", "LHR", "2026-11-23")] * slices, ["adult"] * passengers)
    assert {(pointer, "wrong-count")} == refusals(request)


def test_empty_body() -> None:
    """An empty body is refused for both of its missing parts."""
    assert {("/slices", "wrong-count"), ("/passengers", "wrong-count")} == refusals(
        OfferRequestBody()
    )


def test_airports_and_past_dates() -> None:
    """A date is past when it is over at the origin; an airport without a zone is not sold."""
    wanted, _ = check_request(body([("NRT", "XXX", "2026-11-23"), ("JFK", "NRT", "2026-11-23")]))
    now = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)  # already the 24th in Tokyo
    zones = {"NRT": "Asia/Tokyo", "JFK": "America/New_York", "XXX": None}
    assert [(error.pointer, error.code) for error in check_airports(wanted, zones, now)] == [
        ("/slices/0/destination", "unknown-airport"),
        ("/slices/0/departure_date", "date-in-past"),
    ]


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_any_text(origin: str, destination: str, day: str) -> None:
    """Any text is read or refused, never a crash."""
    wanted, errors = check_request(body([(origin, destination, day)]))
    assert bool(errors) == (
        not (wanted[0].origin and wanted[0].destination and wanted[0].departure_date)
        or wanted[0].origin == wanted[0].destination
    )


@pytest.mark.parametrize("more", [{"slices": [{}] * 21}, {"passengers": [{}] * 21}])
def test_lists_have_an_end(more: dict[str, Any]) -> None:
    """Far more than can be asked for is not even read."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(more, OfferRequestBody)
