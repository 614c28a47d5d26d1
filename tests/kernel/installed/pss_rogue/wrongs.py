"""Each wrong, as a careless author would do it."""

from __future__ import annotations

import asyncio
import contextlib
import time

from sqlalchemy import text

from pss_kernel import Conflict, UnitOfWork, Work


async def do_wrong(uow: UnitOfWork, does: str) -> None:
    if does == "hang":
        await asyncio.Event().wait()
    if does == "hang-in-core":
        await uow.execute(text("SELECT pg_sleep(60)"))
    if does == "hang-in-sql":
        await uow.hot("SELECT pg_sleep(60)")
    if does == "raise":
        raise KeyError("a mistake")
    if does == "block":
        time.sleep(0.35)  # noqa: ASYNC251 - the wrong itself: the whole process stands still
    if does == "eat-database":
        await uow.hot("SELECT pg_sleep(0.06)")
    if does in {"break-savepoint", "break-transaction"}:
        with contextlib.suppress(Exception):
            await uow.hot("SELECT 1 / 0")
    if does == "refuse":
        raise Conflict("Not today.")


async def open_units(work: Work, does: str) -> None:
    if does == "leak":
        await work.begin().__aenter__()
    if does == "spawn":
        while True:
            await work.begin().__aenter__()
