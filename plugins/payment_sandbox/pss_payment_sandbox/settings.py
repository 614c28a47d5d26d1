import msgspec


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where the network answers and how long it is waited for."""

    url: str = ""
    """The network's address, e.g. "https://cards.example"; one that is not public is called only
    where the operator allows it. Empty: the environment variable PSS_PAYMENT_SANDBOX_URL, which
    ``pss serve`` sets."""

    timeout_seconds: float = 3.0
    """How long an answer is waited for, all attempts together; then the outcome is unknown."""

    connect_attempts: int = 3
    """How often it is tried, where a connection breaks or the network says to come again, always
    with the same idempotency key."""
