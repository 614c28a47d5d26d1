"""Running the network: one process, one event loop, one socket."""

import asyncio
import signal
import socket
from pathlib import Path

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from .app import build
from .store import Store

__all__ = ["serve"]


def _reserve(host: str, port: int) -> socket.socket:
    """Bind a socket that keeps the port ours until granian listens (``0``: a free one).

    granian shares its port (SO_REUSEPORT), so a second network would silently take half of the
    requests of the first: binding without sharing finds that out. Raises OSError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if port:
        with socket.socket(family) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((host, port))
    reserved = socket.socket(family)
    if hasattr(socket, "SO_REUSEPORT"):
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind((host, port))
    return reserved


async def _accepting(host: str, port: int) -> None:
    """Return when a connection is accepted."""
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)  # nothing to wait on but the port itself
        else:
            writer.close()
            await writer.wait_closed()
            return


async def serve(
    host: str, port: int, state: Path, public_url: str | None, slow_answer_seconds: float
) -> None:
    """Serve until SIGTERM or SIGINT; print one line with the address once it accepts."""
    reserved = _reserve(host, port)
    port = reserved.getsockname()[1]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    stopped = asyncio.Event()
    app = build(Store(state), public_url or address, slow_answer_seconds, stopped)
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    running = asyncio.create_task(server.serve())
    await _accepting(host, port)
    reserved.close()
    print(f"payment-sandbox listens on {address}", flush=True)  # noqa: T201 - the readiness line
    await stopped.wait()
    server.stop()  # type: ignore[no-untyped-call]  # granian leaves it untyped
    await running
