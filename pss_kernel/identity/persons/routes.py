"""People's demands over HTTP: what is kept about them, and its erasure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from pss_kernel.identity import plugin
from pss_kernel.persistence import UnitOfWork
from pss_kernel.personal._persons import erase_persons, export_persons, persons_of
from pss_kernel.personal.contracts import ErasedData, PersonalRecord, PersonQuery

__all__ = ["PersonErasure", "PersonExport", "erase_person", "export_person"]

_SECONDS = 120.0


class WantedPerson(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An id, an e-mail address, or a booking reference with a family name."""

    id: str | None = None
    email: str | None = None
    reference: str | None = msgspec.field(default=None, name="booking_reference")
    family_name: str | None = None
    given_name: str | None = None

    def query(self) -> PersonQuery:
        """As plugins are asked."""
        return PersonQuery(**msgspec.structs.asdict(self))


class WantedErasure(WantedPerson, kw_only=True):
    """The same; ``dry_run`` only says what would be erased, and what kept and why."""

    dry_run: bool = False

    def query(self) -> PersonQuery:
        """As plugins are asked."""
        facts = msgspec.structs.asdict(self)
        del facts["dry_run"]
        return PersonQuery(**facts)


class PersonExport(msgspec.Struct, kw_only=True):
    """All that is kept about a person."""

    persons: list[str]
    exported_at: datetime
    records: list[PersonalRecord]


class PersonErasure(msgspec.Struct, kw_only=True):
    """What was erased, and what is kept and why."""

    persons: list[str]
    dry_run: bool
    outcomes: list[ErasedData]


@plugin.post(
    "/persons/exports",
    permission="identity:persons-manage",
    summary="What is kept about a person",
    budget=_SECONDS,
    confidential=True,
)
async def export_person(uow: UnitOfWork, data: WantedPerson) -> PersonExport:
    """Give all that is kept about a person, plugin by plugin, with what it is kept for."""
    persons = await persons_of(uow, data.query())
    records = await export_persons(uow, persons)
    for person in persons:
        uow.audit("person.exported", person)
    return PersonExport(persons=persons, exported_at=await uow.now(), records=records)


@plugin.post(
    "/persons/erasures",
    permission="identity:persons-erase",
    summary="Erase what is kept about a person",
    budget=_SECONDS,
    confidential=True,
)
async def erase_person(uow: UnitOfWork, data: WantedErasure) -> PersonErasure:
    """Erase what need not be kept, and say what is kept and why. Nothing brings it back."""
    persons = await persons_of(uow, data.query())
    outcomes = await erase_persons(uow, persons, dry_run=data.dry_run)
    return PersonErasure(persons=persons, dry_run=data.dry_run, outcomes=outcomes)
