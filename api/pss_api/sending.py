"""How an answer goes out: with its headers, perhaps smaller, perhaps not again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from litestar.datastructures import MutableScopeHeaders

from pss_api.compression import compressed, takes_gzip
from pss_api.etags import etag_of, is_known
from pss_api.headers import page_policy
from pss_kernel.config import IDENTITY

if TYPE_CHECKING:
    from litestar.types import HTTPScope, Message, Send

    from pss_kernel.plugin import Route

__all__ = ["Sending"]

_OK, _NOT_MODIFIED = 200, 304
_BODILESS = ("Content-Length", "Content-Type", "Content-Encoding", "Content-Disposition")


class Sending:
    """The ``send`` of one request. ``finish`` adds what every answer carries.

    An answer that comes in one piece is held until it is whole; one in several goes out as it is.
    """

    def __init__(
        self, scope: HTTPScope, send: Send, finish: Callable[[MutableScopeHeaders], None]
    ) -> None:
        self._scope = scope
        self._send = send
        self._finish = finish
        self._start: Any = None
        self.status = 500
        """Of the answer; 500 until there is one."""

    async def __call__(self, message: Message) -> None:
        """Send on, as ASGI has it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            headers = MutableScopeHeaders.from_message(start)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                message["body"] = self._shaped(start, headers, message.get("body", b""))
            self._finish(headers)
            await self._send(start)
        await self._send(message)

    def _shaped(self, start: Any, headers: MutableScopeHeaders, body: bytes) -> bytes:
        scope, path = self._scope, self._scope["path"]
        media_type = headers.get("Content-Type", "")
        if path.startswith("/docs") and media_type.startswith("text/html"):
            headers["Content-Security-Policy"] = page_policy(body)
        if scope["method"] not in {"GET", "HEAD"} and not path.startswith("/v1"):
            return body
        given = {name: value.decode("latin-1") for name, value in scope["headers"]}
        packed = None
        if _may_be_compressed(scope):
            headers.add("Vary", "Accept-Encoding")
            if takes_gzip(given.get(b"accept-encoding", "")):
                packed = compressed(body, media_type)
        coding = "gzip" if packed is not None else ""
        if scope["method"] == "GET" and start["status"] == _OK and _may_be_tagged(scope):
            etag = headers.get("ETag") or etag_of(body, coding)
            headers["ETag"] = etag
            if is_known(etag, given.get(b"if-none-match", "")):
                return self._not_modified(start, headers)
        if packed is None:
            return body
        headers["Content-Encoding"] = coding
        headers["Content-Length"] = str(len(packed))
        return packed

    def _not_modified(self, start: Any, headers: MutableScopeHeaders) -> bytes:
        self.status = start["status"] = _NOT_MODIFIED
        for name in _BODILESS:
            if name in headers:
                del headers[name]
        return b""


def _route(scope: HTTPScope) -> Route | None:
    """The plugin's route that answers, once it has been admitted."""
    return scope.get("pss_route")  # type: ignore[return-value]


def _may_be_compressed(scope: HTTPScope) -> bool:
    """Not what may hold a secret beside what the caller has sent (BREACH)."""
    route = _route(scope)
    return route is None or not (route.confidential or route.plugin == IDENTITY)


def _may_be_tagged(scope: HTTPScope) -> bool:
    """A tag tells whoever sees it whether two answers are the same: none for secrets."""
    route = _route(scope)
    return route is None or not (route.confidential or route.limit in {"secret", "sign-in"})
