"""The outermost layer: a request id on everything, and the facts that log lines carry."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType

from pss_api.client import Proxies
from pss_api.position import tell_position
from pss_api.traffic import TrafficCounter
from pss_kernel.correlation import correlated
from pss_kernel.errors import TooSlow
from pss_kernel.ids import new_id

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["gateway"]

_GIVEN = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_BODY_SECONDS = 30.0
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def gateway(
    app: ASGIApp, traffic: TrafficCounter | None = None, proxies: Proxies | None = None
) -> ASGIApp:
    """Give each request an id (the caller's ``PSS-Request-Id``, where it is a sane one).

    ``traffic`` counts those that were admitted, for their tenant; ``proxies`` are believed when
    they say for whom they ask.
    """
    proxies = proxies or Proxies("")

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"pss-request-id"), b"")
        request_id = given.decode() if _GIVEN.fullmatch(given) else new_id("req")
        scope["pss_request_id"] = request_id  # type: ignore[typeddict-unknown-key]

        scope["pss_client"] = proxies.client_of(scope)  # type: ignore[typeddict-unknown-key]

        private = scope["path"].startswith("/v1")
        started, answered = time.monotonic(), 500

        async def send_with_id(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = message["status"]
                headers = MutableScopeHeaders.from_message(message)
                headers["PSS-Request-Id"] = request_id
                if scope.get("pss_mode") == "test":
                    headers["PSS-Mode"] = "test"
                tell_position(scope, headers)
                for name, value in _SAFE.items():
                    headers.setdefault(name, value)
                if private:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        parent, state = _traced(scope)
        with correlated(request_id, parent, state, request_id=request_id):
            await app(scope, _in_time(receive), send_with_id)
        if traffic is not None and "pss_admitted" in scope:
            tenant, actor = scope["pss_admitted"]  # type: ignore[typeddict-item]
            traffic.note(tenant, answered, time.monotonic() - started)
            if actor.kind == "key":
                traffic.note_key(tenant, actor)

    return handle


def _traced(scope: Scope) -> tuple[str, str]:
    """The caller's trace context; two of one kind are as good as none (W3C, section 3.2)."""
    parents = [value for name, value in scope["headers"] if name == b"traceparent"]
    states = [value for name, value in scope["headers"] if name == b"tracestate"]
    if len(parents) != 1:
        return "", ""
    return parents[0].decode("latin-1"), ",".join(one.decode("latin-1") for one in states)


def _in_time(receive: Receive) -> Receive:
    """Receive a body that arrives within its time; a client that dribbles is let go."""
    deadline = asyncio.get_running_loop().time() + _BODY_SECONDS
    whole = False

    async def receive_in_time() -> Any:
        nonlocal whole
        if whole:  # what follows is only the news that the client has gone
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise TooSlow(f"The body did not arrive within {_BODY_SECONDS:g} s.") from None
        whole = not message.get("more_body", False)
        return message

    return receive_in_time
