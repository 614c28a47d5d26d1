"""``pss serve`` and ``pss worker``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings

from pss_kernel.cli._children import (
    Children,
    check_port_free,
    status_of,
    wait_until_answering,
)
from pss_kernel.cli._context import DataDir, examples, installed_plugins, open_config, progress_bars
from pss_kernel.config import Config, make_data_folder
from pss_kernel.errors import Invalid
from pss_kernel.installation import Installation, open_installation
from pss_kernel.keys._refusals import refuse_insecure
from pss_kernel.registry import Registry
from pss_kernel.tenancy._absent import report_absent
from pss_kernel.tenancy._file import load_tenant
from pss_kernel.tenancy._plan import apply_tenant

__all__ = ["register", "serve"]

_APPLICATION = "pss_api.app:application"
_HEAD_BYTES = 65_536
"""The largest head of a request that is read; the gateway refuses half of it already."""
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse to start where a plugin can't be used.")
]


def register(app: typer.Typer) -> None:
    """Add the two commands."""
    app.command(
        "serve",
        epilog=examples(
            "pss serve",
            "pss serve --demo --port 8080",
            "PSS_DATABASE_URL=postgresql://owner@db/pss pss serve --host 0.0.0.0 --workers 4",
        ),
    )(_serve_command)
    app.command(
        "worker",
        epilog=examples("pss worker", "PSS_AMQP_URL=amqp://guest:guest@mq/ pss worker"),
    )(_worker_command)


def _serve_command(
    demo: Annotated[
        bool, typer.Option("--demo", help="Apply every tenant of the tenants folder first.")
    ] = False,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Server processes.")] = 1,
    tenants: Annotated[
        Path, typer.Option(help="With --demo: the folder of tenant folders.")
    ] = Path("tenants"),
    strict: Strict = False,
    with_worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Run a worker beside the server.")
    ] = True,
    data_dir: DataDir = None,
) -> None:
    """Serve HTTP, with a worker beside it, until interrupted."""
    config = open_config(data_dir)
    serve(
        config,
        host=host,
        port=port,
        workers=workers,
        with_worker=with_worker,
        registry=installed_plugins(),
        strict=strict,
        demo_tenants=tenants if demo else None,
        ready=lambda base: _print_next(base, demo=demo),
    )


def serve(
    config: Config,
    *,
    host: str,
    port: int,
    workers: int,
    with_worker: bool,
    registry: Registry,
    demo_tenants: Path | None,
    ready: Callable[[str], None],
    strict: bool = False,
) -> None:
    """Prepare the database, start what runs beside, and serve until a signal ends it."""
    if demo_tenants is not None:
        os.environ["PSS_DEMO"] = "1"  # for the processes that are started here
    else:
        refuse_insecure(config)
    check_port_free(host, port)
    make_data_folder(config.data_dir)
    os.environ["PSS_DATA_DIR"] = str(config.data_dir)
    children = Children(config.data_dir)
    try:
        children.start_sidecars(registry)
        asyncio.run(_serve_prepared(config, registry, demo_tenants, strict=strict))
        children.wait_for_sidecars()
        if with_worker:
            children.start_worker()
        server = Granian(
            _APPLICATION,
            factory=True,
            address=host,
            port=port,
            interface=Interfaces.ASGI,
            loop=Loops.uvloop,
            workers=workers,
            log_enabled=False,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=_HEAD_BYTES),
            backlog=4096,
            backpressure=8192,
            respawn_failed_workers=True,
            workers_kill_timeout=5,
        )
        base = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104 - compared, not bound
        for beside in (children.watch, lambda: _announce(base, ready)):
            threading.Thread(target=beside, daemon=True).start()
        server.serve()
    finally:
        children.stop()


def _announce(base: str, ready: Callable[[str], None]) -> None:
    wait_until_answering(f"{base}/health", lambda: True)
    ready(base)


async def _serve_prepared(
    config: Config, registry: Registry, demo_tenants: Path | None, *, strict: bool
) -> None:
    async with open_installation(config, registry, strict=strict) as installation:
        if demo_tenants is not None:
            await apply_folder(installation, demo_tenants)


async def apply_folder(installation: Installation, folder: Path) -> list[str]:
    """Apply every tenant of a folder of tenants; their codes."""
    folders = await asyncio.to_thread(_tenant_folders, folder)
    if not folders:
        raise Invalid(
            f"There are no tenants in {folder}.",
            code="no-tenants",
            mend="Run it where the 'tenants' folder is, or name one with --tenants.",
        )
    codes = []
    for one in folders:
        wanted = load_tenant(one, installation.registry)
        with progress_bars() as report:
            changes = await apply_tenant(installation, wanted, report)
        done = f"{len(changes)} changes applied" if changes else "as its files say"
        sys.stderr.write(f"  {wanted.name}: {done}\n")
        codes.append(wanted.code)
    return codes


def _tenant_folders(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/tenant.toml"))


def _print_next(base: str, *, demo: bool) -> None:
    lines = [f"Serving at {base}   (Ctrl-C stops)", f"  OpenAPI page    {base}/docs"]
    codes = _tenant_codes(base) if demo else []
    port = base.rpartition(":")[2]
    lines += [f"  {code:15} http://{code}.localhost:{port}/v1/tenant" for code in codes]
    if codes:
        lines += [
            "Try next:",
            f"  curl -H 'PSS-Tenant: {codes[0]}' {base}/v1/markets",
            f"  pss apikey create --tenant {codes[0]} --scopes '*'",
            "The journey with curl is in README.md.",
        ]
    else:
        lines.append(
            "Next: pss tenant apply FOLDER   (or 'pss serve --demo' for the demonstration)"
        )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _tenant_codes(base: str) -> list[str]:
    named = [path.parent.name for path in sorted(Path("tenants").glob("*/tenant.toml"))]
    return [
        code
        for code in named
        if status_of(f"{base}/v1/tenant", {"PSS-Tenant": code}) == HTTPStatus.OK
    ]


def _worker_command(strict: Strict = False, data_dir: DataDir = None) -> None:
    """Relay events, run their handlers and the recurring jobs, until interrupted."""
    from pss_kernel.messaging._worker import run_worker  # noqa: PLC0415 - slow, worker only

    config = open_config(data_dir)
    refuse_insecure(config)

    async def work() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(one, stop.set)
        registry = installed_plugins()
        registry.report_broken()
        async with open_installation(config, registry, strict=strict) as installation:
            report_absent(installation)
            await run_worker(installation, stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
