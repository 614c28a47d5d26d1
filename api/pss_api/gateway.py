"""The outermost layer: what is refused unseen, and what every request and answer carries."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType

from pss_api.client import Proxies
from pss_api.cors import cors_headers, is_preflight
from pss_api.denials import DenialLog, note_denial
from pss_api.headers import SAFE, refuse_unclear_host, strict_transport
from pss_api.limits import limit_headers, note_limits, refuse_oversized
from pss_api.position import tell_position
from pss_api.problems import problem_response
from pss_api.sending import Sending
from pss_api.traffic import TrafficCounter
from pss_kernel.correlation import correlated
from pss_kernel.errors import Problem, TooManyRequests, TooSlow
from pss_kernel.ids import new_id
from pss_kernel.installation import Installation
from pss_kernel.limits import Taken

if TYPE_CHECKING:
    from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

__all__ = ["Gateway"]

_GIVEN = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_BODY_SECONDS = 30.0
_PROBES = {"/health", "/ready"}
"""Asked by whoever runs the installation, always and often."""


class Gateway:
    """Before the application: a request id on everything, limits, headers, the answer's form.

    ``traffic`` counts the requests that were admitted, for their tenant; ``proxies`` are believed
    when they say for whom they ask.
    """

    def __init__(
        self,
        app: ASGIApp,
        installation: Installation,
        traffic: TrafficCounter | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._app = app
        self._installation = installation
        self._traffic = traffic
        self._denials = DenialLog()
        self._proxies = proxies or Proxies(installation.config.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        facts: dict[str, Any] = scope  # type: ignore[assignment]  # ASGI lets one add to it
        facts["pss_request_id"] = request_id
        facts["pss_client"] = self._proxies.client_of(scope)
        if self._proxies.believes(scope) and _header(scope, b"x-forwarded-proto") == b"https":
            scope["scheme"] = "https"
        started = time.monotonic()
        sending = Sending(scope, send, lambda headers: self._finish(scope, headers))
        parent, state = _traced(scope)
        with correlated(request_id, parent, state, request_id=request_id):
            await self._serve(scope, _in_time(receive), sending)
        self._denials.tell(scope)
        if self._traffic is not None and "pss_admitted" in scope:
            tenant, actor = facts["pss_admitted"]
            self._traffic.note(tenant, sending.status, time.monotonic() - started)
            if actor.kind == "key":
                self._traffic.note_key(tenant, actor)

    async def _serve(self, scope: HTTPScope, receive: Receive, sending: Sending) -> None:
        try:
            refuse_unclear_host(scope)
            refuse_oversized(scope)
            if scope["path"] not in _PROBES:
                limiter = self._installation.limiter
                note_limits(scope, limiter.at_the_door(scope["pss_client"]))  # type: ignore[typeddict-item]
        except Problem as problem:
            if isinstance(problem, TooManyRequests) and isinstance(problem.taken, Taken):
                note_limits(scope, problem.taken)
            note_denial(scope, problem.status, problem.code)
            await _refuse(problem, scope, sending)
            return
        if is_preflight(scope):
            await sending({"type": "http.response.start", "status": 204, "headers": []})
            await sending({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await self._app(scope, receive, sending)

    def _finish(self, scope: HTTPScope, headers: MutableScopeHeaders) -> None:
        """What every answer carries, an error's too."""
        tell_position(scope, headers)
        given = {"PSS-Request-Id": str(scope["pss_request_id"])}  # type: ignore[typeddict-item]
        given |= strict_transport(scope) | _version_and_mode(scope)
        if scope["path"].startswith("/v1"):
            given |= {"Cache-Control": "no-store"} | limit_headers(scope)
            headers.add("Vary", "Origin")
            given |= cors_headers(self._installation, scope)
        # As bytes, and looked through once: it is done for every answer.
        there = {name.lower() for name, _ in headers.headers}
        headers.headers += [one for one in SAFE if one[0] not in there]
        headers.headers += [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in ((name.lower(), value) for name, value in given.items())
            if name.encode("latin-1") not in there
        ]


async def _refuse(problem: Problem, scope: HTTPScope, sending: Sending) -> None:
    """Answer a problem where there is no request of Litestar's yet."""
    response = problem_response(problem, str(scope["pss_request_id"]))  # type: ignore[typeddict-item]
    body = msgspec.json.encode(response.content)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in response.headers.items()),
    ]
    await sending(
        {"type": "http.response.start", "status": response.status_code or 500, "headers": headers}
    )
    await sending({"type": "http.response.body", "body": body, "more_body": False})


def _header(scope: HTTPScope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")


def _request_id(scope: HTTPScope) -> str:
    """The caller's ``PSS-Request-Id``, where it is a sane one, else one of ours."""
    given = _header(scope, b"pss-request-id")
    return given.decode() if _GIVEN.fullmatch(given) else new_id("req")


def _version_and_mode(scope: HTTPScope) -> dict[str, str]:
    """Which version of the interface was answered, and whether the data are test data."""
    told = {}
    version = scope.get("pss_version")
    if version is not None:
        told["PSS-Version"] = str(version)
    if scope.get("pss_mode") == "test":
        told["PSS-Mode"] = "test"
    return told


def _traced(scope: HTTPScope) -> tuple[str, str]:
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
