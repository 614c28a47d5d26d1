"""The mail server that ``PSS_SMTP_URL`` names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from pss_kernel.errors import Invalid

__all__ = ["MailServer"]

Tls = Literal["starttls", "implicit", "none"]
_PORTS = {"smtp": 587, "smtps": 465}  # RFC 8314: submission, and with TLS from the first byte


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in, and how the way there is protected."""

    host: str
    port: int
    tls: Tls
    """``starttls``: refused where the server doesn't offer it; ``none``: on one's own machine."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> MailServer:
        """From ``smtp://user:password@host:587?tls=starttls`` or ``smtps://…``. Raises Invalid."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
            query = parse_qs(parts.query, strict_parsing=bool(parts.query))
        except (KeyError, ValueError) as error:
            raise _wrong() from error
        default = "implicit" if parts.scheme == "smtps" else "starttls"
        tls = query.pop("tls", [default])[-1]
        if not parts.hostname or tls not in get_args(Tls) or query or parts.path.strip("/"):
            raise _wrong()
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        return cls(parts.hostname, port, tls, user, password)  # type: ignore[arg-type]  # checked


def _wrong() -> Invalid:
    return Invalid(
        "The environment variable PSS_SMTP_URL is wrong.",
        code="invalid-configuration",
        mend="It reads like smtp://user:password@mail.example.com:587, or smtps://… with TLS from "
        "the first byte; '?tls=none' where the server is on this machine. Special characters of "
        "user and password are percent-encoded.",
    )
