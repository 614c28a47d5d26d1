"""The check of the airline rules itself: it finds what it is there to find."""

from __future__ import annotations

from typing import Any

import pytest

from pss_outside.rules import broken_rules

pytestmark = [pytest.mark.xdist_group("faults")]

_DAMAGE = {
    "UPDATE leg_cabin SET sold[1] = sold[1] + 1 WHERE leg_id = $1": (
        "counts of seats are the sums of the holds",
    ),
    "UPDATE leg_cabin SET authorised = array_fill(0, ARRAY[cardinality(classes)])"
    " WHERE leg_id = $1": ("sold and held stay within what is authorised, nested by class",),
    "UPDATE seat_hold SET seats = seats + 1 WHERE leg_id = $1": (
        "a party has a seat for each of it on every leg",
    ),
    "UPDATE seat_hold SET state = 'released' WHERE leg_id = $1": (
        "an order's seats are held, sold or free as its status says",
    ),
    "DELETE FROM ticket_coupon WHERE $1 > 0": (
        "each passenger of a ticketed order has one coupon for each segment",
    ),
    "UPDATE ticket SET base_minor = base_minor + 1 WHERE $1 > 0": (
        "tickets are worth what the ledger calls revenue and taxes",
        "payments are tickets and refunds and what is held",
    ),
    "UPDATE ledger_entry SET debit_minor = debit_minor + 1 WHERE debit_minor > 0 AND $1 > 0": (
        "every posting is balanced",
        "each order's ledger adds up to nothing",
        "the ledger has what was captured, less what was given back",
    ),
    "UPDATE payment SET status = 'failed' WHERE $1 > 0": (
        "no ticket without its whole price",
        "the ledger has what was captured, less what was given back",
    ),
    "UPDATE orders SET status = 'expired' WHERE status = 'ticketed' AND $1 > 0": (
        "no price paid without a ticket",
        "coupons of an order that has ended can't be used",
    ),
    "UPDATE orders SET status = 'confirmed' WHERE status = 'ticketed' AND $1 > 0": (
        "nothing is left on its way",
    ),
    "UPDATE ticket_range SET next_serial = first_serial WHERE $1 > 0": (
        "a ticket number is issued once, within its range",
    ),
}


@pytest.mark.parametrize("damage", _DAMAGE)
async def test_damage_is_found(airline: Any, damage: str) -> None:
    """Each kind of damage, done to the tables behind everybody's back, breaks its rules."""
    order = await airline.guest.book(await airline.nonstop("GVA"))
    assert 201 == (await airline.guest.pay(order)).status_code
    await airline.keeps_the_rules()
    (leg,) = await airline.sql("SELECT leg_id FROM seat_hold WHERE hold_id = $1", order["id"])
    async with airline.installation.database.owner() as owner:
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute(f"SET LOCAL search_path = {airline.tenant.schema}")
        await owner.execute("SET LOCAL session_replication_role = replica")  # no triggers
        await owner.execute(damage, leg["leg_id"])
        found = await broken_rules(owner, airline.tenant.schema)
        await transaction.rollback()
    assert {*_DAMAGE[damage]} <= found.keys()
    await airline.keeps_the_rules()
