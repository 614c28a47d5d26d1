"""The header ``Idempotency-Key``."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request
from litestar.params import HeaderParameter

from pss_kernel.errors import BadRequest

__all__ = ["IDEMPOTENCY_KEY", "idempotency_key_of"]

_LONGEST_KEY = 255
IDEMPOTENCY_KEY = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="The same key with the same body gets the same answer, one effect.",
    ),
]


def idempotency_key_of(request: Request[Any, Any, Any]) -> str | None:
    """The key, where the request has one. Raises BadRequest for one that can't be."""
    key = request.headers.get("idempotency-key")
    if key is not None and (not key or len(key) > _LONGEST_KEY or not key.isprintable()):
        raise BadRequest(
            f"An Idempotency-Key has 1 to {_LONGEST_KEY} printable characters.",
            code="invalid-idempotency-key",
        )
    return key
