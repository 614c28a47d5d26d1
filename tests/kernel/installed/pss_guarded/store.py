"""Writing and reading visitors."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select

from pss_guarded.models import visitor
from pss_kernel import UnitOfWork, new_id

_PLACE = "visitor.contact"


async def write_visitors(uow: UnitOfWork, contacts: dict[str, Any]) -> dict[str, str]:
    """Visitors by name; their ids."""
    ids = {name: new_id("vis") for name in contacts}
    sealed = await uow.seal({ids[name]: {_PLACE: one} for name, one in contacts.items()})
    rows = [
        {"visitor_id": ids[name], "name": name, "contact": sealed[ids[name]][_PLACE]}
        for name in contacts
    ]
    await uow.execute(insert(visitor), rows)
    return ids


async def read_visitors(uow: UnitOfWork, ids: list[str]) -> dict[str, Any]:
    """The contacts by id."""
    rows = await uow.fetch_all(select(visitor).where(visitor.c.visitor_id.in_(ids)))
    opened = await uow.unseal({row["visitor_id"]: {_PLACE: row["contact"]} for row in rows})
    return {subject: fields[_PLACE] for subject, fields in opened.items()}
