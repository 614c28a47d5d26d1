"""What plugins are asked about people, beside what their manifests say of their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pss_kernel.hooks._spec import hookspec

if TYPE_CHECKING:
    from pss_kernel.persistence._unit_of_work import UnitOfWork

__all__ = [
    "ErasedData",
    "PersonQuery",
    "PersonalRecord",
    "erase_personal_data",
    "find_persons",
    "personal_data_of",
    "reasons_to_keep",
]

_SECONDS = 120.0


class PersonQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Who is looked for: an id, an e-mail address, or a booking reference with a family name."""

    id: str | None = None
    email: str | None = None
    reference: str | None = None
    family_name: str | None = None
    given_name: str | None = None
    """Narrows a booking reference to one of several with that family name."""


class PersonalRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is kept about a person."""

    plugin: str
    place: str
    """Such as the table."""
    person: str
    purpose: str
    data: dict[str, Any]
    special: bool = False


class ErasedData(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one kind of data: how many were erased, or why they are kept."""

    plugin: str
    place: str
    what: str
    count: int
    kept: str | None = None


@hookspec("pipeline", budget=_SECONDS)
async def find_persons(uow: UnitOfWork, persons: list[str], query: PersonQuery) -> list[str]:
    """Add the ids of those whom the query means; an id goes through as it is."""


@hookspec("pipeline", budget=_SECONDS)
async def personal_data_of(
    uow: UnitOfWork, records: list[PersonalRecord], persons: list[str]
) -> list[PersonalRecord]:
    """Add what is kept about these people elsewhere than in the tables of the manifest."""


@hookspec("pipeline", budget=_SECONDS)
async def reasons_to_keep(uow: UnitOfWork, reasons: list[str], persons: list[str]) -> list[str]:
    """Add why nothing of these people may be erased yet, in whole sentences."""


@hookspec("pipeline", budget=_SECONDS)
async def erase_personal_data(
    uow: UnitOfWork, outcomes: list[ErasedData], persons: list[str], dry_run: bool
) -> list[ErasedData]:
    """Erase what is kept elsewhere than in those tables, or with ``dry_run`` say what would be."""
