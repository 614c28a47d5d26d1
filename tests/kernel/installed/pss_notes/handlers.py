from __future__ import annotations

from pss_kernel import UnitOfWork
from pss_notes import plugin, store
from pss_notes.contracts import NoteWritten


@plugin.on(NoteWritten)
async def index_note(uow: UnitOfWork, event: NoteWritten) -> None:
    await store.leave_trace(uow, "index", event.note_id)
