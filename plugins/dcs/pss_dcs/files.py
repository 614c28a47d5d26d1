from pathlib import Path

from pss_kernel import Invalid, Progress, UnitOfWork

from . import plugin, store
from .seat_map import SeatMap
from .seat_map_files import check_seat_map, read_seat_map

__all__: list[str] = []


@plugin.tenant_files("seatmaps", pattern="seatmaps/*.toml", check=check_seat_map)
async def load_seat_maps(uow: UnitOfWork, paths: list[Path], progress: Progress) -> str:
    """Make the files' seat maps the airline's. Raises Invalid when two are of one type."""
    maps: dict[str, SeatMap] = {}
    for number, path in enumerate(sorted(paths), start=1):
        one = read_seat_map(path)
        if one.aircraft_type in maps:
            raise Invalid(
                f"{path.name} and another file are both seat maps of {one.aircraft_type}.",
                mend="Keep one of them.",
            )
        maps[one.aircraft_type] = one
        progress(number, len(paths))
    await store.replace_seat_maps(uow, list(maps.values()))
    seats = sum(len(one.seats) for one in maps.values())
    return f"{len(maps)} seat maps with {seats} seats."
