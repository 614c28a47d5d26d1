"""Inventory over HTTP: markets for everyone, flights and authorisations for the staff."""

import datetime as dt

from msgspec import Struct

from pss_kernel import Page, UnitOfWork

from . import contracts, plugin
from .contracts import Flight, Market
from .flights import LegInventory, authorise, flight_inventory, list_flights

__all__ = ["Authorisations"]


class Authorisations(Struct, frozen=True, forbid_unknown_fields=True):
    """Most seats that booking classes of a cabin, each with all lower ones, may take."""

    cabin: str
    authorised: dict[str, int]


@plugin.get("/markets", permission="inventory:shop", read_only=True)
async def show_markets(uow: UnitOfWork) -> Page[Market]:
    """List the markets on sale, with one connection at most."""
    return Page(data=await contracts.markets(uow), next_cursor=None)


@plugin.get("/flights", permission="inventory:read", read_only=True)
async def show_flights(
    uow: UnitOfWork, date: dt.date, origin: str | None = None, flight: str | None = None
) -> Page[Flight]:
    """List the flights of a flight date; `origin` also finds flights that stop there on the way."""
    return Page(data=await list_flights(uow, date, origin, flight), next_cursor=None)


@plugin.get("/flights/{flight_id:str}", permission="inventory:read", read_only=True)
async def show_flight(uow: UnitOfWork, flight_id: str) -> Flight:
    """Show one dated flight with its legs."""
    return await contracts.flight_by_id(uow, flight_id)


@plugin.get("/flights/{flight_id:str}/authorisations", permission="inventory:read", read_only=True)
async def show_authorisations(uow: UnitOfWork, flight_id: str) -> Page[LegInventory]:
    """Show what every booking class of the flight may sell, holds and has sold."""
    return Page(data=await flight_inventory(uow, flight_id), next_cursor=None)


@plugin.put("/flights/{flight_id:str}/authorisations", permission="inventory:manage")
async def set_authorisations(
    uow: UnitOfWork, flight_id: str, data: Authorisations
) -> Page[LegInventory]:
    """Set what booking classes of one cabin may sell, on all legs of the flight.

    Classes that are not named keep their level. 409 `authorised-below-sold` when more is taken.
    """
    legs = await authorise(uow, flight_id, data.cabin, data.authorised)
    return Page(data=legs, next_cursor=None)
