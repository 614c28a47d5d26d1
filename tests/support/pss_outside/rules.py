"""The airline rules that are never broken, asked of the database of a settled airline.

"Settled": every event was delivered and every payment and refund has ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

__all__ = ["broken_rules", "rules_are_kept"]

_TOTALS = """
WITH paid AS (
  SELECT order_id, sum(amount_minor) AS minor, count(*) AS times FROM payment
  WHERE status = 'captured' GROUP BY order_id
), back AS (
  SELECT order_id, sum(amount_minor) AS minor FROM refund WHERE status = 'refunded'
  GROUP BY order_id
), papers AS (
  SELECT order_id, sum(base_minor + tax_minor) AS minor, count(DISTINCT passenger_id) AS travellers
  FROM ticket GROUP BY order_id
), book AS (
  SELECT order_id, account, sum(debit_minor - credit_minor) AS minor FROM ledger_entry
  GROUP BY order_id, account
), every AS (
  SELECT o.id, o.status, o.total_minor,
    coalesce(paid.minor, 0) AS paid, coalesce(back.minor, 0) AS back,
    coalesce(papers.minor, 0) AS papers, coalesce(papers.travellers, 0) AS travellers,
    (SELECT count(*) FROM order_passenger p WHERE p.order_id = o.id) AS passengers,
    coalesce((SELECT sum(minor) FROM book WHERE order_id = o.id), 0) AS ledger,
    coalesce((SELECT minor FROM book WHERE order_id = o.id AND account = 'gateway_clearing'), 0)
      AS clearing,
    coalesce((SELECT -sum(minor) FROM book WHERE order_id = o.id
      AND account IN ('ticket_revenue', 'tax_payable')), 0) AS earned,
    coalesce((SELECT -sum(minor) FROM book WHERE order_id = o.id
      AND account IN ('customer_deposits', 'refunds_payable')), 0) AS kept
  FROM orders o LEFT JOIN paid ON paid.order_id = o.id LEFT JOIN back ON back.order_id = o.id
    LEFT JOIN papers ON papers.order_id = o.id
)
"""

# What must hold → a query that finds what breaks it.
_RULES = {
    "sold and held stay within what is authorised, nested by class": """
        SELECT c.leg_id, c.cabin, level.place, level.taken, level.authorised
        FROM leg_cabin c, LATERAL (
          SELECT place, each.authorised, sum(held + sold) OVER (ORDER BY place DESC) AS taken
          FROM unnest(c.authorised, c.held, c.sold)
            WITH ORDINALITY AS each (authorised, held, sold, place)) level
        WHERE level.taken > level.authorised""",
    "counts of seats are the sums of the holds": """
        SELECT * FROM (
          SELECT c.leg_id, c.cabin, each.class, each.held, each.sold
          FROM leg_cabin c, unnest(c.classes, c.held, c.sold) AS each (class, held, sold)
          WHERE each.held <> 0 OR each.sold <> 0) counted
        FULL JOIN (
          SELECT leg_id, cabin, booking_class AS class,
            coalesce(sum(seats) FILTER (WHERE state = 'held'), 0) AS held,
            coalesce(sum(seats) FILTER (WHERE state = 'sold'), 0) AS sold
          FROM seat_hold WHERE state <> 'released' GROUP BY 1, 2, 3) summed
        USING (leg_id, cabin, class)
        WHERE (counted.held, counted.sold) IS DISTINCT FROM (summed.held, summed.sold)""",
    "an order's seats are held, sold or free as its status says": """
        SELECT o.id, o.status, h.state FROM orders o JOIN seat_hold h ON h.hold_id = o.id
        WHERE h.state <> CASE o.status WHEN 'held' THEN 'held' WHEN 'expired' THEN 'released'
          WHEN 'cancelled' THEN 'released' ELSE 'sold' END""",
    "a party has a seat for each of it on every leg": """
        SELECT o.id, s.leg FROM orders o
        JOIN (SELECT order_id, unnest(leg_ids) AS leg FROM order_segment) s ON s.order_id = o.id
        WHERE (SELECT count(*) FROM order_passenger p WHERE p.order_id = o.id
                 AND p.type <> 'infant')
          <> (SELECT coalesce(sum(seats), 0) FROM seat_hold h WHERE h.hold_id = o.id
                AND h.leg_id = s.leg)""",
    "every posting is balanced": """
        SELECT order_id, posting_id FROM ledger_entry GROUP BY order_id, posting_id
        HAVING sum(debit_minor) <> sum(credit_minor)""",
    "each order's ledger adds up to nothing": _TOTALS
    + "SELECT id, ledger FROM every WHERE ledger <> 0",
    "the ledger has what was captured, less what was given back": _TOTALS
    + "SELECT id, paid, back, clearing FROM every WHERE clearing <> paid - back",
    "tickets are worth what the ledger calls revenue and taxes": _TOTALS
    + "SELECT id, papers, earned FROM every WHERE status = 'ticketed' AND papers <> earned",
    "payments are tickets and refunds and what is held": _TOTALS
    + """SELECT id, status, paid, back, papers, kept FROM every
         WHERE status = 'ticketed' AND paid <> papers + back + kept""",
    "no ticket without its whole price": _TOTALS
    + """SELECT id, status, total_minor, paid, travellers FROM every
         WHERE (status = 'ticketed' AND (paid - back <> total_minor OR travellers <> passengers))
            OR (travellers > 0 AND paid < total_minor)""",
    "no price paid without a ticket": _TOTALS
    + """SELECT id, status, paid, back, travellers FROM every
         WHERE status <> 'ticketed' AND status <> 'cancelled' AND paid <> back""",
    "nothing is left on its way": """
        SELECT id, status FROM payment WHERE status IN ('pending', 'authorised', 'voiding')
        UNION ALL SELECT id, status FROM refund WHERE status = 'pending'
        UNION ALL SELECT id, status FROM orders WHERE status IN ('confirmed', 'needs_attention')""",
    "a ticket number is issued once, within its range": """
        SELECT t.number FROM ticket t WHERE NOT EXISTS (
          SELECT FROM ticket_range r WHERE starts_with(t.number, r.accounting_code)
            AND substr(t.number, 4)::bigint BETWEEN r.first_serial AND r.next_serial - 1)
        UNION ALL SELECT number FROM ticket GROUP BY number HAVING count(*) > 1""",
    "each passenger of a ticketed order has one coupon for each segment": """
        SELECT p.id, s.id FROM orders o JOIN order_passenger p ON p.order_id = o.id
          JOIN order_segment s ON s.order_id = o.id
        WHERE o.status = 'ticketed' AND 1 <> (SELECT count(*) FROM ticket_coupon c
          WHERE (c.passenger_id, c.segment_id) = (p.id, s.id)
            AND c.status IN ('open', 'checked_in', 'flown'))""",
    "coupons of an order that has ended can't be used": """
        SELECT t.number FROM ticket t JOIN ticket_coupon c ON c.ticket_number = t.number
          JOIN orders o ON o.id = t.order_id
        WHERE o.status IN ('cancelled', 'expired') AND c.status NOT IN ('refunded', 'void')""",
    "whoever is checked in has a ticketed order and a coupon that says so": """
        SELECT i.id, o.status, c.status FROM check_in i JOIN orders o ON o.id = i.order_id
          JOIN ticket_coupon c
            ON (c.ticket_number, c.number) = (i.ticket_number, i.coupon_number)
        WHERE i.offloaded_at IS NULL
          AND (o.status <> 'ticketed' OR c.status NOT IN ('checked_in', 'flown'))""",
    "a coupon that is checked in or flown has a check-in": """
        SELECT c.ticket_number, c.number FROM ticket_coupon c
        WHERE c.status IN ('checked_in', 'flown') AND NOT EXISTS (
          SELECT FROM check_in i WHERE i.offloaded_at IS NULL
            AND (i.ticket_number, i.coupon_number) = (c.ticket_number, c.number))""",
    "a seat on a leg has one passenger": """
        SELECT leg_id, seat FROM seat_assignment WHERE released_at IS NULL
        GROUP BY leg_id, seat HAVING count(*) > 1""",
    "a bag tag is issued once": "SELECT tag FROM bag GROUP BY tag HAVING count(*) > 1",
}


async def broken_rules(connection: asyncpg.Connection, schema: str) -> dict[str, list[Any]]:
    """Ask for each rule what breaks it, in this airline's schema; empty when nothing does."""
    found: dict[str, list[Any]] = {}
    async with connection.transaction():  # a savepoint, where the caller has one open
        await connection.execute("SELECT set_config('search_path', $1, true)", schema)
        for rule, query in _RULES.items():
            if rows := await connection.fetch(query):
                found[rule] = [tuple(row.values()) for row in rows[:5]]
    return found


async def rules_are_kept(
    look: Callable[[], Awaitable[dict[str, list[Any]]]], *, seconds: float = 20.0
) -> None:
    """Look until nothing breaks a rule; what is on its way may do so for a while."""
    deadline = time.monotonic() + seconds
    found = await look()
    while found and time.monotonic() < deadline:
        await asyncio.sleep(0.05)  # between two looks
        found = await look()
    assert {} == found
