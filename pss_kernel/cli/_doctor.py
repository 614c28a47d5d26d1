"""``pss doctor``: is everything here that is needed, and what to mend where it is not."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
import typer

from pss_kernel._version import __version__
from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    installed_plugins,
    open_config,
    print_json,
)
from pss_kernel.config import CONTROL_CELL, EMBEDDED, Config
from pss_kernel.errors import Problem
from pss_kernel.installation import Installation, open_installation
from pss_kernel.keys._inspect import key_problems, readable_by_others, signing_problem
from pss_kernel.keys._master import MEND
from pss_kernel.keys._refusals import is_for_trying, refusals
from pss_kernel.keys._sources import sources
from pss_kernel.registry import Registry
from pss_kernel.tenancy._absent import plugins_absent
from pss_kernel.tenancy._cells import CellStatus, Moving, statuses, variables_of

__all__ = ["register"]

_SECONDS = 5.0


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "warning", "failed", "not configured"]
    detail: str
    mend: str = ""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog=examples("pss doctor", "pss doctor --json"))(_doctor)


def _doctor(data_dir: DataDir = None, json: Json = False) -> None:
    """Check the installation and say what to mend; exit code 1 when something failed."""
    config = open_config(data_dir)
    checks = asyncio.run(_checks(config))
    if json:
        print_json({"checks": checks})
    else:
        for check in checks:
            sys.stdout.write(f"{check.state:15}{check.name:12}{check.detail}\n")
            if check.mend:
                sys.stdout.write(f"{'':27}{check.mend}\n")
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(1)


async def _checks(config: Config) -> list[Check]:
    registry = installed_plugins()
    found = [
        Check("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        Check("kernel", "ok", __version__),
        Check("plugins", "ok", f"{len(registry.plugins)} usable: {', '.join(registry.plugins)}"),
        *(
            Check("plugins", "failed", f"{one.name}: {one.reason}", one.mend)
            for one in registry.broken
        ),
        _data_dir(config),
        *_secrets(config),
        *await _databases(config, registry),
        await _service("rabbitmq", config.amqp_url, "PSS_AMQP_URL", _rabbitmq),
        await _redis_check(config),
    ]
    if config.database_url and not config.app_database_url:
        found.append(
            Check(
                "roles",
                "warning",
                "The application logs in as the owner and takes a lesser role.",
                "In production set PSS_APP_DATABASE_URL to the login pss_app.",
            )
        )
    return found


def _secrets(config: Config) -> list[Check]:
    """Where each secret is from, and what would keep a server from starting."""
    found = [
        Check("secret", "ok", f"{variable}: from {source}")
        for variable, source in sources(os.environ).items()
    ]
    state: Literal["warning", "failed"] = "warning" if is_for_trying(config) else "failed"
    if config.database_url is None:
        return found  # nothing is asked of an embedded installation
    return found + [
        Check("secret", state, f"{one.variable}: {one.detail}", one.mend)
        for one in refusals(config, os.environ)
    ]


def _data_dir(config: Config) -> Check:
    folder = config.data_dir
    while not folder.exists():
        folder = folder.parent
    if os.access(folder, os.W_OK):
        return Check("data folder", "ok", str(config.data_dir))
    return Check(
        "data folder", "failed", f"{config.data_dir} can't be written.", "Give another --data-dir."
    )


async def _databases(config: Config, registry: Registry) -> list[Check]:
    kind = "server" if config.database_url else "embedded"
    try:
        async with open_installation(config, registry) as installation:
            async with installation.database.owner() as owner:
                version = await owner.fetchval("SHOW server_version")
            count = len(list(installation.directory))
            absent = plugins_absent(installation)
            keys = await _keys(installation)
            cells, moves = await statuses(installation)
    except (Problem, OSError) as error:
        detail = error.detail if isinstance(error, Problem) else str(error)
        mend = error.mend if isinstance(error, Problem) else None
        return [Check("database", "failed", detail, mend or "")]
    return [
        Check("database", "ok", f"PostgreSQL {version} ({kind}), {count} tenants"),
        *(Check("plugins", "failed", one.sentence) for one in absent),
        *keys,
        *(_cell(config, one) for one in cells if one.name != CONTROL_CELL),
        *(_move(one) for one in moves),
    ]


async def _keys(installation: Installation) -> list[Check]:
    """Whether what is sealed can be opened here."""
    masters = installation.keyring.masters
    try:
        masters.ids  # noqa: B018 - reads them
    except Problem as problem:
        return [Check("keys", "failed", problem.detail, problem.mend or "")]
    found = [
        Check("keys", "failed", f"{len(tenants)} tenants: {problem.detail}", problem.mend or "")
        async for tenants, problem in key_problems(installation)
    ]
    if closed := await signing_problem(installation):
        detail = f"Access tokens can't be signed: {closed.detail}"
        found.append(Check("keys", "failed", detail, closed.mend or ""))
    if masters.current is None and not masters.makes_one:
        detail = "There is no master key: secrets and personal data can't be kept."
        found.append(Check("keys", "warning", detail, MEND))
    if path := readable_by_others(installation):
        detail = f"Every user of this machine can read the master keys in {path}."
        found.append(Check("keys", "warning", detail, f"Run: chmod 600 {path}"))
    current = masters.current or "made when it is first needed"
    return found or [Check("keys", "ok", f"master key {current}, in {masters.source}")]


def _cell(config: Config, cell: CellStatus) -> Check:
    prefix = variables_of(cell.name)
    where = f"{cell.name}: {cell.tenants} tenants"
    if not cell.reachable:
        mend = f"Start it, or correct {prefix}DATABASE_URL; its tenants answer 503 until then."
        return Check("cell", "failed", f"{where}, can't be reached: {cell.detail}", mend)
    kind = "embedded" if cell.url == EMBEDDED else "server"
    detail = f"{where}, PostgreSQL {cell.version} ({kind}), {cell.waiting_events} events wait"
    (given,) = [one for one in config.cells if one.name == cell.name]
    if kind == "server" and given.app_database_url is None:
        return Check(
            "cell",
            "warning",
            f"{detail}; the application logs in as the owner and takes a lesser role.",
            f"In production set {prefix}APP_DATABASE_URL to the login pss_app.",
        )
    return Check("cell", "ok", detail)


def _move(one: Moving) -> Check:
    return Check(
        "move",
        "warning",
        f"{one.tenant} is on its way from {one.source} to {one.target}: {one.step}.",
        f"If nobody is at it: 'pss tenant move {one.tenant} --to {one.target}' goes on with it.",
    )


async def _service(
    name: str, url: str | None, variable: str, ping: Callable[[str], Awaitable[str]]
) -> Check:
    if url is None:
        return Check(name, "not configured", f"{variable} is not set; not needed to run.")
    try:
        async with asyncio.timeout(_SECONDS):
            return Check(name, "ok", await ping(url))
    except (OSError, ValueError) as error:  # OSError: no connection, none in time
        return Check(
            name, "failed", f"{type(error).__name__}: {error}", f"Start it, or correct {variable}."
        )


async def _redis_check(config: Config) -> Check:
    """Redis, without which requests are served all the same."""
    check = await _service("redis", config.redis_url, "PSS_REDIS_URL", _redis)
    if check.state != "failed":
        return check
    detail = f"{check.detail}; each process counts limits for itself until it answers."
    return Check(check.name, "warning", detail, check.mend)


async def _rabbitmq(url: str) -> str:
    import aio_pika  # noqa: PLC0415 - slow, and only this command needs it

    try:
        connection = await aio_pika.connect(url)
    except aio_pika.exceptions.AMQPError as error:
        raise ConnectionError(str(error)) from error
    await connection.close()
    return "answers"


async def _redis(url: str) -> str:
    from redis.asyncio import Redis, RedisError  # noqa: PLC0415 - slow, only needed here

    client = Redis.from_url(url)
    try:
        facts = await client.info("server")
    except RedisError as error:
        raise ConnectionError(str(error)) from error
    finally:
        await client.aclose()
    return f"Redis {facts['redis_version']}"
