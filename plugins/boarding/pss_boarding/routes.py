import re
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from pss_kernel import BadRequest, Page, UnitOfWork

from . import plugin, store
from .contracts import BoardedPassenger, Counts, NoShow, ScanResult
from .gate import Scan, roll_of, scan
from .stations import require_station

__all__: list[str] = []

_SCANS_PER_PAGE = 100
_CURSOR = re.compile("[0-9]{1,18}")  # the id of a scan, a bigint

AirportCode = Annotated[str, Meta(pattern="^[A-Z]{3}$", examples=["VIE"])]


class BoardingRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What the gate's scanner read, as it came; `board_point`: the airport of this gate."""

    bcbp: Annotated[
        str, Meta(max_length=4000, description="The barcode's text, IATA Resolution 792.")
    ]
    board_point: AirportCode | None = None


class ScannedPassenger(Struct, kw_only=True, frozen=True):
    """Whom the barcode names; seat and sequence are known once a check-in was found."""

    name: str
    seat: str | None = None
    sequence: int | None = None


class Boarding(Struct, kw_only=True, frozen=True):
    """The answer to a scan: only `boarded` opens the gate."""

    result: ScanResult
    detail: str
    passenger: ScannedPassenger | None
    counts: Counts


class BoardingList(Struct, kw_only=True, frozen=True):
    """Who is on board of a flight."""

    flight_id: str
    counts: Counts
    data: list[BoardedPassenger]


class RecordedScan(Struct, kw_only=True, frozen=True):
    """One scan of the past; the barcode itself is not kept."""

    id: int
    scanned_at: datetime
    board_point: str | None
    result: ScanResult
    detail: str
    passenger_id: str | None
    actor: str


@plugin.post("/flights/{flight_id:str}/boardings", permission="boarding:board", status=200)
async def scan_boarding_pass(uow: UnitOfWork, flight_id: str, data: BoardingRequest) -> Boarding:
    """Scan a boarding pass at the gate.

    Answers 200 for every barcode; `result` says whether the passenger may board. However many
    gates scan one pass at the same time, exactly one is told `boarded`. Every scan is recorded.
    """
    await require_station(uow, "boarding:board", flight_id, data.board_point)
    found = await scan(uow, flight_id, data.bcbp, data.board_point)
    roll = await roll_of(uow, flight_id, data.board_point)
    return Boarding(
        result=found.result,
        detail=found.detail,
        passenger=_passenger(found),
        counts=roll.counts,
    )


def _passenger(found: Scan) -> ScannedPassenger | None:
    if found.check_in is not None:
        name = found.passenger_name or found.check_in.family_name
        return ScannedPassenger(
            name=name, seat=found.check_in.seat, sequence=found.check_in.sequence
        )
    return ScannedPassenger(name=found.passenger_name) if found.passenger_name else None


@plugin.get("/flights/{flight_id:str}/boardings", permission="boarding:read")
async def list_boardings(
    uow: UnitOfWork, flight_id: str, board_point: str | None = None
) -> BoardingList:
    """List who is on board, with the counts, by board point and sequence."""
    await require_station(uow, "boarding:read", flight_id, board_point)
    roll = await roll_of(uow, flight_id, board_point)
    return BoardingList(flight_id=flight_id, counts=roll.counts, data=roll.boarded)


@plugin.get("/flights/{flight_id:str}/no-shows", permission="boarding:read")
async def list_no_shows(
    uow: UnitOfWork, flight_id: str, board_point: str | None = None
) -> Page[NoShow]:
    """List passengers with a ticket who are not on board now, with the bags to take off."""
    await require_station(uow, "boarding:read", flight_id, board_point)
    roll = await roll_of(uow, flight_id, board_point)
    return Page(data=roll.no_shows())


@plugin.get("/flights/{flight_id:str}/scans", permission="boarding:read", read_only=True)
async def list_scans(
    uow: UnitOfWork, flight_id: str, cursor: str | None = None, board_point: str | None = None
) -> Page[RecordedScan]:
    """List the scans at the flight's gates, the latest first, a hundred on a page."""
    await require_station(uow, "boarding:read", flight_id, board_point)
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise BadRequest("The cursor is not one that this list gave.", code="invalid-cursor")
    before = None if cursor is None else int(cursor)
    rows = await store.scans_of(uow, flight_id, before, _SCANS_PER_PAGE, board_point)
    full = len(rows) == _SCANS_PER_PAGE
    return Page(
        data=[RecordedScan(**row) for row in rows],
        next_cursor=str(rows[-1]["id"]) if full else None,
    )
