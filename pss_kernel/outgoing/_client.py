"""Calling another company's HTTP API."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from pss_kernel.correlation import current_correlation
from pss_kernel.errors import UpstreamRefused, UpstreamUnavailable
from pss_kernel.keys._secret import encode_secret
from pss_kernel.outgoing._masked import masked
from pss_kernel.outgoing._target import NoAnswer, Target

if TYPE_CHECKING:
    from pss_kernel.outgoing._http import Connections

__all__ = ["OutgoingAnswer", "OutgoingClient"]

T = TypeVar("T")

# RFC 9110, section 9.2.2.
_IDEMPOTENT = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"}
_TOO_MANY = 429
_REPEATED = {_TOO_MANY, 500, 502, 503, 504}
_SERVER_ERROR = 500
_SUCCESS = range(200, 300)


class OutgoingAnswer(msgspec.Struct, frozen=True):
    """What the other side answered, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    content: bytes

    @property
    def ok(self) -> bool:
        """Whether the status says success (2xx)."""
        return self.status in _SUCCESS

    def decode(self, kind: type[T]) -> T:
        """The JSON body as that type. Raises UpstreamUnavailable ("upstream-answer")."""
        try:
            return msgspec.json.decode(self.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UpstreamUnavailable(
                "The other side's answer is not what it should be.",
                code="upstream-answer",
                retryable=False,
            ) from error


class OutgoingClient:
    """One target's HTTP API, for one plugin and tenant: ``uow.outgoing``, ``work.outgoing``."""

    def __init__(
        self, target: Target, connections: Connections, base_url: str, headers: Mapping[str, str]
    ) -> None:
        self.target: Final = target
        self._connections = connections
        self._base = base_url.rstrip("/")
        self._headers = dict(headers)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = msgspec.UNSET,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> OutgoingAnswer:
        """Send a request and give its answer, whatever the status; no redirect is followed.

        ``path`` continues the target's URL. With a ``key``, sent as ``Idempotency-Key``, or a
        method that is idempotent by itself, it is sent again where no answer comes, or one that
        says to come again (429, 500, 502, 503, 504). The answer's time is bounded by the limits
        and by the budget of what is running.
        Raises UpstreamUnavailable, UpstreamOpen, UpstreamBusy; UpstreamRefused for an address
        that may not be called.
        """
        url = self._url(path)
        sent = {**self._headers, **(headers or {}), "Accept-Encoding": "identity"}
        if key is not None:
            sent["Idempotency-Key"] = key
        if json is not msgspec.UNSET:
            content = msgspec.json.encode(json, enc_hook=encode_secret)
            sent.setdefault("Content-Type", "application/json")
        correlation = current_correlation()
        if correlation is not None:
            sent |= correlation.headers

        async def attempt() -> OutgoingAnswer:
            exchanged = await self._connections.exchange(
                self.target, method, url, headers=sent, params=params, form=form, content=content
            )
            return _judged(OutgoingAnswer(*exchanged))

        repeatable = key is not None or method.upper() in _IDEMPOTENT
        return await self.target.call(attempt, repeatable=repeatable)

    def check(self, path: str) -> None:
        """Raises UpstreamRefused for what ``request`` would not even look up."""
        self._url(path)

    async def get(self, path: str, **request: Any) -> OutgoingAnswer:
        """As ``request``."""
        return await self.request("GET", path, **request)

    async def post(self, path: str, **request: Any) -> OutgoingAnswer:
        """As ``request``; give a ``key``, so that it may be tried again."""
        return await self.request("POST", path, **request)

    def _url(self, path: str) -> str:
        url = f"{self._base}{path}" if self._base else path
        place = urlsplit(url)
        same = not self._base or place[:2] == urlsplit(self._base)[:2]
        if place.scheme not in {"http", "https"} or not place.hostname or not same:
            raise UpstreamRefused(
                f"{masked(url)} is no address of {self.target.name}.", code="upstream-address"
            )
        self._connections.check_scheme(place.scheme, place.hostname, self.target.name)
        return url


def _judged(answer: OutgoingAnswer) -> OutgoingAnswer:
    """The answer, where it is worth anything. Raises NoAnswer."""
    if answer.status < _SERVER_ERROR and answer.status not in _REPEATED:
        return answer
    raise NoAnswer(
        f"status {answer.status}",
        answer=answer,
        retry_after=_retry_after(answer.headers.get("retry-after", "")),
        failed=answer.status != _TOO_MANY,
    )


def _retry_after(value: str) -> float:
    """Seconds: a number of them, or until a date (RFC 9110, section 10.2.3); 0 for anything else.

    A longer time than the call has left ends it.
    """
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = email.utils.parsedate_to_datetime(value)
        return max(0.0, moment.timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
