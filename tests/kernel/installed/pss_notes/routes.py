from __future__ import annotations

import datetime as dt
import decimal
from typing import Annotated, Literal

import msgspec
from litestar.params import Parameter
from sqlalchemy import select

from pss_kernel import Answer, Content, Money, Page, UnitOfWork, Work
from pss_notes import plugin, store
from pss_notes.contracts import Note, NoteErased, polished
from pss_notes.models import note
from pss_notes.scripted import play

Limit = Annotated[int, Parameter(ge=1, le=100)]


class NewNote(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    body: Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]


class Shelf(msgspec.Struct):
    bodies: list[str]
    replica: bool


class Line(msgspec.Struct, kw_only=True):
    kind: Literal["plain", "bold"]
    on: dt.date
    count: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1


class Form(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    lines: Annotated[list[Line], msgspec.Meta(min_length=1, max_length=3)]
    price: Money | None = None
    at: dt.datetime | None = None
    ratio: decimal.Decimal | None = None
    tags: dict[str, int] = {}


@plugin.get("/notes", permission="notes:see")
async def list_notes(uow: UnitOfWork, limit: Limit = 10, erased: bool = False) -> Page[Note]:
    """The latest notes."""
    query = select(note.c.note_id, note.c.body).order_by(note.c.note_id.desc()).limit(limit)
    rows = [] if erased else await uow.fetch_all(query)
    return Page([Note(row["note_id"], row["body"]) for row in rows])


@plugin.get("/shelf", permission="notes:see", read_only=True)
async def show_shelf(uow: UnitOfWork) -> Shelf:
    """All notes, from wherever they may be read, and whether that was a replica."""
    ((replica,),) = await uow.hot("SELECT pg_is_in_recovery()")
    await play("reading", uow)
    rows = await uow.fetch_all(select(note.c.body).order_by(note.c.body))
    return Shelf([row["body"] for row in rows], replica)


@plugin.get("/notes/{note_id:str}", permission="notes:read")
async def show_note(uow: UnitOfWork, note_id: str) -> Note:
    """One note, polished by whoever wants to."""
    found = await store.read_note(uow, note_id)
    return Note(found.id, await uow.call(polished, body=found.body, note_id=note_id))


@plugin.post("/notes", permission="notes:write")
async def write_note(uow: UnitOfWork, data: NewNote) -> Note:
    """Write a note."""
    written = await store.write_note(uow, data.body)
    await play("writing", uow, written)
    return written


@plugin.post("/secret-notes", permission="notes:write", confidential=True)
async def whisper(uow: UnitOfWork, data: NewNote) -> int:
    """How long something is that nobody shall keep."""
    return len(data.body)


@plugin.delete("/notes/{note_id:str}", permission="notes:write")
async def erase_note(uow: UnitOfWork, note_id: str) -> Note:
    """Erase a note."""
    found = await store.read_note(uow, note_id)
    await store.erase_note(uow, note_id)
    uow.emit(NoteErased(note_id=note_id), stream=note_id)
    return found


@plugin.post("/dictations", permission="notes:write")
async def dictate(work: Work, data: NewNote) -> Note:
    """Write a note in two steps, as one does around a call to another company."""
    async with work.begin() as uow:
        await store.leave_trace(uow, "dictation", "begun")
    await play("dictating", work)
    async with work.begin() as uow:
        written = await store.write_note(uow, data.body)
        await work.answer(uow, written)
    return written


@plugin.post("/counters/{name:str}/takes", permission="notes:write")
async def take(uow: UnitOfWork, name: str) -> Answer[dict[str, str]]:
    """Take one, unless the counter has run out."""
    store.take_one(uow, name)
    return Answer({"took": name}, status=202)


@plugin.post("/forms", permission="notes:see", status=200)
async def check_form(uow: UnitOfWork, data: Form) -> Form:
    """Give back what was understood."""
    return data


@plugin.get("/pictures/dot.svg", permission="notes:see")
async def picture(uow: UnitOfWork) -> Content:
    """Something that is not JSON."""
    return Content(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", "dot.svg")
