"""What kinds of requests are limited apart, and how much of each a tenant allows."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

__all__ = ["LimitClass", "RateLimits"]

LimitClass = Literal["read", "write", "shop", "lookup", "sign-in", "mail", "secret"]
"""Of a route: ``read`` and ``write`` by its method where it names none; ``shop`` costs much of
the database; ``lookup`` opens something to whoever knows its reference; ``sign-in`` takes a
password, a code or a link; ``mail`` sends a message to an address; ``secret`` deals in tokens."""

PerMinute = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
PerHour = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class RateLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many requests a tenant answers; a bucket holds one whole minute's (or hour's)."""

    tenant_per_minute: PerMinute = 120_000
    """All of the tenant's together."""
    client_per_minute: PerMinute = 3_000
    """From one address (IPv4) or network (IPv6, /64)."""
    caller_per_minute: PerMinute = 6_000
    """With one API key or by one account, from wherever."""
    read_per_minute: PerMinute = 3_000
    """By one caller: a key or an account, of guests an address. So are the following."""
    write_per_minute: PerMinute = 600
    shop_per_minute: PerMinute = 600
    lookup_per_minute: PerMinute = 120
    sign_in_per_minute: PerMinute = 20
    mail_per_minute: PerMinute = 10
    secret_per_minute: PerMinute = 120
    wrong_guesses_per_client: PerHour = 20
    """Wrong references or names an hour from one address, until it must wait."""
    wrong_guesses_per_reference: PerHour = 10
    """The same about one reference, from wherever."""
    wrong_guesses_per_tenant: PerHour = 1_000
    """The same of all guests together."""

    def of_class(self, name: LimitClass) -> int:
        """Requests a minute of that class by one caller."""
        quota: int = getattr(self, f"{name.replace('-', '_')}_per_minute")
        return quota
