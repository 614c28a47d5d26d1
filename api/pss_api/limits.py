"""Limits over HTTP: the headers that tell of them, and what is too large to be looked at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pss_kernel.errors import BadRequest
from pss_kernel.installation import Installation
from pss_kernel.limits import LimitClass, Taken
from pss_kernel.limits._tenant import limits_of

if TYPE_CHECKING:
    from litestar.types import HTTPScope

    from pss_kernel.auth import Actor
    from pss_kernel.tenancy import Tenant

__all__ = ["draw", "limit_headers", "note_limits", "refuse_oversized"]

_LONGEST_TARGET = 8_000
"""Bytes of path and query (RFC 9110 asks for 8,000 to be borne)."""
_LONGEST_HEADERS = 32_000
_MOST_HEADERS = 100
_SECOND = 1_000_000
_UNTOLD = {"tenant", "guess-tenant", "door"}
"""How busy others are is nobody's business, until it is why one is refused."""
_TAKEN = "pss_taken"


class TargetTooLong(BadRequest):
    """Path and query are longer than is looked at."""

    status, code, title = 414, "target-too-long", "The address is too long"


class HeadersTooLarge(BadRequest):
    """There are more headers, or larger ones, than are looked at (RFC 6585)."""

    status, code, title = 431, "headers-too-large", "The headers are too large"


def refuse_oversized(scope: HTTPScope) -> None:
    """Raise TargetTooLong or HeadersTooLarge."""
    target = len(scope["raw_path"]) + len(scope["query_string"])
    if target > _LONGEST_TARGET:
        raise TargetTooLong(f"Path and query may have {_LONGEST_TARGET} bytes together.")
    headers = list(scope["headers"])
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > _MOST_HEADERS or size > _LONGEST_HEADERS:
        raise HeadersTooLarge(
            f"A request may have {_MOST_HEADERS} headers of {_LONGEST_HEADERS} bytes together."
        )


async def draw(
    installation: Installation, scope: Any, tenant: Tenant, actor: Actor, kind: LimitClass
) -> None:
    """Count the request where it belongs. Raises TooManyRequests."""
    limits = limits_of(installation, tenant)
    taken = await installation.limiter.admit(tenant.code, limits, actor, kind)
    note_limits(scope, taken)


def note_limits(scope: HTTPScope, taken: Taken | None) -> None:
    """Remember what the answer's headers have to tell."""
    if taken is not None:
        scope[_TAKEN] = taken  # type: ignore[literal-required]


def limit_headers(scope: HTTPScope) -> dict[str, str]:
    """``RateLimit-Policy`` and ``RateLimit``, as in draft-ietf-httpapi-ratelimit-headers.

    ``q`` requests in ``w`` seconds; ``r`` are left, and in ``t`` seconds all are back.
    """
    taken = scope.get(_TAKEN)
    if not isinstance(taken, Taken):
        return {}
    tightest = taken.tightest
    places = [
        place
        for place, one in enumerate(taken.takes)
        if one.bucket.name not in _UNTOLD or (not taken.allowed and place == tightest)
    ]
    if not places:
        places = [tightest] if taken.takes[tightest].bucket.name == "door" else []
    buckets = [taken.takes[place].bucket for place in places]
    return (
        {
            "RateLimit-Policy": ", ".join(f'"{b.name}";q={b.quota};w={b.window}' for b in buckets),
            "RateLimit": ", ".join(
                f'"{b.name}";r={taken.remaining(place)};t={math.ceil(taken.ahead[place] / _SECOND)}'
                for b, place in zip(buckets, places, strict=True)
            ),
        }
        if places
        else {}
    )
