from __future__ import annotations

from pss_echo import plugin
from pss_kernel import UnitOfWork, Work
from pss_notes import scripted, store
from pss_notes.contracts import NoteErased, NoteWritten


@plugin.on(NoteWritten)
async def copy_note(uow: UnitOfWork, event: NoteWritten) -> None:
    await store.leave_trace(uow, "copy", event.note_id)
    await scripted.play("copying", uow, event)


@plugin.on(NoteErased, name="call_archive")
async def call_archive(work: Work, event: NoteErased) -> None:
    async with work.begin() as uow:
        await store.leave_trace(uow, "archive", event.note_id)
    await scripted.play("archiving", work, event)
