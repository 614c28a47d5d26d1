from __future__ import annotations

from pss_kernel import UnitOfWork, Work
from pss_notes import plugin, store
from pss_notes.scripted import play


@plugin.job(every=3600)
async def tidy(uow: UnitOfWork) -> None:
    await store.leave_trace(uow, "tidy", uow.actor.label)
    await play("tidying", uow)


@plugin.job(cron="30 2 * * *")
async def nightly(work: Work) -> None:
    async with work.begin() as uow:
        await store.leave_trace(uow, "nightly", uow.tenant.code)
