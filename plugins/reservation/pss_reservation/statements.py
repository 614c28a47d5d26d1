"""SQL text of the hot path: making, reading and moving an order, each in one round trip."""

__all__ = [
    "CLEAR_PASSENGERS",
    "INSERT_ORDER",
    "INSERT_ORDER_IN_CLEAR",
    "MOVE_ORDER",
    "SEAL_PASSENGERS",
    "SELECT_ORDER",
    "SELECT_ORDER_IN_CLEAR",
    "SET_ATTENTION",
    "UPSERT_SERVICE",
]

INSERT_ORDER = """
WITH made AS (
    INSERT INTO orders (id, booking_reference, status, offer, currency, total_minor, departs_at,
                        payment_required_by, created_at)
    SELECT $1, candidate.locator, 'held', $3::text::jsonb, $4, $5, $6::timestamptz,
           least(now() + make_interval(mins => $7), $6::timestamptz - make_interval(mins => $8)),
           now()
    FROM unnest($2::text[]) AS candidate (locator)
    WHERE NOT EXISTS (SELECT FROM orders WHERE booking_reference = candidate.locator)
    LIMIT 1
    ON CONFLICT (booking_reference) DO NOTHING
    RETURNING id, booking_reference, payment_required_by, created_at
), passengers AS (
    INSERT INTO order_passenger (id, order_id, position, type, title, given_name, family_name,
                                 documents, personal, infant_of)
    SELECT p.id, made.id, p.position, p.type, p.title, p.given_name, p.family_name,
           '[]', decode(p.personal, 'hex'), p.infant_of
    FROM made, jsonb_to_recordset($9::text::jsonb) AS p (
        id text, position integer, type text, title text, given_name text, family_name text,
        personal text, infant_of text)
), segments AS (
    INSERT INTO order_segment (id, order_id, position, flight_id, origin, destination, cabin,
                               booking_class, leg_ids)
    SELECT s.id, made.id, s.position, s.flight_id, s.origin, s.destination, s.cabin,
           s.booking_class, s.leg_ids
    FROM made, jsonb_to_recordset($10::text::jsonb) AS s (
        id text, position integer, flight_id text, origin text, destination text, cabin text,
        booking_class text, leg_ids bigint[])
), history AS (
    INSERT INTO order_history (order_id, occurred_at, change, to_status, actor, detail)
    SELECT made.id, made.created_at, 'created', 'held', $11, $12 FROM made
)
SELECT booking_reference, payment_required_by, created_at,
       payment_required_by > now() AS in_time
FROM made
"""
"""No row: every candidate locator is taken, by an order before or at this very moment."""

INSERT_ORDER_IN_CLEAR = (
    INSERT_ORDER.replace(
        "documents, personal, infant_of)", "born_on, email, phone, documents, infant_of)"
    )
    .replace(
        "'[]', decode(p.personal, 'hex'), p.infant_of",
        "p.born_on, p.email, p.phone, p.documents, p.infant_of",
    )
    .replace(
        "personal text, infant_of text)",
        "born_on date, email text, phone text, documents jsonb, infant_of text)",
    )
)
"""For tables that lack the revision 0002."""

SELECT_ORDER = """
SELECT o.id, o.booking_reference, o.status, o.offer::text AS offer, o.currency, o.total_minor,
       o.payment_required_by, o.payment_required_by > clock_timestamp() AS hold_runs,
       o.departs_at > clock_timestamp() AS not_departed, o.created_at,
       (SELECT coalesce(jsonb_agg(passenger), '[]')::text FROM (
            SELECT p.id, p.type, p.title, p.given_name, p.family_name, p.born_on, p.email,
                   p.phone, p.documents, encode(p.personal, 'hex') AS personal, p.infant_of
            FROM order_passenger p WHERE p.order_id = o.id ORDER BY p.position) passenger
       ) AS passengers,
       (SELECT coalesce(jsonb_agg(service), '[]')::text FROM (
            SELECT s.id, s.type, s.passenger_id, s.segment_id, s.detail, s.currency, s.price_minor
            FROM order_service s WHERE s.order_id = o.id ORDER BY s.id) service
       ) AS services
FROM orders o
WHERE o.id = $1 OR o.booking_reference = $2
"""
"""By the id or by the booking reference; the other one is null."""

SELECT_ORDER_IN_CLEAR = SELECT_ORDER.replace("encode(p.personal, 'hex')", "NULL")
"""For tables that lack the revision 0002."""

CLEAR_PASSENGERS = """
SELECT id, type, given_name, family_name, born_on::text, email, phone, documents::text
FROM order_passenger
WHERE personal IS NULL AND (born_on IS NOT NULL OR email IS NOT NULL OR phone IS NOT NULL
                            OR documents <> '[]')
LIMIT $1 FOR UPDATE
"""
"""Those whose personal facts an earlier version wrote in clear."""

SEAL_PASSENGERS = """
UPDATE order_passenger p
SET personal = decode(g.personal, 'hex'), born_on = NULL, email = NULL, phone = NULL,
    documents = '[]'
FROM unnest($1::text[], $2::text[]) AS g (id, personal) WHERE p.id = g.id
"""

MOVE_ORDER = """
WITH locked AS (
    SELECT id, status FROM orders
    WHERE id = $1 AND status = ANY($2::text[])
      AND CASE $4
          WHEN 'hold runs' THEN payment_required_by > clock_timestamp()
          WHEN 'hold ended' THEN payment_required_by <= clock_timestamp()
          WHEN 'not departed' THEN departs_at > clock_timestamp()
          ELSE true END
    FOR NO KEY UPDATE
), moved AS (
    UPDATE orders o SET status = $3, attention = NULL FROM locked WHERE o.id = locked.id
), history AS (
    INSERT INTO order_history (order_id, occurred_at, change, from_status, to_status, actor, detail)
    SELECT id, clock_timestamp(), $5, status, $3, $6, $7 FROM locked
)
SELECT status FROM locked
"""
"""Compares and sets the status under the row's lock; no row: it was another, or too late.

The clock is read after a wait for the lock (the condition is evaluated again on the row as the
other transaction left it), so a hold that ended during the wait has ended.
"""

SET_ATTENTION = """
WITH locked AS (
    SELECT id, status,
           CASE WHEN $2::text IS NULL AND status = 'needs_attention' THEN 'confirmed'
                WHEN $2::text IS NOT NULL AND status = 'confirmed' THEN 'needs_attention'
                ELSE status END AS to_status
    FROM orders WHERE id = $1 AND attention IS DISTINCT FROM $2::text FOR NO KEY UPDATE
), moved AS (
    UPDATE orders o SET status = to_status, attention = $2::text
    FROM locked WHERE o.id = locked.id
), history AS (
    INSERT INTO order_history (order_id, occurred_at, change, from_status, to_status, actor, detail)
    SELECT id, clock_timestamp(), $3, status, to_status, $4, coalesce($2::text, $5) FROM locked
)
SELECT status FROM locked
"""

UPSERT_SERVICE = """
INSERT INTO order_service (id, order_id, type, passenger_id, segment_id, detail, currency,
                           price_minor, created_at)
SELECT $1, live.id, $4, $5, $6, $7, $8, $9, now()
FROM (SELECT id FROM orders WHERE id = $2 AND status = ANY($3::text[]) FOR NO KEY UPDATE) live
ON CONFLICT (passenger_id, segment_id, type) DO UPDATE
    SET detail = excluded.detail, currency = excluded.currency, price_minor = excluded.price_minor
RETURNING id
"""
"""The lock keeps a cancellation from passing between; no row: the order is no longer alive."""
