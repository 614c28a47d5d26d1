"""Processes under test: started, waited for, and ended by their own ids."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from pss_kernel.testing import LOOPBACK

__all__ = [
    "bare_server",
    "free_port",
    "made_keys",
    "network",
    "process",
    "server",
    "until",
    "worker",
]

_STARTS_WITHIN = 90.0  # seconds; a machine that is busy with other things may need them
_ENDS_WITHIN = 20.0


async def until(condition: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    """Wait for a condition; gives its first true value. Raises AssertionError after the time."""
    deadline = time.monotonic() + seconds
    while True:
        last = condition()
        if inspect.isawaitable(last):
            last = await last
        if last:
            return last
        assert time.monotonic() < deadline, f"not so within {seconds} s: {last!r}"
        await asyncio.sleep(0.03)  # between two looks at the condition


_TESTED = {
    "PSS_OUTGOING_ALLOW": LOOPBACK,  # what is played for the tests answers on this machine
    "PSS_RATE_LIMITS": "off",  # all of a run's requests come from one address
}


def free_port() -> int:
    """Find a port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(
    log: Path, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run this interpreter's ``python -m …``; asked to end, then made to, when the block ends."""
    with log.open("ab") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_TESTED, **os.environ, **(environment or {})},
        )
    try:
        yield running
    finally:
        if running.poll() is None:
            running.terminate()
            try:
                running.wait(_ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                running.kill()
        running.wait()


@contextlib.contextmanager
def server(data_dir: Path, tenants: Path) -> Iterator[str]:
    """Run ``pss serve --demo`` with these airlines; gives its address once it is ready."""
    port = free_port()
    log = data_dir.with_suffix(".log")
    arguments = ["serve", "--demo", "--port", str(port), "--data-dir", str(data_dir)]
    with process(log, "pss_kernel.cli", *arguments, "--tenants", str(tenants)) as running:
        address = f"http://127.0.0.1:{port}"
        _await_answer(f"{address}/ready", running, log)
        yield address


@contextlib.contextmanager
def bare_server(
    data_dir: Path, log: Path, environment: dict[str, str] | None = None
) -> Iterator[str]:
    """Run ``pss serve`` on an installation as it is, without a worker; gives its address."""
    port = free_port()
    arguments = ["serve", "--no-worker", "--port", str(port), "--data-dir", str(data_dir)]
    with process(log, "pss_kernel.cli", *arguments, environment=environment) as running:
        address = f"http://127.0.0.1:{port}"
        _await_answer(f"{address}/ready", running, log)
        yield address


@contextlib.contextmanager
def network(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the sandbox card network on this port, with its charges in this folder."""
    log = folder / "network.log"
    arguments = ["--port", str(port), "--state", str(folder / "charges.sqlite")]
    with process(log, "pss_payment_sandbox", *arguments) as running:
        _await_answer(f"http://127.0.0.1:{port}/", running, log)
        yield running


@contextlib.contextmanager
def worker(
    data_dir: Path, log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``pss worker`` on an installation."""
    arguments = ["worker", "--data-dir", str(data_dir)]
    with process(log, "pss_kernel.cli", *arguments, environment=environment) as running:
        yield running


def made_keys(data_dir: Path, tenants: tuple[str, ...]) -> dict[str, str]:
    """Make a key for everything at each tenant, with ``pss apikey create``."""
    command = ["pss_kernel.cli", "apikey", "create", "--json", "--scopes", "*"]
    running = {
        tenant: subprocess.Popen(
            [sys.executable, "-m", *command, "--tenant", tenant, "--data-dir", str(data_dir)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for tenant in tenants
    }
    return {
        tenant: str(json.loads(one.communicate(timeout=_STARTS_WITHIN)[0])["key"])
        for tenant, one in running.items()
    }


def _await_answer(url: str, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline and running.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=5).is_success:
                return
        time.sleep(0.05)  # there is nothing to wait on but the port itself
    raise AssertionError(f"Nothing answers at {url}:\n{log.read_text()[-4000:]}")
