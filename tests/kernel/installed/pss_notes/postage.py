"""Notes that are posted: what a role may narrow, asked about, and forgotten to be asked about."""

from __future__ import annotations

import msgspec

from pss_kernel import Money, UnitOfWork, Work
from pss_notes import plugin, store
from pss_notes.contracts import Note


class Posting(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    body: str
    branch: str
    postage: Money


@plugin.post("/postings", permission="notes:post")
async def post_note(uow: UnitOfWork, data: Posting) -> Note:
    """Post a note at a branch, for some postage."""
    uow.require("notes:post", up_to=data.postage, branch=data.branch)
    return await store.write_note(uow, data.body)


@plugin.post("/postings/forgetful", permission="notes:post")
async def post_forgetfully(uow: UnitOfWork, data: Posting) -> Note:
    """Post a note without asking whose it is."""
    return await store.write_note(uow, data.body)


@plugin.post("/postings/in-steps", permission="notes:post")
async def post_in_steps(work: Work, data: Posting) -> Note:
    """Post a note, and ask afterwards."""
    async with work.begin() as uow:
        posted = await store.write_note(uow, data.body)
    async with work.begin() as uow:
        uow.require("notes:post", up_to=data.postage, branch=data.branch)
    return posted


@plugin.get("/postings/{branch:str}", permission="notes:post")
async def count_postings(work: Work, branch: str) -> int:
    """Tell a number without looking at anything."""
    return len(branch)
