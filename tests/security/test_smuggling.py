"""Requests that two servers might read differently: refused by ours, or read as one request."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pss_outside.processes import bare_server

_SECONDS = 10.0
_SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: smuggled.example\r\n\r\n"
_REFUSED = {400, 413, 414, 431, 501}


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """A server as ``pss serve`` runs it, with no airlines."""
    with tempfile.TemporaryDirectory(prefix="pss-smuggling-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with bare_server(folder / "var", folder / "log") as url:
            parts = urlsplit(url)
            yield str(parts.hostname), int(parts.port or 0)


def _answers(address: tuple[str, int], sent: bytes) -> tuple[list[int], bytes]:
    """The statuses of all answers on one connection, until the server closes it."""
    with socket.create_connection(address, timeout=_SECONDS) as connection:
        connection.sendall(sent)
        received = b""
        try:
            while part := connection.recv(65536):
                received += part
        except ConnectionResetError:
            pass
    found = received.split(b"HTTP/1.1 ")[1:]
    return [int(one[:3]) for one in found], received


def _request(*lines: bytes, target: bytes = b"/v1/tenant", body: bytes = b"") -> bytes:
    head = (b"POST " + target + b" HTTP/1.1", b"Connection: close", *lines)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


_HOST = b"Host: nobody.example"
_CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(
            _request(_HOST, b"Content-Length: 6", b"Content-Length: 5", body=b"0\r\n\r\nX"),
            id="two-lengths",
        ),
        pytest.param(
            _request(_HOST, b"Content-Length: 5, 6", body=b"0\r\n\r\nX"), id="lengths-in-one"
        ),
        pytest.param(_request(_HOST, b"Content-Length: +5", body=b"hello"), id="length-plus"),
        pytest.param(_request(_HOST, b"Content-Length: -1"), id="length-below-nought"),
        pytest.param(
            _request(_HOST, b"Content-Length : 5", body=b"hello"), id="space-before-colon"
        ),
        pytest.param(_request(_HOST, b"X: a\r\n b"), id="obs-fold"),
        pytest.param(_request(_HOST, b"X: a\x00b"), id="nul"),
        pytest.param(_request(_HOST, b"X: a\rb"), id="bare-cr"),
        pytest.param(_request(_HOST, b"Transfer-Encoding: chunked, identity"), id="odd-coding"),
        pytest.param(
            _request(_HOST, b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), id="unknown-coding"
        ),
        pytest.param(
            _request(_HOST, _CHUNKED, body=b"f" * 20 + b"\r\nx\r\n0\r\n\r\n"), id="huge-chunk"
        ),
        pytest.param(
            _request(_HOST, _CHUNKED, body=b"-1\r\nx\r\n0\r\n\r\n"), id="chunk-below-nought"
        ),
        pytest.param(_request(_HOST, b"Host: other.example"), id="two-hosts"),
        pytest.param(_request(), id="no-host"),
        pytest.param(_request(_HOST, b"X: " + b"y" * 100_000), id="large-head"),
        pytest.param(_request(_HOST, *(b"X: y" for _ in range(200))), id="many-headers"),
    ],
)
def test_refused(address: tuple[str, int], sent: bytes) -> None:
    """Refused, or the connection is closed; what follows is not read as a request."""
    statuses, received = _answers(address, sent + _SMUGGLED)
    assert len(statuses) <= 1, received
    assert set(statuses) <= _REFUSED | {404, 405}, received
    assert b"/smuggled" not in received


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        # RFC 9112, section 6.3: the coding overrides the length, and the connection ends.
        pytest.param(
            _request(_HOST, b"Content-Length: 100", _CHUNKED, body=b"0\r\n\r\n"),
            {400, 404, 405},
            id="length-and-coding",
        ),
        pytest.param(
            _request(_HOST, _CHUNKED, b"Content-Length: 4", body=b"0\r\n\r\n"),
            {400, 404, 405},
            id="coding-and-length",
        ),
        pytest.param(
            _request(_HOST, _CHUNKED, _CHUNKED, body=b"0\r\n\r\n"),
            {400, 404, 405},
            id="two-codings",
        ),
        pytest.param(
            _request(_HOST, target=b"http://evil.example/v1/tenant"), {400, 404, 405}, id="absolute"
        ),
        pytest.param(
            b"GET /v1/tenant HTTP/1.1\nHost: x\nConnection: close\n\n", {404}, id="bare-lf"
        ),
    ],
)
def test_read_as_one(address: tuple[str, int], sent: bytes, statuses: set[int]) -> None:
    """One answer, and the connection ends: nothing that follows is taken for a request."""
    found, received = _answers(address, sent + _SMUGGLED)
    assert 1 == len(found), received
    assert set(found) <= statuses, received
    assert b"/smuggled" not in received
    assert [b"server: pss"] == [
        line for line in received.lower().splitlines() if line.startswith(b"server:")
    ]
