import msgspec


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What an airline decides about its payments."""

    lease_seconds: int = 30
    """How long whoever works on a payment or refund has it alone. Longer than the slowest
    answer of a gateway; after it another worker takes over."""

    action_minutes: int = 15
    """How long a customer may take for the card issuer's challenge."""

    watch_minutes: int = 15
    """How long a payment that the gateway did not know is watched: an authorisation that turns
    up late is voided."""

    attention_attempts: int = 10
    """After so many attempts without an answer the order is put before staff. The attempts
    go on."""
