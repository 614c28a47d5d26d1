import msgspec


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What an airline decides about its orders. Durations are minutes."""

    hold_minutes: int = 1440
    """How long an order made with `hold: true` keeps its seats unpaid."""

    guest_hold_minutes: int = 60
    """The longest hold of whoever has no permission of this plugin: it blocks seats for free."""

    payment_minutes: int = 20
    """How long an order made to be paid at once keeps its seats unpaid."""

    booking_closes_minutes: int = 60
    """No order is made, and no hold lasts, nearer to the first departure than this."""

    cancellation_quote_minutes: int = 15
    """How long the refund and penalty of a cancellation quote stay as quoted."""

    birth_date_required_for: list[str] = msgspec.field(default_factory=list)
    """Passenger types ("adult", "child", "infant") that must give a date of birth."""
