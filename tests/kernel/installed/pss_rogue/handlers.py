from __future__ import annotations

from pss_kernel import UnitOfWork
from pss_notes import store
from pss_notes.contracts import NoteWritten
from pss_rogue import Settings, plugin
from pss_rogue.wrongs import do_wrong


@plugin.on(NoteWritten, budget=0.3)
async def hear(uow: UnitOfWork, event: NoteWritten) -> None:
    await store.leave_trace(uow, "rogue heard", event.note_id)
    await do_wrong(uow, uow.settings(Settings).does)


@plugin.job(every=3600, budget=0.3)
async def visit(uow: UnitOfWork) -> None:
    await store.leave_trace(uow, "rogue job", "visited")
    await do_wrong(uow, uow.settings(Settings).does)
