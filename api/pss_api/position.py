"""Read-your-writes over HTTP: the position of a write goes out, and comes back with a read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from litestar import Request
from litestar.datastructures import Cookie

from pss_kernel.persistence import Freshness

if TYPE_CHECKING:
    from litestar.datastructures import MutableScopeHeaders
    from litestar.types import Scope

    from pss_kernel.auth import Actor
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = ["freshness_of", "note_repeated", "tell_position"]

_HEADER = "PSS-Position"
_COOKIE = "pss_position"
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_LONGEST = 500
_TOLD = "pss_position"


def freshness_of(
    installation: Installation, request: Request[Any, Any, Any], tenant: Tenant, actor: Actor
) -> Freshness:
    """What the request must see at the least, by what it brings and what is remembered here."""
    brought = [*request.headers.getall(_HEADER, []), request.cookies.get(_COOKIE, "")]
    freshness = Freshness.of_request(
        [text[:_LONGEST] for text in brought],
        tenant.cell,
        client=(tenant.code, actor.id) if actor.kind == "key" else None,
        safe=request.method in _SAFE_METHODS,
    )
    replica = installation.cell(tenant).replica
    if replica is not None:
        # What a position is good for ends with the lag that is borne.
        seconds = math.ceil(replica.max_lag) + 60
        request.scope[_TOLD] = (freshness, seconds)  # type: ignore[literal-required]
    return freshness


async def note_repeated(installation: Installation, tenant: Tenant, freshness: Freshness) -> None:
    """The effect of a repeated request was committed before: its reader may not have seen it."""
    replica = installation.cell(tenant).replica
    if replica is not None:
        freshness.written = await replica.current()


def tell_position(scope: Scope, headers: MutableScopeHeaders) -> None:
    """Let the answer, an error's too, carry the position of what was written."""
    told: tuple[Freshness, int] | None = scope.get(_TOLD)  # type: ignore[assignment]
    if told is None or told[0].written is None:
        return
    freshness, seconds = told
    position = str(freshness.written)
    headers[_HEADER] = position
    cookie = Cookie(
        _COOKIE,
        value=position,
        max_age=seconds,
        secure=scope["scheme"] == "https",
        httponly=True,
        samesite="lax",
    )
    headers.add("Set-Cookie", cookie.to_header(header=""))
