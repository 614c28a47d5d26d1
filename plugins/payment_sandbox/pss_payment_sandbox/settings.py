import msgspec


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where the network answers and how long it is waited for."""

    url: str = ""
    """The network's address, e.g. "http://127.0.0.1:8085". Empty: the environment variable
    PSS_PAYMENT_SANDBOX_URL, which ``pss serve`` sets."""

    timeout_seconds: float = 3.0
    """How long an answer is waited for; then the outcome is unknown."""

    connect_attempts: int = 3
    """How often a broken connection is tried again, always with the same idempotency key."""
