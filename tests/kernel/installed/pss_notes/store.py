"""The statements of notes and counters."""

from __future__ import annotations

from sqlalchemy import delete, insert, select

from pss_kernel import NotFound, UnitOfWork, new_id
from pss_notes.contracts import Exhausted, Note, NoteWritten
from pss_notes.models import counter, note, trace

_TAKE = "UPDATE counter SET remaining = remaining - 1 WHERE name = $1 AND remaining > 0 RETURNING 1"


async def write_note(uow: UnitOfWork, body: str) -> Note:
    written = Note(new_id("note"), body)
    await uow.execute(insert(note).values(note_id=written.id, body=body))
    uow.emit(NoteWritten(note_id=written.id), stream=written.id)
    return written


async def read_note(uow: UnitOfWork, note_id: str) -> Note:
    found = await uow.fetch_one(
        select(note.c.note_id, note.c.body).where(note.c.note_id == note_id)
    )
    if found is None:
        raise NotFound(f"There is no note {note_id!r}.")
    return Note(found["note_id"], found["body"])


async def erase_note(uow: UnitOfWork, note_id: str) -> None:
    await uow.execute(delete(note).where(note.c.note_id == note_id))


async def set_counter(uow: UnitOfWork, name: str, remaining: int) -> None:
    await uow.execute(insert(counter).values(name=name, remaining=remaining))


def take_one(uow: UnitOfWork, name: str) -> None:
    uow.take((name,), _TAKE, name, otherwise=Exhausted(f"{name} has run out."))


async def left_in(uow: UnitOfWork, name: str) -> int:
    left: int = await uow.scalar(select(counter.c.remaining).where(counter.c.name == name))
    return left


async def leave_trace(uow: UnitOfWork, who: str, what: str) -> None:
    await uow.execute(insert(trace).values(who=who, what=what))


async def traces(uow: UnitOfWork, who: str) -> list[str]:
    rows = await uow.fetch_all(
        select(trace.c.what).where(trace.c.who == who).order_by(trace.c.position)
    )
    return [row["what"] for row in rows]
