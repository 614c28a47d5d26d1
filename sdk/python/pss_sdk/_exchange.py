"""One request, repeated while that can help, and its answer as a type."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from pss_sdk.errors import ApiProblem, UnexpectedAnswer, Unreachable

__all__ = ["API_VERSION", "Exchange"]

API_VERSION = "2026-11-25"
"""The version of the interface that these types are made for, whatever the key says."""

T = TypeVar("T")
_LONGEST_WAIT = 5.0  # seconds
_MOST_POSITIONS = 8


class Exchange:
    """Sends requests as one caller of one airline.

    Every POST carries an Idempotency-Key and keeps it when it is repeated, so a repetition has
    no second effect; PUT and DELETE have none by nature. Where a write ended (``PSS-Position``)
    is sent along with what follows, so that a read never misses a write made here before it.
    """

    def __init__(
        self,
        base_url: str,
        *,
        tenant: str | None,
        key: str | None,
        timeout: float,
        attempts: int,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        headers = {"Accept": "application/json", "PSS-Version": API_VERSION}
        if tenant is not None:
            headers["PSS-Tenant"] = tenant
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._http = httpx.AsyncClient(
            base_url=base_url, headers=headers, timeout=timeout, transport=transport
        )
        self._attempts = attempts
        self._positions: tuple[str, ...] = ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _get(
        self, path: str, kind: type[T], query: Mapping[str, str | None] | None = None
    ) -> T:
        return _decoded(await self._send("GET", path, query=query), kind)

    async def _get_all(
        self, path: str, kind: type[T], query: Mapping[str, str | None] | None = None
    ) -> list[T]:
        """Every page of a list."""
        rows: list[T] = []
        asked = dict(query or {})
        while True:
            page = _decoded(await self._send("GET", path, query=asked), _Page)
            rows += _converted(page.data, list[kind])  # type: ignore[valid-type]
            if page.next_cursor is None:
                return rows
            asked["cursor"] = page.next_cursor

    async def _get_bytes(self, path: str) -> bytes:
        return (await self._send("GET", path)).content

    async def _post(
        self,
        path: str,
        kind: type[T],
        body: Any = None,
        *,
        idempotency_key: str | None,
        query: Mapping[str, str | None] | None = None,
    ) -> T:
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return _decoded(await self._send("POST", path, body, query=query, headers=headers), kind)

    async def _put(self, path: str, kind: type[T], body: Any) -> T:
        return _decoded(await self._send("PUT", path, body), kind)

    async def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str | None] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        content = None if body is None else msgspec.json.encode(body)
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if content else {})}
        params = {name: value for name, value in (query or {}).items() if value is not None}
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_may_help),
            stop=stop_after_attempt(self._attempts),
            wait=wait_exponential_jitter(multiplier=0.1, max=_LONGEST_WAIT, jitter=0.1),
            reraise=True,
        ):
            with attempt:
                return await self._once(method, path, content, params, sent)
        raise AssertionError("unreachable")  # the loop returns or raises

    async def _once(
        self,
        method: str,
        path: str,
        content: bytes | None,
        params: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> httpx.Response:
        brought = self._positions
        sent = {**headers, "PSS-Position": ", ".join(brought)} if brought else headers
        try:
            response = await self._http.request(
                method, path, content=content, params=params, headers=sent
            )
        except httpx.TransportError as error:
            base = self._http.base_url
            raise Unreachable(f"{base} does not answer ({type(error).__name__}).") from error
        if (position := response.headers.get("PSS-Position")) is not None:
            # It covers those that were brought; of requests meanwhile, each has its own.
            others = [one for one in self._positions if one not in brought]
            self._positions = (*others, position)[-_MOST_POSITIONS:]
        if response.is_error:
            raise ApiProblem.from_answer(response.status_code, response.content)
        return response


class _Page(msgspec.Struct):
    data: list[Any]
    next_cursor: str | None = None


def _may_help(error: BaseException) -> bool:
    return isinstance(error, Unreachable) or (isinstance(error, ApiProblem) and error.retryable)


def _decoded(response: httpx.Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnexpectedAnswer(
            f"{response.request.method} {response.request.url.path} answered what can't be "
            f"read: {error}."
        ) from error


def _converted(rows: list[Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(rows, kind)
    except msgspec.ValidationError as error:
        raise UnexpectedAnswer(f"A list has what can't be read: {error}.") from error
