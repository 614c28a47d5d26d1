from pss_kernel import UnitOfWork

from . import contracts, plugin, store
from .contracts import BcbpMatch, CheckIn
from .matching import match_barcode

__all__: list[str] = []


@plugin.provides(contracts.check_in_of_bcbp)
async def _check_in_of_bcbp(
    uow: UnitOfWork, flight_id: str, bcbp: str, board_point: str | None = None
) -> BcbpMatch:
    return await match_barcode(uow, flight_id, bcbp, board_point)


@plugin.provides(contracts.manifest)
async def _manifest(uow: UnitOfWork, flight_id: str) -> list[CheckIn]:
    return await store.check_ins_of_flight(uow, flight_id)
