"""From a plugin's route to a Litestar handler: admission, unit of work, idempotency, answer."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from litestar import Request, Response, route
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.types import BeforeRequestHookHandler
from litestar.utils.scope.state import ScopeState
from litestar.utils.signature import get_fn_type_hints

from pss_api.admission import admit
from pss_api.description import HEADERS, describe, description_of, refusals, screens_of
from pss_api.idempotency_key import idempotency_key_of
from pss_api.limits import draw
from pss_api.media import refuse_other_types
from pss_api.position import freshness_of, note_repeated
from pss_api.versions import Change, newer_body, older_answer, since
from pss_api.versions_changes import CHANGES, changes_of
from pss_kernel.answers import Answer, Content
from pss_kernel.api_versions import OLDEST
from pss_kernel.errors import Unauthorised
from pss_kernel.installation import Installation
from pss_kernel.keys._secret import encode_secret
from pss_kernel.limits import LimitClass
from pss_kernel.persistence import (
    Answered,
    Correlation,
    Freshness,
    Idempotency,
    ReplicaLost,
    Work,
)
from pss_kernel.plugin import Route
from pss_kernel.resilience import Call

__all__ = ["handler_of"]

_JSON = "application/json"
_SMALL: set[LimitClass] = {"sign-in", "mail", "secret"}
_SMALL_BODY = 65_536  # what a passkey brings fits in easily
_encoder = msgspec.json.Encoder(enc_hook=encode_secret)


def handler_of(
    installation: Installation, declared: Route, changes: tuple[Change, ...] = CHANGES
) -> HTTPRouteHandler:
    """The Litestar handler for a plugin's route, described in OpenAPI by its own types.

    ``changes``: of the interface's versions, those that callers of an older one don't know.
    """
    operation = f"{declared.plugin}_{declared.function.__name__}"
    changes = changes_of(operation, changes)
    changed = changes[-1].version if changes else OLDEST
    permission = installation.registry.permissions[declared.permission]
    returns = get_fn_type_hints(declared.function).get("return", Any)

    takes_json = "data" in inspect.signature(declared.function).parameters

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        # Before the body is looked at: who may not do this learns nothing about it.
        admitted = await admit(installation, connection, declared.plugin, permission)
        connection.scope["pss_admitted"] = admitted  # type: ignore[typeddict-unknown-key]
        connection.scope["pss_route"] = declared  # type: ignore[typeddict-unknown-key]
        tenant, actor = admitted
        await draw(installation, connection.scope, tenant, actor, declared.limit)
        if takes_json:
            refuse_other_types(connection)
        version = str(connection.scope["pss_version"])  # type: ignore[typeddict-item]
        if version < changed:  # dates in ISO 8601 sort as text
            connection.scope["pss_changes"] = since(changes, version)  # type: ignore[typeddict-unknown-key]

    async def endpoint(**arguments: Any) -> Response[Any]:
        request: Request[Any, Any, Any] = arguments.pop("request")
        for name in HEADERS:
            arguments.pop(name, None)
        tenant, actor = request.scope["pss_admitted"]  # type: ignore[typeddict-item]
        structlog.contextvars.bind_contextvars(tenant=tenant.code, plugin=declared.plugin)
        request_id = str(request.scope["pss_request_id"])  # type: ignore[typeddict-item]
        correlation = Correlation(request_id)
        idempotency = None
        if request.method == "POST":
            idempotency = await _idempotency(request, declared, actor.label)
        freshness = freshness_of(installation, request, tenant, actor)

        def attempt() -> Awaitable[Response[Any]]:
            work = Work(
                *(installation, tenant, actor, correlation, declared.plugin),
                *(idempotency, declared.status, freshness, declared.permission),
            )
            call = Call(installation, tenant, declared.plugin, declared.budget)
            return _call(declared, work, call, arguments)

        newer: tuple[Change, ...] = request.scope.get("pss_changes", ())  # type: ignore[assignment]
        try:
            return _as_asked(await _repeatable(freshness, attempt), newer)
        except Answered as earlier:
            await note_repeated(installation, tenant, freshness)
            return Response(
                older_answer(newer, earlier.body, earlier.version),
                status_code=earlier.status,
                media_type=_JSON,
                headers={"Idempotent-Replayed": "true"},
            )

    describe(endpoint, declared, returns)
    return route(
        declared.path,
        http_method=[declared.method],
        status_code=declared.status,
        media_type=declared.produces,
        name=f"{declared.plugin}.{declared.function.__name__}",
        operation_id=operation,
        summary=declared.summary,
        description=description_of(declared, guest=permission.guest),
        tags=[declared.plugin],
        security=[{}, {"key": []}] if permission.guest else [{"key": []}],
        responses=refusals(),
        opt={"permission": declared.permission, "plugin": declared.plugin},
        guards=[guard],
        request_max_body_size=_longest_body(installation, declared),
        before_request=_reading(declared, changes),
    )(endpoint)


def _longest_body(installation: Installation, declared: Route) -> int:
    """Bytes; who signs in has little to say."""
    longest = installation.config.max_body_bytes
    return min(longest, _SMALL_BODY) if declared.limit in _SMALL else longest


def _as_asked(response: Response[Any], newer: tuple[Change, ...]) -> Response[Any]:
    """The answer in the version of the request; as it is, where that is the newest."""
    if newer and response.media_type == _JSON:
        response.content = older_answer(newer, response.content)
    return response


async def _repeatable(
    freshness: Freshness, attempt: Callable[[], Awaitable[Response[Any]]]
) -> Response[Any]:
    """What only reads is tried again, on the primary, where a replica goes away under it."""
    try:
        return await attempt()
    except ReplicaLost:
        if not freshness.may_repeat:
            raise
        freshness.primary_only = True
        return await attempt()


async def _call(
    declared: Route, work: Work, call: Call, arguments: dict[str, Any]
) -> Response[Any]:
    """Call the route, with its unit of work or what opens several."""
    if declared.takes == "work":
        async with work:
            try:
                async with call:
                    value = await declared.function(work=work, **arguments)
                    work.refuse_unasked()
                    response = _answer(call, value, declared)
            except Unauthorised:
                await work.release()
                raise
            await work.keep(response.status_code or declared.status, response.content)
            return response
    async with work, work.begin(read_only=declared.read_only) as uow:
        async with call:
            value = await declared.function(uow=uow, **arguments)
            response = _answer(call, value, declared)
        if work.idempotency is not None:
            status = response.status_code or declared.status
            await work.idempotency.answer(uow, status, response.content, uow.people)
    return response


def _reading(declared: Route, changes: tuple[Change, ...]) -> BeforeRequestHookHandler | None:
    """Let the route's screens see the raw body, and raise a Problem, before anything reads it.

    What answers a malformed body names fields and values of it; a screen comes before that. Then
    a body of an older version is made into one of the newest.
    """
    screens = screens_of(get_fn_type_hints(declared.function).get("data"))
    transforms = any(one.request is not None for one in changes)

    async def read(request: Request[Any, Any, Any]) -> None:
        newer: tuple[Change, ...] = request.scope.get("pss_changes", ())  # type: ignore[assignment]
        if not screens and not newer:
            return
        body = await request.body()
        for look in screens:
            look(body)
        if newer:
            request.scope["pss_sent"] = body  # type: ignore[typeddict-unknown-key]
            # Litestar keeps what it has read, in both places, and reads it no second time.
            request._body = newer_body(newer, body)  # noqa: SLF001
            ScopeState.from_scope(request.scope).body = request._body  # noqa: SLF001

    return read if screens or transforms else None


def _answer(call: Call, value: Any, declared: Route) -> Response[Any]:
    """The response, encoded within the call: what can't be encoded is its plugin's mistake."""
    response = _response(value, declared.status)
    call.answers(response.status_code or declared.status)
    return response


def _response(value: Any, status: int) -> Response[Any]:
    if isinstance(value, Answer):
        value, status = value.value, value.status
    if isinstance(value, Content):
        headers = (
            {"Content-Disposition": f'inline; filename="{value.filename}"'}
            if value.filename
            else None
        )
        return Response(
            value.body, status_code=status, media_type=value.media_type, headers=headers
        )
    return Response(_encoder.encode(value), status_code=status, media_type=_JSON)


async def _idempotency(
    request: Request[Any, Any, Any], declared: Route, actor: str
) -> Idempotency | None:
    key = idempotency_key_of(request)
    if key is None:
        return None
    # Path and query stand in the digest, so one key can't answer for two resources or askers.
    target = f"{request.url.path}?{request.url.query}"
    sent = request.scope.get("pss_sent")  # as it came, whatever a version makes of it
    body = sent if isinstance(sent, bytes) else await request.body()
    digest = hashlib.sha256(target.encode() + b"\0" + body).digest()
    scope = f"{actor} {declared.method} {declared.path}"
    return Idempotency(scope, key, digest, declared.confidential)
