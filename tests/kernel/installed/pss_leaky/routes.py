from __future__ import annotations

import asyncio
import logging

import structlog

from pss_kernel import Conflict, UnitOfWork
from pss_leaky import plugin
from pss_leaky.contracts import SecretTold, first_secret

_log = structlog.get_logger("leaky")
_plain_log = logging.getLogger("leaky.plain")
_cache: dict[str, str] = {}
_schemas: list[str] = []
_last: list[str] = []
_tasks: set[asyncio.Task[None]] = set()


async def own(uow: UnitOfWork) -> str:
    """The tenant's own secret."""
    rows = await uow.hot("SELECT body FROM secret LIMIT 1")
    return rows[0]["body"] if rows else ""


async def before(uow: UnitOfWork) -> str:
    """The secret of whoever asked before."""
    mine = await own(uow)
    others = [one for one in _last if one != mine]
    _last.append(mine)
    return others[-1] if others else ""


@plugin.get("/leaks/honest/{secret_id:str}", permission="leaky:leak")
async def honest(uow: UnitOfWork, secret_id: str) -> dict[str, object]:
    """No leak: what the database has for this tenant."""
    rows = await uow.hot(
        "SELECT body, words, details FROM secret LEFT JOIN secret_part ON owner = secret_id "
        "WHERE secret_id = $1",
        secret_id,
    )
    return {"asked": secret_id, "found": [dict(row) for row in rows]}


@plugin.get("/leaks/cached", permission="leaky:leak")
async def cached(uow: UnitOfWork) -> dict[str, str]:
    """A cache without the tenant in its key."""
    if "secret" not in _cache:
        _cache["secret"] = await own(uow)
    return {"secret": _cache["secret"]}


@plugin.get("/leaks/qualified", permission="leaky:leak")
async def qualified(uow: UnitOfWork) -> dict[str, str]:
    """SQL that names another tenant's schema."""
    if uow.tenant.schema not in _schemas:
        _schemas.append(uow.tenant.schema)
    rows = await uow.hot(f"SELECT body FROM {_schemas[0]}.secret")
    return {"secret": rows[0]["body"]}


@plugin.post("/leaks/background", permission="leaky:leak")
async def background(uow: UnitOfWork) -> dict[str, str]:
    """A task that outlives the request and goes on with its unit of work."""

    async def later() -> None:
        await asyncio.sleep(0.01)
        await uow.hot("INSERT INTO diary (line) VALUES ('later')")

    task = asyncio.create_task(later())
    _tasks.add(task)
    task.add_done_callback(lambda done: (_tasks.discard(done), done.exception()))
    return {}


@plugin.get("/leaks/logged", permission="leaky:leak")
async def logged(uow: UnitOfWork) -> dict[str, str]:
    """A log line, of a level that nobody reads, with another tenant's secret."""
    _log.debug("asked", before=await before(uow))
    return {}


@plugin.get("/leaks/plain-logged", permission="leaky:leak")
async def plain_logged(uow: UnitOfWork) -> dict[str, str]:
    """The same with Python's own logging."""
    _plain_log.debug("asked before: %s", await before(uow))
    return {}


@plugin.get("/leaks/printed", permission="leaky:leak")
async def printed(uow: UnitOfWork) -> dict[str, str]:
    """The same on standard output."""
    print(await before(uow))  # noqa: T201 - that's the leak
    return {}


@plugin.get("/leaks/refused", permission="leaky:leak")
async def refused(uow: UnitOfWork) -> dict[str, str]:
    """A problem document that names another tenant's secret."""
    raise Conflict(f"Not after {await before(uow)}.")


@plugin.get("/leaks/crashed", permission="leaky:leak")
async def crashed(uow: UnitOfWork) -> dict[str, str]:
    """An exception's text that is logged."""
    raise ValueError(await before(uow))


@plugin.post("/leaks/told", permission="leaky:leak")
async def told(uow: UnitOfWork) -> dict[str, str]:
    """An event with another tenant's secret."""
    uow.emit(SecretTold(secret=await before(uow)), stream="told")
    return {}


@plugin.post("/leaks/kept", permission="leaky:leak")
async def kept(uow: UnitOfWork) -> dict[str, str]:
    """A row with another tenant's secret."""
    await uow.hot("INSERT INTO diary (line) VALUES ($1)", await before(uow))
    return {}


@plugin.post("/leaks/committed", permission="leaky:leak")
async def committed(uow: UnitOfWork) -> dict[str, str]:
    """A transaction that the plugin ends itself."""
    await uow.hot("COMMIT")
    return {}


@plugin.get("/leaks/raced", permission="leaky:leak")
async def raced(uow: UnitOfWork) -> dict[str, list[str]]:
    """A global that another tenant's request changes while this one waits."""
    global _now  # noqa: PLW0603 - that's the leak
    mine, seen = await own(uow), set()
    for _ in range(20):
        _now = mine
        await uow.hot("SELECT 1")
        seen.add(_now)
    return {"secrets": sorted(seen)}


_now = ""


@plugin.provides(first_secret)
async def provide_first_secret(uow: UnitOfWork) -> str:
    """A service that remembers."""
    return await before(uow)


@plugin.on(SecretTold)
async def hear(uow: UnitOfWork, event: SecretTold) -> None:
    """A handler that remembers."""
    await uow.hot("INSERT INTO diary (line) VALUES ($1)", await before(uow))


@plugin.job(every=3600)
async def remind(uow: UnitOfWork) -> None:
    """A job that remembers."""
    await uow.hot("INSERT INTO diary (line) VALUES ($1)", await before(uow))


@plugin.get("/leaks/shared", permission="leaky:leak")
async def shared(uow: UnitOfWork) -> dict[str, str]:
    """A cached value in Redis under a key that names no tenant."""
    from redis.asyncio import Redis  # noqa: PLC0415

    url = uow.installation.config.redis_url
    if url:
        async with Redis.from_url(url) as client:
            await client.set("leaky:secret", await own(uow), ex=60)
    return {}
