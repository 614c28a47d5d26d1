"""What a body is said to be."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection

from pss_kernel.errors import BadRequest

__all__ = ["refuse_other_types"]


class UnsupportedMediaType(BadRequest):
    """The body is of a type that the route does not read."""

    status, code, title = 415, "unsupported-media-type", "The body is not JSON"


def refuse_other_types(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Raise UnsupportedMediaType where the body is said to be something else than JSON.

    A page of another site can make a browser send a form or plain text without asking first.
    """
    given = connection.headers.getall("content-type", [])
    kinds = {one.partition(";")[0].strip().lower() for one in given}
    if any(kind != "application/json" and not kind.endswith("+json") for kind in kinds):
        raise UnsupportedMediaType(
            "The body of this request is JSON.", mend="Send Content-Type: application/json."
        )
