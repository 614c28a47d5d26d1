"""Headers that tell browsers to be strict (OWASP ASVS 5.0, V3.4), and the host that is asked."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

from pss_kernel.errors import BadRequest

if TYPE_CHECKING:
    from litestar.types import HTTPScope

__all__ = ["SAFE", "page_policy", "refuse_unclear_host", "strict_transport"]

_NOTHING = "default-src 'none'; frame-ancestors 'none'"
SAFE = [
    (name.lower().encode(), value.encode())
    for name, value in {
        "Server": "pss",  # else the server names itself
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": f"{_NOTHING}; base-uri 'none'; form-action 'none'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-site",
        "Permissions-Policy": "accelerometer=(), camera=(), geolocation=(), microphone=(), "
        "payment=(), usb=()",
    }.items()
]
"""On every answer that says nothing else."""
_YEAR = 31_536_000
_HOST = re.compile(rb"([A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_INLINE = re.compile(rb"<(script|style)(?: [^>]*)?>(.*?)</\1>", re.DOTALL)


def strict_transport(scope: HTTPScope) -> dict[str, str]:
    """That the host is to be reached by TLS alone from now on; only TLS itself can say so."""
    if scope["scheme"] != "https":
        return {}
    return {"Strict-Transport-Security": f"max-age={_YEAR}; includeSubDomains"}


def refuse_unclear_host(scope: HTTPScope) -> None:
    """Raise BadRequest unless exactly one ``Host`` is given, and it is a name and a port.

    No other header says which host is asked, whoever sends it.
    """
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise BadRequest(
            "A request names one host, as NAME or NAME:PORT.",
            code="invalid-host",
        )


def page_policy(page: bytes) -> str:
    """The policy for a page of ours: its own script and style by their digests, no others."""
    digests: dict[bytes, list[str]] = {b"script": [], b"style": []}
    for kind, text in _INLINE.findall(page):
        if text.strip():
            digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
            digests[kind].append(f"'sha256-{digest}'")
    return "; ".join(
        [
            _NOTHING,
            "base-uri 'none'; form-action 'none'; connect-src 'self'; font-src 'self'",
            "img-src 'self' data:",
            " ".join(["script-src 'self'", *digests[b"script"]]),
            " ".join(["style-src 'self'", *digests[b"style"]]),
        ]
    )
