from __future__ import annotations

from pss_echo import plugin
from pss_echo.contracts import echo_of
from pss_kernel import UnitOfWork
from pss_notes.contracts import note_by_id


@plugin.get("/echoes/{note_id:str}", permission="echo:hear")
async def hear(uow: UnitOfWork, note_id: str) -> dict[str, str]:
    """The note's text, twice."""
    note = await note_by_id(uow, note_id)
    return {"echo": await echo_of(uow, note.body)}
