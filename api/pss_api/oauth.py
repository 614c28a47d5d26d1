"""OAuth 2.0 client credentials (RFC 6749, section 4.4): an API key gives its holder short tokens.

``client_id`` is the part of the key before its secret, ``client_secret`` the rest. A token may as
much as its key, or as much of that as ``scope`` names, and dies with it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote_plus

import msgspec
import structlog
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter

from pss_api.admission import resolve_tenant
from pss_api.bearer import narrowed
from pss_api.denials import note_denial, note_who
from pss_api.idempotency_key import IDEMPOTENCY_KEY, idempotency_key_of
from pss_api.key_holder import known_key, opened_by, refuse_key_in_url
from pss_api.limits import draw
from pss_kernel.auth import Actor, ApiKey
from pss_kernel.config import IDENTITY
from pss_kernel.errors import Forbidden, Unauthorised
from pss_kernel.installation import Installation
from pss_kernel.persistence import Answered, Correlation, Idempotency, Work
from pss_kernel.tenancy import Tenant

__all__ = ["token_endpoint"]

_log = structlog.get_logger("pss.identity")

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_SECONDS = 3600
_MOST_FIELDS = 20
_LONGEST_SCOPE = 1000
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class ClientToken(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for a program (RFC 6749, section 5.1)."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme of RFC 6750
    expires_in: int
    scope: str


class OAuthError(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is none (RFC 6749, section 5.2)."""

    error: str
    error_description: str


class _Refused(Exception):  # noqa: N818 - an answer of the protocol
    """A request that gets no token."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.answer = OAuthError(error=error, error_description=description)
        self.status = status


def token_endpoint(installation: Installation) -> HTTPRouteHandler:
    """``POST /v1/oauth/token``."""

    @post(
        "/oauth/token",
        status_code=200,
        tags=[IDENTITY],
        summary="An access token for an API key (OAuth 2.0 client credentials)",
        operation_id="identity_oauth_token",
        security=[{}],
        responses={
            status: ResponseSpec(OAuthError, description=meaning, generate_examples=False)
            for status, meaning in ((400, "The request is wrong"), (401, "The client is not known"))
        },
    )
    async def give_token(
        request: Request[Any, Any, Any],
        pss_tenant: Annotated[  # noqa: ARG001 - for the OpenAPI document, as the next one
            str | None,
            HeaderParameter(
                name="PSS-Tenant",
                description="The tenant's code, where the host name is not a tenant's own.",
            ),
        ] = None,
        idempotency_key: IDEMPOTENCY_KEY = None,  # noqa: ARG001
    ) -> Response[ClientToken]:
        """Form fields: `grant_type=client_credentials`, and `scope` where the token shall do less.

        The client is an API key, by HTTP Basic or with `client_id` and `client_secret` in the
        form: the key up to its last underscore of the head, `pss_live_<id>`, and the rest.
        """
        refuse_key_in_url(request.scope["query_string"])
        tenant = resolve_tenant(installation, request)
        structlog.contextvars.bind_contextvars(tenant=tenant.code, plugin=IDENTITY)
        note_who(request.scope, tenant.code)
        asker = Actor("guest", address=str(request.scope.get("pss_client", "")))
        await draw(installation, request.scope, tenant, asker, "secret")
        body = await request.body()
        try:
            form = _form(request.headers.get("content-type", ""), body)
            tenant, actor, key = _client(installation, tenant, request, form)
            wanted = _wanted(form, actor)
        except _Refused as refused:
            return _refusal(refused)
        request.scope["pss_admitted"] = (tenant, actor)  # type: ignore[typeddict-unknown-key]
        idempotency = _idempotency(request, actor, body)
        correlation = Correlation(str(request.scope["pss_request_id"]))  # type: ignore[typeddict-item]
        if idempotency is None:
            return _given(msgspec.json.encode(await _sign(installation, tenant, key, wanted)))
        work = Work(installation, tenant, actor, correlation, IDENTITY, idempotency)
        try:
            async with work, work.begin() as uow:
                given = await _sign(installation, tenant, key, wanted)
                await work.answer(uow, given)
        except Answered as earlier:
            return _given(earlier.body, {"Idempotent-Replayed": "true"})
        return _given(msgspec.json.encode(given))

    return give_token


def _given(body: bytes, headers: dict[str, str] | None = None) -> Response[Any]:
    return Response(body, media_type=_JSON, headers=_NO_STORE | (headers or {}))


def _form(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of the form. Raises _Refused for one that can't be read."""
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise _Refused("invalid_request", f"The body must be {_FORM}.")
    try:
        pairs = parse_qsl(body.decode("ascii"), strict_parsing=True, max_num_fields=_MOST_FIELDS)
    except (UnicodeDecodeError, ValueError):
        raise _Refused("invalid_request", "The form can't be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _Refused("invalid_request", "A field stands twice in the form.")
    return fields


def _client(
    installation: Installation,
    named: Tenant,
    request: Request[Any, Any, Any],
    form: dict[str, str],
) -> tuple[Tenant, Actor, ApiKey]:
    """Whose key it is, and the tenant that it opens. Raises _Refused, Forbidden."""
    header = request.headers.get("authorization")
    if header is not None:
        if "client_secret" in form:
            raise _Refused("invalid_request", "The client must authenticate in one way.")
        client, secret = _basic(header)
        if form.get("client_id", client) != client:
            raise _Refused("invalid_request", "The form names another client than the header.")
    else:
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
    address = str(request.scope.get("pss_client", ""))
    try:
        key = known_key(installation, f"{client}_{secret}")
        note_who(request.scope, named.code, f"key:{key.key_id}")
        tenant, actor = opened_by(installation, named, key, address)
    except (Unauthorised, Forbidden) as error:
        note_denial(request.scope, error.status, error.code)
        raise _Refused("invalid_client", error.detail, status=401) from error
    return tenant, actor, key


def _basic(header: str) -> tuple[str, str]:
    """Client and secret of HTTP Basic, each form-encoded (RFC 6749, section 2.3.1)."""
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        raise _Refused("invalid_client", "Authenticate with HTTP Basic.", status=401)
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise _Refused("invalid_client", "The header can't be read.", status=401) from None
    client, _, secret = text.partition(":")
    return unquote_plus(client), unquote_plus(secret)


def _wanted(form: dict[str, str], actor: Actor) -> str | None:
    """The scope that was asked for, where one was. Raises _Refused."""
    grant = form.get("grant_type")
    if grant is None:
        raise _Refused("invalid_request", "The field grant_type is missing.")
    if grant != "client_credentials":
        raise _Refused("unsupported_grant_type", "Only client_credentials is supported.")
    if "scope" not in form:
        return None
    scope = form["scope"]
    wanted = scope.split(" ")
    if len(scope) > _LONGEST_SCOPE or not all(narrowed(actor.scopes, [one]) for one in wanted):
        raise _Refused("invalid_scope", "The key does not have all that is asked for.")
    return scope


async def _sign(
    installation: Installation, tenant: Tenant, key: ApiKey, wanted: str | None
) -> ClientToken:
    now = datetime.now(UTC)
    seconds = _SECONDS
    if key.expires_at is not None:
        seconds = max(1, min(seconds, int((key.expires_at - now).total_seconds())))
    token = await installation.tokens.sign(
        tenant, key.key_id, now, seconds, client_id=key.key_id, scope=wanted
    )
    _log.info("client_token_signed", tenant=tenant.code, key=key.key_id)
    scope = " ".join(sorted(key.scopes)) if wanted is None else wanted
    return ClientToken(access_token=token, expires_in=seconds, scope=scope)


def _refusal(refused: _Refused) -> Response[Any]:
    headers = dict(_NO_STORE)
    if refused.status == 401:  # noqa: PLR2004 - named by RFC 6749
        headers["WWW-Authenticate"] = 'Basic realm="pss"'
    return Response(
        msgspec.json.encode(refused.answer),
        status_code=refused.status,
        media_type=_JSON,
        headers=headers,
    )


def _idempotency(request: Request[Any, Any, Any], actor: Actor, body: bytes) -> Idempotency | None:
    """By the client, whose secret is in no digest."""
    key = idempotency_key_of(request)
    if key is None:
        return None
    digest = hashlib.sha256(request.url.path.encode() + b"\0" + body).digest()
    return Idempotency(f"{actor.label} POST /oauth/token", key, digest, confidential=True)
