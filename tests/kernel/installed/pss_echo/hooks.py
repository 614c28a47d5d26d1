from __future__ import annotations

from pss_echo import plugin
from pss_echo.contracts import echo_of
from pss_kernel import UnitOfWork
from pss_notes.contracts import note_read, polished, title_of
from pss_notes.scripted import play


@plugin.hook(title_of, order=10)
async def title(uow: UnitOfWork, body: str) -> str | None:
    answer: str | None = await play("echo title", uow, body)
    return answer


@plugin.hook(polished, order=90)
async def louder(uow: UnitOfWork, note_id: str, body: str) -> str:
    await play("echo polish", uow, note_id)
    return f"{body}!"


@plugin.hook(note_read, order=10)
async def heard(uow: UnitOfWork, note_id: str) -> None:
    await play("echo told", uow, note_id)


@plugin.provides(echo_of)
async def twice(uow: UnitOfWork, text: str) -> str:
    return f"{text} {text}"
