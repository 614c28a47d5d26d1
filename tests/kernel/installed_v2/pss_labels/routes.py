"""Write, change and list titles; captions, where the tables are still those of version 1."""

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


def _column(uow: UnitOfWork) -> str:
    return "title" if uow.has_revision("0002") else "caption"


@plugin.post("/labels", permission="labels:write")
async def write_label(uow: UnitOfWork, data: Words) -> Label:
    """Write a label."""
    label_id = new_id("lab")
    sql = f"INSERT INTO label (label_id, {_column(uow)}) VALUES ($1, $2)"
    await uow.hot(sql, label_id, data.text)
    return Label(label_id, data.text)


@plugin.put("/labels/{label_id:str}", permission="labels:write")
async def change_label(uow: UnitOfWork, label_id: str, data: Words) -> Label:
    """Let it say something else."""
    sql = f"UPDATE label SET {_column(uow)} = $2 WHERE label_id = $1"
    await uow.hot(sql, label_id, data.text)
    return Label(label_id, data.text)


@plugin.get("/labels", permission="labels:write")
async def list_labels(uow: UnitOfWork) -> Page[Label]:
    """All labels."""
    rows = await uow.hot(f"SELECT label_id, {_column(uow)} AS text FROM label ORDER BY label_id")
    return Page([Label(row["label_id"], row["text"]) for row in rows])
