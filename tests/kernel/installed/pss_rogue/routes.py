from __future__ import annotations

from pss_kernel import Answer, UnitOfWork, Work
from pss_notes import store
from pss_rogue import Settings, plugin
from pss_rogue.wrongs import do_wrong, open_units


@plugin.get("/rogue", permission="rogue:call", budget=0.3)
async def call(uow: UnitOfWork) -> Answer[dict[str, str]]:
    """Do what the settings say."""
    does = uow.settings(Settings).does
    await do_wrong(uow, does)
    return Answer({"did": does}, status=500 if does == "answer-500" else 200)


@plugin.post("/rogue/works", permission="rogue:call", budget=0.3)
async def work_on(work: Work) -> dict[str, str]:
    """Do what the settings say, in several units of work."""
    does = work.settings(Settings).does
    async with work.begin() as uow:
        await store.leave_trace(uow, "rogue", "kept")
    await open_units(work, does)
    return {"did": does}
