from __future__ import annotations

from pss_kernel import UnitOfWork
from pss_notes.contracts import note_read, polished, title_of
from pss_rogue import Settings, plugin
from pss_rogue.contracts import decorated, rogue_word
from pss_rogue.wrongs import do_wrong


@plugin.hook(note_read, order=20)
async def told(uow: UnitOfWork, note_id: str) -> None:
    await do_wrong(uow, uow.settings(Settings).does)


@plugin.hook(title_of, order=20)
async def title(uow: UnitOfWork, body: str) -> str | None:
    await do_wrong(uow, uow.settings(Settings).does)
    return "rogue's title"


@plugin.hook(polished, order=60)
async def polish(uow: UnitOfWork, body: str) -> str:
    return f"{body}?"


@plugin.hook(decorated)
async def decorate(uow: UnitOfWork, text: str) -> str:
    return f"~{text}~"


@plugin.provides(rogue_word)
async def word(uow: UnitOfWork) -> str:
    await do_wrong(uow, uow.settings(Settings).does)
    return "word"
