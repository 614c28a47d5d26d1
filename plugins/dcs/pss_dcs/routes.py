"""Seat maps, check-in and boarding passes over HTTP."""

from typing import Annotated

from litestar.params import QueryParameter

from pss_inventory.contracts import flight_by_id
from pss_kernel import Content, Page, UnitOfWork, Work, check_id

from . import plugin, store
from .availability import SegmentSeatMap, seat_maps
from .check_in import CheckInAnswer, check_in
from .contracts import BoardingPass, CheckIn
from .drawing import drawn
from .offload import Offloaded, offload
from .passes import brand_of, face_of, show_pass
from .requests import CheckInRequest

__all__: list[str] = []


@plugin.get("/seat-maps", permission="dcs:shop")
async def list_seat_maps(
    uow: UnitOfWork,
    order_id: Annotated[str | None, QueryParameter(description="Of the order's segments.")] = None,
    offer_id: Annotated[str | None, QueryParameter(description="Of the offer's segments.")] = None,
) -> Page[SegmentSeatMap]:
    """Show the cabin of each segment, with the seats that are free now."""
    return Page(data=await seat_maps(uow, order_id, offer_id), next_cursor=None)


@plugin.post("/check-ins", permission="dcs:check-in", limit="lookup")
async def create_check_in(uow: UnitOfWork, data: CheckInRequest) -> CheckInAnswer:
    """Check passengers in and give them their boarding passes; asking again gives the same."""
    return await check_in(uow, data)


@plugin.delete("/check-ins/{check_in_id:str}", permission="dcs:offload")
async def delete_check_in(uow: UnitOfWork, check_in_id: str) -> Offloaded:
    """Offload a passenger from a segment and those after it in the same slice."""
    return await offload(uow, check_id("chk", check_in_id))


@plugin.get("/flights/{flight_id:str}/check-ins", permission="dcs:read")
async def list_check_ins(uow: UnitOfWork, flight_id: str) -> Page[CheckIn]:
    """List those checked in on a flight: its manifest.

    To whose role is narrowed to the own station, those who board there.
    """
    flight = await flight_by_id(uow, check_id("flt", flight_id))
    stations = {leg.origin for leg in flight.legs}
    own = {one for one in stations if uow.allowed("dcs:read", station=one)}
    if not own:
        uow.require("dcs:read", station=flight.legs[0].origin)
    check_ins = await store.check_ins_of_flight(uow, flight.id)
    return Page(data=[one for one in check_ins if one.origin in own], next_cursor=None)


@plugin.get("/boarding-passes/{pass_id:str}", permission="dcs:check-in")
async def show_boarding_pass(uow: UnitOfWork, pass_id: str) -> BoardingPass:
    """Show a boarding pass to whoever has its id."""
    return await show_pass(uow, pass_id)


@plugin.get(
    "/boarding-passes/{pass_id:str}/image.png", permission="dcs:check-in", produces="image/png"
)
async def draw_boarding_pass(work: Work, pass_id: str) -> Content:
    """Draw a boarding pass for a telephone's screen."""
    async with work.begin() as uow:
        face = await face_of(uow, pass_id)
    # Drawing takes a moment of the processor: no transaction is open meanwhile.
    image = await drawn("png", face, brand_of(work.tenant))
    return Content(image, "image/png")


@plugin.get(
    "/boarding-passes/{pass_id:str}/document.pdf",
    permission="dcs:check-in",
    produces="application/pdf",
)
async def print_boarding_pass(work: Work, pass_id: str) -> Content:
    """Draw a boarding pass for printing on A4."""
    async with work.begin() as uow:
        face = await face_of(uow, pass_id)
    document = await drawn("pdf", face, brand_of(work.tenant))
    name = f"boarding-pass-{face.booking_reference}.pdf"
    return Content(document, "application/pdf", name)
