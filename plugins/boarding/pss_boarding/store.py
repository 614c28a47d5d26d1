"""Queries on passengers on board and on scans."""

import hashlib
from collections.abc import Sequence

from sqlalchemy import RowMapping, func, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_if_new

from pss_dcs.contracts import CheckIn
from pss_kernel import UnitOfWork

from .contracts import BoardedPassenger, ScanResult
from .models import boarding, boarding_scan

__all__ = ["boarded_on", "insert_boarding", "insert_scan", "scans_of"]


async def insert_boarding(uow: UnitOfWork, check_in: CheckIn, name: str) -> bool:
    """Put the passenger on board; False when they are there already.

    Of two gates that try at once, the second waits here for the first to commit.
    """
    inserted = await uow.scalar(
        insert_if_new(boarding)
        .values(
            check_in_id=check_in.id,
            flight_id=check_in.flight_id,
            passenger_id=check_in.passenger_id,
            segment_id=check_in.segment_id,
            name=name,
            seat=check_in.seat,
            sequence=check_in.sequence,
            board_point=check_in.origin,
            boarded_at=func.now(),
        )
        .on_conflict_do_nothing()
        .returning(boarding.c.check_in_id)
    )
    return inserted is not None


async def insert_scan(
    uow: UnitOfWork,
    *,
    flight_id: str,
    bcbp: str,
    board_point: str | None,
    result: ScanResult,
    detail: str,
    passenger_id: str | None,
) -> None:
    """Record what was scanned, by whom, and what came of it."""
    await uow.execute(
        insert(boarding_scan).values(
            flight_id=flight_id,
            scanned_at=func.now(),
            board_point=board_point,
            result=result,
            detail=_storable(detail),
            passenger_id=passenger_id,
            barcode_sha256=hashlib.sha256(bcbp.encode("utf-8", "surrogatepass")).hexdigest(),
            actor=f"{uow.actor.kind}:{uow.actor.id}",
        )
    )


def _storable(text: str) -> str:
    """Replace what PostgreSQL's text can't hold: a detail may quote the barcode."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


async def boarded_on(uow: UnitOfWork, flight_id: str) -> list[BoardedPassenger]:
    """List who is on board of the flight, by board point and sequence."""
    names = BoardedPassenger.__struct_fields__
    rows = await uow.fetch_all(
        select(*(boarding.c[name] for name in names))
        .where(boarding.c.flight_id == flight_id)
        .order_by(boarding.c.board_point, boarding.c.sequence)
    )
    return [BoardedPassenger(**row) for row in rows]


async def scans_of(
    uow: UnitOfWork, flight_id: str, before: int | None, limit: int, board_point: str | None = None
) -> Sequence[RowMapping]:
    """List the flight's scans, of one gate's airport where it is given, the latest first.

    They go on from before the one with the id ``before``.
    """
    scan = boarding_scan.c
    names = ("id", "scanned_at", "board_point", "result", "detail", "passenger_id", "actor")
    statement = select(*(scan[name] for name in names)).where(scan.flight_id == flight_id)
    if board_point is not None:
        statement = statement.where(scan.board_point == board_point)
    if before is not None:
        statement = statement.where(scan.id < before)
    return await uow.fetch_all(statement.order_by(scan.id.desc()).limit(limit))
