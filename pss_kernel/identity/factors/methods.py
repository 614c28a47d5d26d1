"""How somebody has proved who it is, in the words of RFC 8176 (``amr``)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

__all__ = ["MFA", "OTP", "two_factors"]

OTP = "otp"
"""A code that holds once: of an authenticator app, or one of the recovery codes."""
MFA = "mfa"
"""Two factors of different kinds; what gives it is decided where they are checked."""


def two_factors(methods: AbstractSet[str]) -> bool:
    """Whether two factors were given, be it a password and a code or a passkey with its PIN."""
    return MFA in methods
