"""Every way a payment can go, by a guest, against the sandbox card network."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pss_outside.processes import until
from pss_outside.traveller import credentials, fresh_key

pytestmark = [pytest.mark.xdist_group("journeys")]


async def _booked(airline: Any, **more: Any) -> dict[str, Any]:
    offer = await airline.guest.bookable(*airline.market)
    order: dict[str, Any] = await airline.guest.book(offer, **more)
    return order


async def test_hold(airlines: Any) -> None:
    """A guest's order may be held longer than one paid at once, for an hour, and is paid later."""
    for airline in airlines:
        held, quick = await _booked(airline, hold=True), await _booked(airline)
        assert {"held"} == {held["status"], quick["status"]}
        until_when = [datetime.fromisoformat(one["payment_required_by"]) for one in (held, quick)]
        assert until_when[0] > until_when[1] > datetime.now(UTC)
        assert timedelta(minutes=45) < until_when[0] - datetime.now(UTC) <= timedelta(minutes=60)
        assert 201 == (await airline.guest.pay(held)).status_code
        seen = await airline.guest.awaited(held, "ticketed")
        assert seen["payment_required_by"] is None


async def test_declined_then_approved(airlines: Any) -> None:
    """A declined card leaves the order as it was; another card pays it."""
    for airline in airlines:
        order = await _booked(airline)
        declined = await airline.guest.pay(order, "tok_declined")
        assert (201, "failed", "card-declined") == (
            declined.status_code,
            declined.json()["status"],
            declined.json()["failure"]["code"],
        )
        assert "held" == (await airline.guest.own(order))["status"]
        assert "captured" == (await airline.guest.pay(order)).json()["status"]
        await airline.guest.awaited(order, "ticketed")
        again = await airline.guest.pay(order)
        assert (409, "already-paid") == (again.status_code, again.json()["code"])


@pytest.mark.parametrize(("pressed", "status"), [("approve", "captured"), ("decline", "failed")])
async def test_challenge(aurelis: Any, pressed: str, status: str) -> None:
    """The card issuer's question is answered in the browser; then the payment goes on."""
    order = await _booked(aurelis)
    asked = (await aurelis.guest.pay(order, "tok_requires_action")).json()
    assert ("requires_action", "redirect") == (asked["status"], asked["action"]["type"])
    async with httpx.AsyncClient() as browser:
        page = await browser.get(asked["action"]["url"])
        assert 200 == page.status_code
        await browser.post(asked["action"]["url"], data={"answer": pressed})
    done = await aurelis.guest.post(f"/payments/{asked['id']}/confirmations")
    assert (200, status) == (done.status_code, done.json()["status"])
    assert done.json() == await aurelis.guest.get(f"/payments/{asked['id']}")
    await aurelis.guest.awaited(order, "ticketed" if status == "captured" else "held")


async def test_silent_network(airlines: Any) -> None:
    """Where the network does not answer the payment is pending, and settles by itself."""

    async def pay(airline: Any, token: str, status: str) -> None:
        order = await _booked(airline)
        answer = await airline.guest.pay(order, token)
        assert (202, status) == (answer.status_code, answer.json()["status"])
        payment = answer.json()["id"]

        async def captured() -> bool:
            shown = await airline.guest.get(f"/payments/{payment}")
            return bool(shown["status"] == "captured")

        await until(captured, seconds=40)
        await airline.guest.awaited(order, "ticketed")

    await asyncio.gather(
        *(pay(airline, "tok_timeout", "pending") for airline in airlines),
        *(pay(airline, "tok_capture_timeout", "authorised") for airline in airlines),
    )


async def test_refused_payments(aurelis: Any) -> None:
    """Another amount, another currency, an unknown order, a card number: each is refused."""
    order = await _booked(aurelis)
    body = {
        "order_id": order["id"],
        "amount": order["total"],
        "method": {"type": "card", "token": "tok_visa"},
    }
    wrong = [
        ({"amount": {"amount": "1.00", "currency": "EUR"}}, 422, "amount-mismatch"),
        ({"amount": order["total"] | {"currency": "USD"}}, 422, "amount-mismatch"),
        ({"order_id": "ord_00000000000000000000000000"}, 404, "not-found"),
        ({"order_id": order["passengers"][0]["id"]}, 404, "not-found"),
        ({"method": {"type": "card", "token": "4111111111111111"}}, 422, "card-number-refused"),
        ({"method": {"type": "cash", "token": "tok_visa"}}, 422, "invalid"),
        ({"amount": "all of it"}, 422, "invalid"),
        ({"amount": {"amount": "NaN", "currency": "EUR"}}, 422, "invalid-amount"),
    ]
    for change, status, code in wrong:
        answer = await aurelis.guest.post("/payments", body | change)
        assert (status, code) == (answer.status_code, answer.json()["code"]), (change, answer.text)
        assert "4111" not in answer.text
    assert "captured" == (await aurelis.guest.post("/payments", body)).json()["status"]


async def test_same_key_same_answer(airlines: Any) -> None:
    """An order and a payment that are sent again under their key are not made again."""
    for airline in airlines:
        offer = await airline.guest.bookable(*airline.market)
        http, key = airline.guest.http, fresh_key()
        body = {
            "offer_id": offer["id"],
            "passengers": [{"type": "adult", "given_name": "Ada", "family_name": "Ek"}],
        }
        first = await http.post("/v1/orders", json=body, headers=key)
        again = await http.post("/v1/orders", json=body, headers=key)
        assert (201, first.content) == (again.status_code, again.content)
        assert "Idempotent-Replayed" in again.headers
        assert "Idempotent-Replayed" not in first.headers
        body["passengers"][0]["given_name"] = "Ida"
        other = await http.post("/v1/orders", json=body, headers=key)
        assert (422, "idempotency-key-reused") == (other.status_code, other.json()["code"])
        order, pay_key = first.json(), fresh_key()
        paying = {
            "order_id": order["id"],
            "amount": order["total"],
            "method": {"type": "card", "token": "tok_visa"},
        }
        answers = [await http.post("/v1/payments", json=paying, headers=pay_key) for _ in range(2)]
        assert answers[0].content == answers[1].content
        ledger = await airline.staff.get("/payments/ledger", order_id=order["id"])
        assert ["captured"] == [one["status"] for one in ledger["payments"]]


async def test_guest_needs_reference_and_name(aurelis: Any) -> None:
    """An order's id alone shows nothing to a guest; reference and name do, however written."""
    order = await _booked(aurelis)
    path = f"/v1/orders/{order['id']}"
    bare = await aurelis.guest.http.get(path)
    assert (401, "unauthorised") == (bare.status_code, bare.json()["code"])
    known = credentials(order)
    loose = {
        "booking_reference": known["booking_reference"].lower(),
        "family_name": known["family_name"].upper(),
    }
    assert 200 == (await aurelis.guest.http.get(path, params=loose)).status_code
    refused = [
        (await aurelis.guest.http.get(at, params=known | wrong))
        for at in (path, "/v1/orders")
        for wrong in ({"family_name": "Nobody"}, {"booking_reference": "ZZZZZZ"})
    ]
    assert {404} == {one.status_code for one in refused}
    assert 1 == len({one.json()["detail"] for one in refused[:2]})
