"""The server that the demonstration runs against: a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pss_kernel.cli._children import end_with_parent
from pss_sdk import Client, Unreachable

from .expectation import WentWrong

__all__ = ["running_server"]

_START_SECONDS = 300.0  # the first start loads schedules and fares
_STOP_SECONDS = 20.0


@asynccontextmanager
async def running_server(
    *, port: int, data_dir: Path, tenants: Path, log: Path, progress: Callable[[str], None]
) -> AsyncIterator[str]:
    """Run ``pss serve --demo`` until the block ends; gives its address once it answers.

    ``progress`` is told how long that takes, and what the server wrote last. Raises WentWrong
    when it ends or does not answer in time.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "pss_kernel.cli", "serve", "--demo"]
    argv += ["--port", str(port), "--data-dir", str(data_dir), "--tenants", str(tenants)]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603, ASYNC220 - our own command; it starts at once
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us; we end it
            preexec_fn=end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - takes no lock that a thread may hold
        )
    try:
        address = f"http://127.0.0.1:{port}"
        await _answering(address, process, lambda spent: progress(_last_line(log, spent)))
        yield address
    finally:
        await asyncio.to_thread(_stop, process)


async def _answering(
    address: str, process: subprocess.Popen[bytes], waiting: Callable[[float], None]
) -> None:
    started = time.monotonic()
    async with Client(address, attempts=1) as client:
        while True:
            try:
                await client.health()
            except Unreachable:
                pass
            else:
                return
            if process.poll() is not None:
                raise WentWrong("The server ended before it answered.")
            spent = time.monotonic() - started
            if spent > _START_SECONDS:
                raise WentWrong(f"The server did not answer within {_START_SECONDS:.0f} s.")
            waiting(spent)
            await asyncio.sleep(0.1)  # nothing to wait on but the port itself


def _last_line(log: Path, spent: float) -> str:
    lines = log.read_text(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"{spent:.0f} s; {last[:60]}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
