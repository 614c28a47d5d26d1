"""Processes that ``pss serve`` runs beside the HTTP server, and ends with it."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog

from pss_kernel.errors import Invalid, Unavailable
from pss_kernel.plugin import Sidecar
from pss_kernel.registry import Registry

__all__ = [
    "Children",
    "check_port_free",
    "end_with_parent",
    "free_port",
    "status_of",
    "wait_until_answering",
]

_log = structlog.get_logger("pss.serve")
_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 12.0


class _Child(NamedTuple):
    name: str
    argv: list[str]
    process: subprocess.Popen[bytes]


class Children:
    """Started in order, ended in reverse, each by its own id."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._running: list[_Child] = []
        self._stopping = threading.Event()
        self._awaited: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start_sidecars(self, registry: Registry) -> None:
        """The servers that plugins bring; their addresses go into this process's environment.

        They come up while other things are prepared; see ``wait_for_sidecars``.
        """
        for plugin in registry.plugins.values():
            for sidecar in plugin.sidecars:
                if sidecar.env_url not in os.environ:
                    self._start_sidecar(sidecar)

    def _start_sidecar(self, sidecar: Sidecar) -> None:
        port = free_port()
        state = self._data_dir / f"{sidecar.name}.sqlite"
        argv = [*sidecar.argv, "--port", str(port), "--state", str(state)]
        process = self.start(sidecar.name, argv)
        self._awaited.append((f"http://127.0.0.1:{port}/", process))
        os.environ[sidecar.env_url] = f"http://127.0.0.1:{port}"

    def wait_for_sidecars(self) -> None:
        """Until each of them answers. Raises Unavailable when one has ended."""
        for url, process in self._awaited:
            wait_until_answering(url, partial(_lives, process))
        self._awaited.clear()

    def start_worker(self) -> None:
        """The worker of this installation."""
        self.start("worker", [sys.executable, "-m", "pss_kernel.cli", "worker"])

    def start(self, name: str, argv: list[str]) -> subprocess.Popen[bytes]:
        """Start a process that a Ctrl-C in the terminal does not reach, only our own signal."""
        process = subprocess.Popen(  # noqa: S603 - our own commands and those of plugins
            argv,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
            preexec_fn=end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - set before any thread
        )
        self._running.append(_Child(name, argv, process))
        return process

    def watch(self) -> None:
        """Start again what has ended by itself, until ``stop``."""
        while not self._stopping.wait(1.0):
            for child in [one for one in self._running if one.process.poll() is not None]:
                _log.error("child_ended", name=child.name, code=child.process.returncode)
                self._running.remove(child)
                self.start(child.name, child.argv)

    def stop(self) -> None:
        """End all, politely first."""
        self._stopping.set()
        for child in reversed(self._running):
            if child.process.poll() is None:
                child.process.terminate()
        for child in reversed(self._running):
            try:
                child.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self._running.clear()


def _lives(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def end_with_parent() -> None:
    """Linux: the child is told to end when its parent dies, however it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_port_free(host: str, port: int) -> None:
    """Raises Invalid where somebody listens there already, or may not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Invalid(
                f"Port {port} can't be used: {error.strerror}.",
                code="port-taken",
                mend="End what uses it, or give another one with --port.",
            ) from error


def status_of(url: str, headers: dict[str, str] | None = None) -> int | None:
    """What a server of this machine answers to a GET; None where nothing does.

    With the standard library's plain HTTP: a client that is able to do TLS holds locks of OpenSSL
    while it is made, and a server process that is forked at that moment would wait for them for
    ever.
    """
    place = urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(place.netloc, timeout=2)) as connection:
        try:
            connection.request("GET", place.path or "/", headers=headers or {})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None


def wait_until_answering(url: str, alive: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Until something answers HTTP there. Raises Unavailable when it ended or takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and alive():
        if status_of(url) is not None:
            return
        time.sleep(0.05)  # nothing to wait on but the port itself
    raise Unavailable(f"Nothing answers at {url}.", mend="See what was printed above.")
