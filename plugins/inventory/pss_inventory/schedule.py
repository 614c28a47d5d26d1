"""Making the database's flights those of the schedule files."""

import zlib
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from pss_kernel import Progress, UnitOfWork

from .airports import find_airport, zone
from .expand import DatedFlight, FlightKey, expand
from .schedule_change import Change, change_flights, taken_seats
from .schedule_store import (
    CabinsByFlight,
    StoredFlight,
    cancel,
    insert_flights,
    lock_cabins,
    rebuild_markets,
    save_airports,
    stored_flights,
)
from .seats import cabin_seats
from .settings import Settings
from .ssim import Finding, FlightLeg, read

__all__ = ["LoadReport", "extend_schedule", "load_schedule", "zone_of_airport"]

FLIGHTS_PER_COPY = 3000

# One load at a time for each airline.
LOCK = "SELECT pg_advisory_xact_lock(hashtext(current_schema() || ' inventory schedule'))"
SAVE_FILE = """
INSERT INTO schedule_file (name, source, content, expanded_until) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE
SET source = excluded.source, content = excluded.content,
    expanded_until = excluded.expanded_until, loaded_at = now()
"""
FORGET_FILES = "DELETE FROM schedule_file WHERE source = 'tenant' AND name <> ALL ($1::text[])"
FILES = "SELECT name, content, expanded_until FROM schedule_file ORDER BY name"
EXPANDED = "UPDATE schedule_file SET expanded_until = $1"


class LoadReport(Struct, kw_only=True):
    """What a load did. `kept` names the flights that it left alone because of passengers."""

    start: date
    end: date
    flights: int = 0
    added: int = 0
    changed: int = 0
    withdrawn: int = 0
    kept: list[str] = field(default_factory=list)
    findings: dict[str, list[Finding]] = field(default_factory=dict)

    def sentence(self) -> str:
        """Tell the report in plain sentences."""
        text = (
            f"{self.flights:,} flights from {self.start} to {self.end}: {self.added:,} new,"
            f" {self.changed:,} changed, {self.withdrawn:,} withdrawn."
        )
        if self.kept:
            text += f" {len(self.kept)} need attention: {' '.join(self.kept[:5])}"
        return text


def zone_of_airport(code: str) -> ZoneInfo | None:
    """Find the airport's time zone; None for an airport nobody knows."""
    airport = find_airport(code)
    return zone(airport.time_zone) if airport else None


def no_progress(done: int, total: int) -> None:
    """For loads that nobody watches."""


async def load_schedule(
    uow: UnitOfWork,
    files: Mapping[str, bytes],
    *,
    source: Literal["tenant", "import"],
    progress: Progress = no_progress,
) -> LoadReport:
    """Store the files and make the flights from today to the horizon theirs.

    Files of the source "tenant" replace all earlier ones of that source; those of "import" are
    added or replace a file of the same name. Loading the same files again changes nothing.
    """
    await uow.hot(LOCK)
    today, end = await _window(uow)
    for name, content in files.items():
        await uow.hot(SAVE_FILE, name, source, zlib.compress(content), end)
    if source == "tenant":
        await uow.hot(FORGET_FILES, list(files))
    report = await _bring_up_to_date(uow, today, end, progress)
    counts = {name: getattr(report, name) for name in ("flights", "added", "changed", "withdrawn")}
    uow.audit("inventory.schedule-loaded", source, after={"files": sorted(files), **counts})
    return report


async def extend_schedule(uow: UnitOfWork) -> LoadReport | None:
    """Open the days that have come within the horizon since the last load, if any."""
    await uow.hot(LOCK)
    _, end = await _window(uow)
    expanded = [row["expanded_until"] for row in await uow.hot(FILES)]
    if not expanded or min(expanded) >= end:
        return None
    return await _bring_up_to_date(uow, min(expanded) + timedelta(days=1), end, no_progress)


async def _window(uow: UnitOfWork) -> tuple[date, date]:
    """Find today, in the airline's own time zone, and the last day of the horizon."""
    today = (await uow.now()).astimezone(zone(uow.tenant.time_zone)).date()
    return today, today + timedelta(days=uow.settings(Settings).horizon_days)


async def _bring_up_to_date(
    uow: UnitOfWork, start: date, end: date, progress: Progress
) -> LoadReport:
    report = LoadReport(start=start, end=end)
    wanted = await _wanted(uow, report)
    report.flights = len(wanted)
    await save_airports(
        uow,
        {c for one in wanted.values() for leg in one.legs for c in (leg.origin, leg.destination)},
    )
    stored = await stored_flights(uow, start, end)
    await _change_stored(uow, wanted, stored, report)
    new = [flight for key, flight in wanted.items() if key not in stored]
    for first in range(0, len(new), FLIGHTS_PER_COPY):
        await insert_flights(uow, new[first : first + FLIGHTS_PER_COPY])
        progress(min(first + FLIGHTS_PER_COPY, len(new)), len(new))
    report.added = len(new)
    if report.added or report.changed or report.withdrawn:
        await rebuild_markets(uow)
    await uow.hot(EXPANDED, end)
    return report


async def _wanted(uow: UnitOfWork, report: LoadReport) -> dict[FlightKey, DatedFlight]:
    """Expand all stored files over the report's days; a later file wins over an earlier."""
    settings = uow.settings(Settings)

    def seats_of(leg: FlightLeg) -> Mapping[str, int]:
        return cabin_seats(leg.configuration, leg.aircraft_type, settings)

    wanted: dict[FlightKey, DatedFlight] = {}
    for row in await uow.hot(FILES):
        file = read(zlib.decompress(row["content"])).file
        expansion = expand(file, report.start, report.end, zone_of_airport, seats_of)
        report.findings[row["name"]] = expansion.findings
        wanted.update(
            (key, flight)
            for key, flight in expansion.flights.items()
            if settings.carrier in {"", key.carrier}
        )
    return wanted


async def _change_stored(
    uow: UnitOfWork,
    wanted: Mapping[FlightKey, DatedFlight],
    stored: Mapping[FlightKey, StoredFlight],
    report: LoadReport,
) -> None:
    """Withdraw and change what is in the database. Flights that have left are history."""
    ahead = {key: one for key, one in stored.items() if not one.departed}
    vanished = {one.id: key for key, one in ahead.items() if key not in wanted and one.scheduled}
    changes = [
        Change(one, wanted[key])
        for key, one in ahead.items()
        if key in wanted and one.digest != wanted[key].digest
    ]
    if vanished or changes:
        ids = [*vanished, *(change.stored.id for change in changes)]
        cabins = await lock_cabins(uow, ids)
        await _withdraw(uow, vanished, cabins, report)
        report.changed, notes = await change_flights(uow, changes, cabins)
        report.kept.extend(notes)


async def _withdraw(
    uow: UnitOfWork, vanished: Mapping[str, FlightKey], cabins: CabinsByFlight, report: LoadReport
) -> None:
    """Cancel the flights that the schedule no longer has, unless they have passengers."""
    empty: list[str] = []
    for flight_id, key in vanished.items():
        taken = taken_seats(cabins.get(flight_id, []))
        if taken:
            report.kept.append(
                f"{key.carrier}{key.flight_number} on {key.flight_date} is no longer in the"
                f" schedule but has {taken} seats held or sold; it stays."
            )
        else:
            empty.append(flight_id)
    await cancel(uow, empty)
    report.withdrawn = len(empty)
