"""Who may see an order; cancelling it; adding services."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from pss_kernel import Actor, Conflict, Forbidden
from pss_reservation import contracts
from pss_reservation.cancelling import confirm_cancellation, quote_cancellation
from pss_reservation.extras import NewService, add_service
from pss_reservation.routes import confirm_quoted_cancellation
from pss_reservation.store import read_order

Fixture = Any


def known(order: Any, **changes: str) -> dict[str, str]:
    facts = {"booking_reference": order.booking_reference, "family_name": "Mueller Boehm"}
    return {**facts, **changes}


async def test_stranger_learns_nothing(airline: Fixture, order: Fixture, http: Fixture) -> None:
    """A guest without reference and name gets 401; with wrong ones, one and the same 404."""
    guest = await http(airline.tenant)
    assert 401 == (await guest.get(f"/v1/orders/{order.id}")).status_code
    wrong_name = await guest.get("/v1/orders", params=known(order, family_name="Miller"))
    wrong_reference = await guest.get("/v1/orders", params=known(order, booking_reference="ZZZZZZ"))
    wrong_id = await guest.get("/v1/orders/ord_x", params=known(order))
    assert [404, 404, 404] == [one.status_code for one in (wrong_name, wrong_reference, wrong_id)]
    assert wrong_name.json()["detail"] == wrong_reference.json()["detail"]


async def test_staff_see_the_history(airline: Fixture, order: Fixture, http: Fixture) -> None:
    """Staff need no name; those who manage orders see the history as well."""
    reader = await http(airline.tenant, ["reservation:read"])
    assert (await reader.get(f"/v1/orders/{order.id}")).json()["history"] is None
    manager = await http(airline.tenant, ["reservation:*"])
    (entry,) = (await manager.get(f"/v1/orders/{order.id}")).json()["history"]
    assert "created" == entry["change"]


async def test_guest_cancels_unpaid_order(
    airline: Fixture, order: Fixture, http: Fixture, deliver: Fixture
) -> None:
    """Cancelling an unpaid order costs and gives nothing, frees its seat, and is done once."""
    guest = await http(airline.tenant)
    quote = await guest.post(
        f"/v1/orders/{order.id}/cancellations",
        params=known(order),
        headers={"Idempotency-Key": "k1"},
    )
    assert 201 == quote.status_code, quote.text
    assert (quote.json()["refund"]["amount"], quote.json()["penalty"]["amount"]) == ("0.00", "0.00")
    confirm = f"/v1/cancellations/{quote.json()['id']}/confirm"
    first = await guest.post(confirm, params=known(order), headers={"Idempotency-Key": "k2"})
    again = await guest.post(confirm, params=known(order), headers={"Idempotency-Key": "k3"})
    assert (first.status_code, first.json()["status"]) == (200, "confirmed")
    assert (again.status_code, again.json()["code"]) == (409, "order-cancelled")
    assert (0, 0) == await airline.seats()
    shown = (await guest.get(f"/v1/orders/{order.id}", params=known(order))).json()
    assert (shown["status"], shown["slices"][0]["segments"][0]["status"]) == (
        "cancelled",
        "cancelled",
    )
    assert await deliver(airline.tenant) > 0


async def test_paid_order_is_refunded_less_penalty(airline: Fixture, order: Fixture) -> None:
    """The event of a cancelled paid order names refund and penalty; its sold seat is free."""
    async with airline.unit_of_work(airline.tenant) as uow:
        await contracts.confirm_order(uow, order.id)
    async with airline.unit_of_work(airline.tenant) as uow:
        found = await read_order(uow, order.id)
        quote = await quote_cancellation(uow, found)
        await confirm_cancellation(uow, quote, found)
    assert (quote.refund.amount, quote.penalty.amount) == ("60.00", "40.00")
    assert (0, 0) == await airline.seats()
    async with airline.unit_of_work(airline.tenant) as uow:
        (row,) = await uow.hot(
            "SELECT data::text AS data FROM event WHERE event_type = 'reservation.order-cancelled'"
        )
    event = msgspec.json.decode(row["data"], type=contracts.OrderCancelled)
    assert (event.refund_minor, event.penalty_minor, event.currency) == (6000, 4000, "EUR")


async def test_staff_refund_with_a_fresh_second_factor(airline: Fixture, order: Fixture) -> None:
    """An agent's token alone cancels for nothing, and gives no money back."""
    agent = Actor("user", "acc_1", frozenset({"reservation:cancel"}), ("agent",), "ses_1")
    now = datetime.now(UTC)
    stale = replace(agent, methods=frozenset({"mfa"}), authenticated_at=now - timedelta(hours=1))
    async with airline.unit_of_work(airline.tenant) as uow:
        await contracts.confirm_order(uow, order.id)
    async with airline.unit_of_work(airline.tenant) as uow:
        quote = await quote_cancellation(uow, await read_order(uow, order.id))
    for actor in (agent, replace(agent, authenticated_at=now), stale):
        with pytest.raises(Forbidden) as refused:
            async with airline.unit_of_work(airline.tenant, actor) as uow:
                await confirm_quoted_cancellation(uow, quote.id)
        assert "step-up-required" == refused.value.code
    fresh = replace(stale, authenticated_at=now)
    async with airline.unit_of_work(airline.tenant, fresh) as uow:
        assert "confirmed" == (await confirm_quoted_cancellation(uow, quote.id)).status


async def test_quote_of_an_unpaid_order_ends_with_payment(airline: Fixture, order: Fixture) -> None:
    """A quote from before the payment can't cancel the paid order for nothing."""
    async with airline.unit_of_work(airline.tenant) as uow:
        quote = await quote_cancellation(uow, await read_order(uow, order.id))
        await contracts.confirm_order(uow, order.id)
    with pytest.raises(Conflict) as refused:
        async with airline.unit_of_work(airline.tenant) as uow:
            await confirm_cancellation(uow, quote, await read_order(uow, order.id))
    assert "quote-outdated" == refused.value.code


async def test_old_quote_is_gone(airline: Fixture, order: Fixture, http: Fixture) -> None:
    """A quote that has expired cancels nothing."""
    async with airline.unit_of_work(airline.tenant) as uow:
        quote = await quote_cancellation(uow, await read_order(uow, order.id))
        await uow.hot("UPDATE cancellation SET expires_at = now() - interval '1 second'")
    staff = await http(airline.tenant, ["reservation:cancel"])
    answer = await staff.post(
        f"/v1/cancellations/{quote.id}/confirm", headers={"Idempotency-Key": "k1"}
    )
    assert (answer.status_code, answer.json()["code"]) == (410, "cancellation-expired")


async def test_begun_journey_is_not_cancelled(airline: Fixture, order: Fixture) -> None:
    """After the first departure there is no automatic cancellation."""
    async with airline.unit_of_work(airline.tenant) as uow:
        await uow.hot("UPDATE orders SET departs_at = now() - interval '1 minute'")
        found = await read_order(uow, order.id)
        with pytest.raises(Conflict) as refused:
            await quote_cancellation(uow, found)
    assert "journey-begun" == refused.value.code


async def test_objection_keeps_the_order(
    airline: Fixture, order: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin that objects between quote and confirmation leaves everything as it was."""
    async with airline.unit_of_work(airline.tenant) as uow:
        quote = await quote_cancellation(uow, await read_order(uow, order.id))

    async def object_to_it(_uow: Any, _spec: Any, **_facts: Any) -> Any:
        return [contracts.CancellationRefusal(code="checked-in", detail="Ada is checked in.")]

    monkeypatch.setattr("pss_kernel.UnitOfWork.call", object_to_it)
    with pytest.raises(Conflict) as refused:
        async with airline.unit_of_work(airline.tenant) as uow:
            await confirm_cancellation(uow, quote, await read_order(uow, order.id))
    assert "checked-in" == refused.value.code
    async with airline.unit_of_work(airline.tenant) as uow:
        assert "held" == (await contracts.order_by_id(uow, order.id)).status
    assert (1, 0) == await airline.seats()


async def test_service_nobody_offers(airline: Fixture, order: Fixture, http: Fixture) -> None:
    """Every failing field of a service is named; a type that no plugin has is refused."""
    guest = await http(airline.tenant)
    path = f"/v1/orders/{order.id}/services"
    bad = await guest.post(path, json={}, params=known(order), headers={"Idempotency-Key": "k1"})
    assert [
        "/type",
        "/passenger_id",
        "/segment_id",
    ] == [error["pointer"] for error in bad.json()["errors"]]
    body = {
        "type": "pillow",
        "passenger_id": order.passengers[0].id,
        "segment_id": order.segments()[0].id,
    }
    unknown = await guest.post(
        path, json=body, params=known(order), headers={"Idempotency-Key": "k2"}
    )
    assert ["not-offered"] == [error["code"] for error in unknown.json()["errors"]]


async def test_service_replaces_the_one_of_its_type(
    airline: Fixture, order: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second seat takes the place of the first; a service with a price is refused."""
    answers = [
        contracts.FulfilledService(detail="12A"),
        contracts.FulfilledService(detail="12C"),
        contracts.FulfilledService(detail="1A", price=contracts.Money.of(900, "EUR")),
    ]
    wanted = NewService(
        type="seat", passenger_id=order.passengers[0].id, segment_id=order.segments()[0].id
    )
    async with airline.unit_of_work(airline.tenant) as uow:

        async def fulfil(_spec: Any, **_facts: Any) -> Any:
            return answers.pop(0)

        monkeypatch.setattr(uow, "call", fulfil)
        first = await add_service(uow, order, wanted)
        second = await add_service(uow, order, wanted)
        with pytest.raises(Conflict) as refused:
            await add_service(uow, order, wanted)
        kept = (await read_order(uow, order.id)).order.services
    assert (first.id, ["12C"]) == (second.id, [one.seat for one in kept])
    assert "service-not-sold" == refused.value.code


async def test_two_quotes_confirmed_at_once(airline: Fixture, order: Fixture) -> None:
    """Of several quotes of one order that are confirmed together one cancels; the rest get 409."""
    async with airline.unit_of_work(airline.tenant) as uow:
        found = await read_order(uow, order.id)
        quotes = [await quote_cancellation(uow, found) for _ in range(3)]

    async def confirm(quote: Any) -> str:
        async with airline.unit_of_work(airline.tenant) as uow:
            return (await confirm_cancellation(uow, quote, found)).status

    results = await asyncio.gather(*map(confirm, quotes), return_exceptions=True)
    told = sorted(getattr(one, "code", one) for one in results)
    assert ["confirmed", "order-cancelled", "order-cancelled"] == told
    assert (0, 0) == await airline.seats()
