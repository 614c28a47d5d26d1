"""Queries on check-ins, boarding passes, bags and seat maps."""

from datetime import datetime
from typing import Any

from msgspec import Struct, convert, to_builtins
from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql

from pss_kernel import NotFound, UnitOfWork

from .contracts import BagTagsExhausted, CheckIn
from .models import bag, boarding_pass, check_in, seat_map
from .seat_map import SeatMap
from .settings import Settings

__all__ = [
    "Pass",
    "add_bags",
    "add_check_ins",
    "check_in_by_id",
    "check_ins_at",
    "check_ins_of_flight",
    "check_ins_of_order",
    "check_ins_of_pass",
    "keep_documents",
    "keep_passes",
    "lock_order",
    "mark_offloaded",
    "pass_by_id",
    "replace_seat_maps",
    "seat_map_of",
    "select_check_ins",
    "set_seat",
    "take_bag_tags",
    "take_sequences",
    "void_pass",
]

_DOCUMENT = "check_in.sealed_document"

# Requests about one order are taken one after the other, so that the second finds what the
# first has done. Keys of different orders may meet: then one waits needlessly, no more.
_LOCK_ORDER = """
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ':check-in:' || $1, 0))
"""
_TAKE_SEQUENCES = """
INSERT INTO check_in_sequence AS counter (leg_id, last_sequence)
SELECT leg_id, taken FROM unnest($1::bigint[], $2::integer[]) AS wanted (leg_id, taken)
ORDER BY leg_id
ON CONFLICT (leg_id) DO UPDATE SET last_sequence = counter.last_sequence + excluded.last_sequence
RETURNING leg_id, last_sequence
"""
_TAKE_TAGS = """
INSERT INTO bag_tag_counter AS counter (accounting_code, last_serial)
SELECT $1, $2::integer + $4 - 1 WHERE $2::integer + $4 - 1 <= $3::integer
ON CONFLICT (accounting_code) DO UPDATE
    SET last_serial = greatest(counter.last_serial, $2::integer - 1) + $4
    WHERE greatest(counter.last_serial, $2::integer - 1) + $4 <= $3::integer
RETURNING last_serial
"""


class Pass(Struct, kw_only=True, frozen=True):
    """A boarding pass as stored."""

    id: str
    order_id: str
    passenger_id: str
    bcbp: str
    issued_at: datetime
    voided_at: datetime | None = None


async def lock_order(uow: UnitOfWork, order_id: str) -> None:
    """Wait for other requests that change this order's check-in, until this one commits."""
    await uow.hot(_LOCK_ORDER, order_id)


async def take_sequences(uow: UnitOfWork, wanted: dict[int, int]) -> dict[int, range]:
    """Sequence numbers for each leg: as many as wanted, each issued once.

    The rows are locked in the order of their legs, and stay so until the commit: two check-ins
    of one flight don't choose seats at the same time.
    """
    legs = sorted(wanted)
    rows = await uow.hot(_TAKE_SEQUENCES, legs, [wanted[leg] for leg in legs])
    return {
        row["leg_id"]: range(
            row["last_sequence"] - wanted[row["leg_id"]] + 1, row["last_sequence"] + 1
        )
        for row in rows
    }


async def take_bag_tags(uow: UnitOfWork, settings: Settings, pieces: int) -> list[str]:
    """Consecutive 10-digit licence plates that nobody had before. Raises BagTagsExhausted."""
    rows = await uow.hot(
        _TAKE_TAGS,
        settings.accounting_code,
        settings.first_bag_tag_serial,
        settings.last_bag_tag_serial,
        pieces,
    )
    if not rows:
        raise BagTagsExhausted("There are no bag tags left in the airline's range.")
    last = rows[0]["last_serial"]
    return [
        f"0{settings.accounting_code}{serial:06d}" for serial in range(last - pieces + 1, last + 1)
    ]


async def check_ins_of_order(uow: UnitOfWork, order_id: str) -> list[CheckIn]:
    """Return the order's check-ins that stand, in the order they were made."""
    return await _check_ins(
        uow, select_check_ins().where(check_in.c.order_id == order_id, _standing())
    )


async def check_ins_of_flight(uow: UnitOfWork, flight_id: str) -> list[CheckIn]:
    """Those checked in on the flight, by board point and sequence."""
    return await _check_ins(
        uow, select_check_ins().where(check_in.c.flight_id == flight_id, _standing())
    )


async def check_ins_of_pass(uow: UnitOfWork, pass_id: str) -> list[CheckIn]:
    """Return what a boarding pass covers."""
    return await _check_ins(
        uow, select_check_ins().where(check_in.c.boarding_pass_id == pass_id, _standing())
    )


async def check_ins_at(
    uow: UnitOfWork, flight_id: str, origin: str, sequence: int, booking_reference: str
) -> list[CheckIn]:
    """Return the check-in with this sequence at a board point, offloaded or not."""
    return await _check_ins(
        uow,
        select_check_ins().where(
            check_in.c.flight_id == flight_id,
            check_in.c.origin == origin,
            check_in.c.sequence == sequence,
            check_in.c.booking_reference == booking_reference,
        ),
    )


async def check_in_by_id(uow: UnitOfWork, check_in_id: str) -> CheckIn:
    """One check-in, offloaded or not. Raises NotFound."""
    found = await _check_ins(uow, select_check_ins().where(check_in.c.id == check_in_id))
    if not found:
        raise NotFound("There is no such check-in.")
    return found[0]


def select_check_ins() -> Select[Any]:
    """Every column of CheckIn, the bag tags of its boarding pass included."""
    tags = (
        select(func.array_agg(postgresql.aggregate_order_by(bag.c.tag, bag.c.tag)))
        .where(bag.c.boarding_pass_id == check_in.c.boarding_pass_id, bag.c.offloaded_at.is_(None))
        .scalar_subquery()
    )
    columns = [column for column in check_in.c if column.name in CheckIn.__struct_fields__]
    return select(*columns, tags.label("bag_tags")).order_by(
        check_in.c.checked_in_at, check_in.c.board_leg_id, check_in.c.sequence
    )


def _standing() -> Any:
    return check_in.c.offloaded_at.is_(None)


async def _check_ins(uow: UnitOfWork, query: Select[Any]) -> list[CheckIn]:
    rows = await uow.fetch_all(query)
    return [CheckIn(**{**row, "bag_tags": row["bag_tags"] or []}) for row in rows]


async def add_check_ins(uow: UnitOfWork, made: list[CheckIn]) -> None:
    """Insert check-ins."""
    rows = []
    for one in made:
        row = {name: getattr(one, name) for name in CheckIn.__struct_fields__}
        del row["bag_tags"]
        row["board_leg_id"] = one.leg_ids[0]
        rows.append(row)
    if rows:
        await uow.execute(insert(check_in), rows)


async def keep_documents(
    uow: UnitOfWork, order_id: str, documents: dict[str, dict[str, object]]
) -> None:
    """Note the travel documents, by passenger id, on their check-ins that stand; sealed."""
    values: dict[str, dict[str, Any]]
    if uow.has_revision("0002", plugin="dcs"):
        sealed = await uow.seal({one: {_DOCUMENT: document} for one, document in documents.items()})
        values = {
            one: {"travel_document": None, "sealed_document": fields[_DOCUMENT]}
            for one, fields in sealed.items()
        }
    else:
        values = {one: {"travel_document": document} for one, document in documents.items()}
    for passenger_id, kept in values.items():
        await uow.execute(
            update(check_in)
            .where(
                check_in.c.order_id == order_id,
                check_in.c.passenger_id == passenger_id,
                _standing(),
            )
            .values(**kept)
        )


async def set_seat(uow: UnitOfWork, check_in_id: str, seat: str | None) -> None:
    """Note the seat that a checked-in passenger has now."""
    await uow.execute(update(check_in).where(check_in.c.id == check_in_id).values(seat=seat))


async def mark_offloaded(uow: UnitOfWork, check_in_ids: list[str]) -> list[str]:
    """Offload those that still stand; the ids of those that did."""
    result = await uow.execute(
        update(check_in)
        .where(check_in.c.id.in_(check_in_ids), _standing())
        .values(offloaded_at=func.now())
        .returning(check_in.c.id)
    )
    return list(result.scalars())


async def keep_passes(uow: UnitOfWork, passes: list[Pass]) -> None:
    """Insert boarding passes, or put their new barcodes in place of the old ones."""
    for one in passes:
        statement = postgresql.insert(boarding_pass).values(
            id=one.id,
            order_id=one.order_id,
            passenger_id=one.passenger_id,
            bcbp=one.bcbp,
            issued_at=one.issued_at,
        )
        await uow.execute(
            statement.on_conflict_do_update(
                index_elements=[boarding_pass.c.id], set_={"bcbp": statement.excluded.bcbp}
            )
        )


async def pass_by_id(uow: UnitOfWork, pass_id: str) -> Pass | None:
    """Return the boarding pass, voided or not; None when there is none."""
    row = await uow.fetch_one(select(*boarding_pass.c).where(boarding_pass.c.id == pass_id))
    return None if row is None else Pass(**row)


async def void_pass(uow: UnitOfWork, pass_id: str) -> None:
    """Void a pass with nothing left on it, and its bags with it."""
    await uow.execute(
        update(boarding_pass)
        .where(boarding_pass.c.id == pass_id, boarding_pass.c.voided_at.is_(None))
        .values(voided_at=func.now())
    )
    await uow.execute(
        update(bag)
        .where(bag.c.boarding_pass_id == pass_id, bag.c.offloaded_at.is_(None))
        .values(offloaded_at=func.now())
    )


async def add_bags(uow: UnitOfWork, rows: list[dict[str, object]]) -> None:
    """Insert tagged bags."""
    if rows:
        await uow.execute(insert(bag), rows)


async def seat_map_of(uow: UnitOfWork, aircraft_type: str) -> SeatMap | None:
    """Return the seat map of an aircraft type; None where the airline has none."""
    layout = await uow.scalar(
        select(seat_map.c.layout).where(seat_map.c.aircraft_type == aircraft_type)
    )
    return None if layout is None else convert(layout, SeatMap)


async def replace_seat_maps(uow: UnitOfWork, maps: list[SeatMap]) -> None:
    """Make these the airline's seat maps, and no others."""
    await uow.execute(
        delete(seat_map).where(seat_map.c.aircraft_type.not_in([m.aircraft_type for m in maps]))
    )
    for one in maps:
        statement = postgresql.insert(seat_map).values(
            aircraft_type=one.aircraft_type, layout=to_builtins(one)
        )
        await uow.execute(
            statement.on_conflict_do_update(
                index_elements=[seat_map.c.aircraft_type],
                set_={"layout": statement.excluded.layout},
            )
        )
