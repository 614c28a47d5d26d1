"""What others may know of accounts and sessions: the events about them."""

from pss_kernel.messaging import Event

__all__ = ["RefreshTokenReused"]


class RefreshTokenReused(Event, name="refresh-token-reused", version=1):
    """A refresh token came a second time: somebody else has it, and its session was ended."""

    account_id: str
    session_id: str
    address: str
    """Where the second use came from: the thief's, or the owner's after the thief's."""
