"""Whose gate it is: a role may be narrowed to flights from the own station."""

from pss_inventory.contracts import flight_by_id
from pss_kernel import Own, UnitOfWork

__all__ = ["AT_STATION", "require_station"]

AT_STATION = Own("station", "the airport where passengers board")


async def require_station(
    uow: UnitOfWork, permission: str, flight_id: str, board_point: str | None
) -> None:
    """Refuse another station's passengers to whose role is narrowed to the own.

    Without a `board_point` it is about all of the flight, so each of its airports must be the
    own. Raises NotFound for an unknown flight, Forbidden.
    """
    flight = await flight_by_id(uow, flight_id)
    for station in [board_point] if board_point else sorted({leg.origin for leg in flight.legs}):
        uow.require(permission, station=station)
