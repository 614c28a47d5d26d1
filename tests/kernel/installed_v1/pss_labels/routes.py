"""Write, change and list captions."""

from __future__ import annotations

import msgspec

from pss_kernel import Page, UnitOfWork, new_id
from pss_labels import plugin


class Words(msgspec.Struct, frozen=True):
    """What a label says."""

    text: str


class Label(msgspec.Struct, frozen=True):
    """One label."""

    id: str
    text: str


@plugin.post("/labels", permission="labels:write")
async def write_label(uow: UnitOfWork, data: Words) -> Label:
    """Write a label."""
    label_id = new_id("lab")
    await uow.hot("INSERT INTO label (label_id, caption) VALUES ($1, $2)", label_id, data.text)
    return Label(label_id, data.text)


@plugin.put("/labels/{label_id:str}", permission="labels:write")
async def change_label(uow: UnitOfWork, label_id: str, data: Words) -> Label:
    """Let it say something else."""
    await uow.hot("UPDATE label SET caption = $2 WHERE label_id = $1", label_id, data.text)
    return Label(label_id, data.text)


@plugin.get("/labels", permission="labels:write")
async def list_labels(uow: UnitOfWork) -> Page[Label]:
    """All labels."""
    rows = await uow.hot("SELECT label_id, caption FROM label ORDER BY label_id")
    return Page([Label(row["label_id"], row["caption"]) for row in rows])
