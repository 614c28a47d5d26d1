from __future__ import annotations

from pss_kernel import UnitOfWork
from pss_notes import plugin, store
from pss_notes.contracts import Note, note_by_id, note_read, polished, title_of
from pss_notes.scripted import play


@plugin.hook(title_of, order=50)
async def own_title(uow: UnitOfWork, body: str) -> str | None:
    title: str | None = await play("notes title", uow, body)
    return title


@plugin.hook(polished, order=50)
async def own_polish(uow: UnitOfWork, body: str) -> str:
    return body if body.startswith("=") else f"{body}."


@plugin.hook(note_read, order=50)
async def own_note_read(uow: UnitOfWork, note_id: str) -> None:
    await store.leave_trace(uow, "notes told", note_id)


@plugin.provides(note_by_id)
async def provide_note(uow: UnitOfWork, note_id: str) -> Note:
    return await store.read_note(uow, note_id)
