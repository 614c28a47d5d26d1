"""An order's states under concurrency, and the queue of staff."""

import asyncio
from typing import Any

import pytest

from pss_kernel import Conflict, Problem
from pss_reservation import contracts
from pss_reservation.lifecycle import expire, history_of
from pss_reservation.status import CANCEL_PAID
from pss_reservation.store import move_order

Fixture = Any


async def _status(airline: Any, order_id: str) -> str:
    async with airline.unit_of_work(airline.tenant) as uow:
        return (await contracts.order_by_id(uow, order_id)).status


async def _hold_has_ended(airline: Any, order_id: str) -> None:
    """Ask the database until its clock has passed the end of the hold."""
    ended = False
    while not ended:
        async with airline.unit_of_work(airline.tenant) as uow:
            (row,) = await uow.hot(
                "SELECT payment_required_by <= clock_timestamp() AS ended FROM orders"
                " WHERE id = $1",
                order_id,
            )
            ended = row["ended"]


async def _waits_for_a_lock(airline: Any) -> None:
    """Ask the database until one of its sessions waits for another's row."""
    waits = False
    while not waits:
        async with airline.unit_of_work(airline.tenant) as uow:
            (row,) = await uow.hot("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted) AS w")
            waits = row["w"]


async def _confirm(airline: Any, order_id: str) -> None:
    async with airline.unit_of_work(airline.tenant) as uow:
        await contracts.confirm_order(uow, order_id)


async def test_confirm_sells_the_seats(airline: Fixture, order: Fixture) -> None:
    """A confirmed order's seats are sold, and it can't be confirmed or paid again."""
    await _confirm(airline, order.id)
    assert (0, 1) == await airline.seats()
    async with airline.unit_of_work(airline.tenant) as uow:
        with pytest.raises(contracts.AlreadyPaid):
            await contracts.confirm_order(uow, order.id)
        with pytest.raises(contracts.AlreadyPaid):
            await contracts.payable(uow, order.id)


async def test_one_of_two_confirmations_wins(airline: Fixture, order: Fixture) -> None:
    """Of two payments at the same moment one confirms; the other is to be voided."""
    results = await asyncio.gather(
        _confirm(airline, order.id), _confirm(airline, order.id), return_exceptions=True
    )
    assert {"NoneType", "AlreadyPaid"} == {type(one).__name__ for one in results}
    assert (0, 1) == await airline.seats()


async def test_ended_hold_expires(
    airline: Fixture, order: Fixture, hold_ends: Fixture, run_job: Fixture
) -> None:
    """The job expires what was not paid and gives its seats back; then nothing can be paid."""
    await hold_ends(airline, order.id)
    await run_job(airline.tenant, "reservation", "expire_holds")
    assert "expired" == await _status(airline, order.id)
    assert (0, 0) == await airline.seats()
    with pytest.raises(contracts.OrderExpiredProblem):
        await _confirm(airline, order.id)


async def test_running_hold_stays(airline: Fixture, order: Fixture, run_job: Fixture) -> None:
    """The job leaves a hold alone that has time left."""
    await run_job(airline.tenant, "reservation", "expire_holds")
    assert "held" == await _status(airline, order.id)
    assert (1, 0) == await airline.seats()


async def test_ended_hold_is_not_paid_before_the_job(
    airline: Fixture, order: Fixture, hold_ends: Fixture
) -> None:
    """The clock decides, not the job: an ended hold is refused while it still looks held."""
    await hold_ends(airline, order.id)
    with pytest.raises(contracts.OrderExpiredProblem):
        await _confirm(airline, order.id)
    async with airline.unit_of_work(airline.tenant) as uow:
        with pytest.raises(contracts.OrderExpiredProblem):
            await contracts.payable(uow, order.id)


async def test_expiry_meets_confirmation(
    airline: Fixture, order: Fixture, hold_ends: Fixture
) -> None:
    """An expiry that waits for a confirmation in time finds the order confirmed."""
    await hold_ends(airline, order.id, 150)

    async def expire_it() -> bool:
        async with airline.unit_of_work(airline.tenant) as uow:
            return await expire(uow, order.id)

    async with airline.unit_of_work(airline.tenant) as uow:
        await contracts.confirm_order(uow, order.id)
        await _hold_has_ended(airline, order.id)
        expiry = asyncio.create_task(expire_it())
        await _waits_for_a_lock(airline)
    assert await expiry is False
    assert "confirmed" == await _status(airline, order.id)
    assert (0, 1) == await airline.seats()


async def test_confirmation_waits_too_long(
    airline: Fixture, order: Fixture, hold_ends: Fixture
) -> None:
    """A confirmation whose hold ends while it waits for the order's lock is refused."""
    await hold_ends(airline, order.id, 150)
    async with airline.unit_of_work(airline.tenant) as uow:
        await contracts.mark_needs_attention(uow, order.id, "A look, please.")
        confirmation = asyncio.create_task(_confirm(airline, order.id))
        await _waits_for_a_lock(airline)
        await _hold_has_ended(airline, order.id)
    with pytest.raises(contracts.OrderExpiredProblem):
        await confirmation
    assert (1, 0) == await airline.seats()


async def test_confirmation_races_expiry(
    airline: Fixture, order: Fixture, hold_ends: Fixture, run_job: Fixture
) -> None:
    """Whoever wins at the very end of a hold, order and seats tell the same story."""
    await hold_ends(airline, order.id, 5)
    results = await asyncio.gather(
        _confirm(airline, order.id),
        run_job(airline.tenant, "reservation", "expire_holds"),
        return_exceptions=True,
    )
    await _hold_has_ended(airline, order.id)
    await run_job(airline.tenant, "reservation", "expire_holds")
    outcome = (await _status(airline, order.id), await airline.seats())
    paid = results[0] is None
    expected = ("confirmed", (0, 1)) if paid else ("expired", (0, 0))
    assert expected == outcome


async def test_history_tells_all(airline: Fixture, order: Fixture) -> None:
    """Every change is in the history, in order, with both statuses and who did it."""
    await _confirm(airline, order.id)
    async with airline.unit_of_work(airline.tenant) as uow:
        await contracts.mark_needs_attention(uow, order.id, "No ticket number is left.")
        await contracts.mark_needs_attention(uow, order.id, "No ticket number is left.")
    async with airline.unit_of_work(airline.tenant) as uow:
        await contracts.mark_ticketed(uow, order.id)
        await contracts.mark_ticketed(uow, order.id)
    async with airline.unit_of_work(airline.tenant) as uow:
        changes = await history_of(uow, order.id)
    assert [
        ("created", None, "held"),
        ("confirmed", "held", "confirmed"),
        ("needs attention", "confirmed", "needs_attention"),
        ("ticketed", "needs_attention", "ticketed"),
    ] == [(one.change, one.from_status, one.to_status) for one in changes]
    assert {"system:test"} == {one.actor for one in changes}


async def test_unpaid_order_gets_no_ticket(airline: Fixture, order: Fixture) -> None:
    """A held order can't be marked as ticketed."""
    async with airline.unit_of_work(airline.tenant) as uow:
        with pytest.raises(Conflict) as refused:
            await contracts.mark_ticketed(uow, order.id)
    assert "order-not-paid" == refused.value.code


async def test_check_in_meets_cancellation(airline: Fixture, order: Fixture) -> None:
    """A cancellation waits for a check-in that keeps the order ticketed, and the reverse."""
    await _confirm(airline, order.id)
    async with airline.unit_of_work(airline.tenant) as uow:
        with pytest.raises(Conflict) as refused:
            await contracts.keep_ticketed(uow, order.id)
        await contracts.mark_ticketed(uow, order.id)
    assert "order-not-ticketed" == refused.value.code

    async def cancel() -> str | None:
        async with airline.unit_of_work(airline.tenant) as uow:
            return await move_order(uow, order.id, CANCEL_PAID)

    async with airline.unit_of_work(airline.tenant) as uow:
        await contracts.keep_ticketed(uow, order.id)
        cancellation = asyncio.create_task(cancel())
        await _waits_for_a_lock(airline)
    assert "ticketed" == await cancellation
    async with airline.unit_of_work(airline.tenant) as uow:
        with pytest.raises(contracts.OrderCancelledProblem):
            await contracts.keep_ticketed(uow, order.id)


async def test_attention_queue(airline: Fixture, order: Fixture, http: Fixture) -> None:
    """Staff see what waits for them, clear it with a note, and guests see nothing of it."""
    await _confirm(airline, order.id)
    async with airline.unit_of_work(airline.tenant) as uow:
        await contracts.mark_needs_attention(uow, order.id, "No ticket number is left.")
    staff = await http(airline.tenant, ["reservation:manage", "reservation:read"])
    queue = (await staff.get("/v1/orders/needs-attention")).json()
    assert [(order.id, "No ticket number is left.")] == [
        (one["order_id"], one["reason"]) for one in queue["data"]
    ]
    cleared = await staff.post(
        f"/v1/orders/{order.id}/attention/clear",
        json={"note": "Range extended."},
        headers={"Idempotency-Key": "k1"},
    )
    assert (cleared.status_code, cleared.json()["status"]) == (200, "confirmed")
    assert [] == (await staff.get("/v1/orders/needs-attention")).json()["data"]
    history = (await staff.get(f"/v1/orders/{order.id}/history")).json()["data"]
    assert "Range extended." == history[-1]["detail"]
    guest = await http(airline.tenant)
    assert 401 == (await guest.get("/v1/orders/needs-attention")).status_code


async def test_stuck_hold_is_put_before_staff(
    airline: Fixture,
    order: Fixture,
    hold_ends: Fixture,
    run_job: Fixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An order whose seats can't be released is flagged, and stays held."""

    async def refuse(_uow: Any, _hold_id: str) -> None:
        raise Problem("The seats are locked.")

    monkeypatch.setattr("pss_reservation.lifecycle.release_seats", refuse)
    await hold_ends(airline, order.id)
    await run_job(airline.tenant, "reservation", "expire_holds")
    async with airline.unit_of_work(airline.tenant) as uow:
        (row,) = await uow.hot("SELECT status, attention FROM orders WHERE id = $1", order.id)
    assert (row["status"], row["attention"]) == (
        "held",
        "The hold can't be ended: The seats are locked.",
    )


async def test_passengers_on_segment(airline: Fixture, order: Fixture) -> None:
    """Check-in sees the passengers of ticketed orders only, with their segment's legs."""
    async with airline.unit_of_work(airline.tenant) as uow:
        assert [] == await contracts.passengers_on_segment(uow, airline.flight_id)
        await contracts.confirm_order(uow, order.id)
        await contracts.mark_ticketed(uow, order.id)
        (one,) = await contracts.passengers_on_segment(uow, airline.flight_id, "VIE", "LHR")
        assert [] == await contracts.passengers_on_segment(uow, airline.flight_id, "LHR")
    assert (one.passenger_id, one.segment_id) == (
        order.passengers[0].id,
        order.segments()[0].id,
    )
    assert [airline.leg_id] == one.leg_ids
