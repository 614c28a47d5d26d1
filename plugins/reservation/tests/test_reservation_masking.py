"""Personal facts of passengers: whole for staff, masked for whoever knows reference and name."""

from typing import Any

import pytest

from pss_reservation.masking import _address, _end

Fixture = Any

PRIVATE = {
    "born_on": "1980-05-17",
    "email": "ada.keller@example.org",
    "phone": "+43 1 2345678",
    "documents": [{"type": "passport", "number": "P1234567", "issuing_country": "AT"}],
}


async def test_guests_see_masked_facts(airline: Fixture, accept: Fixture, http: Fixture) -> None:
    """Every answer with an order hides them from guests, and staff read them as they were sent."""
    guest = await http(airline.tenant)
    body = accept(airline.offer("adult"))
    body["passengers"] = [body["passengers"][0] | PRIVATE]
    made = await guest.post("/v1/orders", json=body, headers={"Idempotency-Key": "k1"})
    order = made.json()
    known = {"booking_reference": order["booking_reference"], "family_name": "Mueller Boehm"}
    by_reference = await guest.get("/v1/orders", params=known)
    by_id = await guest.get(f"/v1/orders/{order['id']}", params=known)
    for answer in (made, by_reference, by_id):
        (passenger,) = answer.json()["passengers"]
        assert (None, "a***@example.org", "***678") == tuple(
            passenger[name] for name in ("born_on", "email", "phone")
        )
        assert ["***567"] == [one["number"] for one in passenger["documents"]]
        for secret in ("1980", "ada.keller", "2345", "P1234"):
            assert secret not in answer.text
    staff = await http(airline.tenant, ["reservation:read"])
    (passenger,) = (await staff.get(f"/v1/orders/{order['id']}")).json()["passengers"]
    assert PRIVATE["email"] == passenger["email"]
    assert PRIVATE["born_on"] == passenger["born_on"]
    assert PRIVATE["phone"] == passenger["phone"]
    assert "P1234567" == passenger["documents"][0]["number"]


@pytest.mark.parametrize(("whole", "shown"), [("", "***"), ("123", "***"), ("1234", "***234")])
def test_short_numbers(whole: str, shown: str) -> None:
    """What has three characters or fewer is not shown at all."""
    assert shown == _end(whole)


@pytest.mark.parametrize(
    ("whole", "shown"), [("a@b.example", "a***@b.example"), ("", "***@"), ("odd", "***@odd")]
)
def test_addresses(whole: str, shown: str) -> None:
    """The domain stays, and one letter of the name."""
    assert shown == _address(whole)
