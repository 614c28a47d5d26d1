"""A text that is used and never shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, final

__all__ = ["LONGEST_SECRET", "MASK", "Secret", "decode_secret", "encode_secret"]

MASK = "***"
LONGEST_SECRET = 16_384
"""Characters: enough for a private key in PEM."""


@final
class Secret:
    """A password, token or key. ``reveal()`` gives it; everything else shows ``***``.

    It has no JSON of its own and can't be pickled, so that it doesn't get into an event or a
    cache by accident.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        if not value or len(value) > LONGEST_SECRET or "\0" in value:
            raise ValueError(f"A secret has 1 to {LONGEST_SECRET:,} characters, none of them NUL.")
        self._reveal: Callable[[], str] = lambda: value

    @classmethod
    def opened_by(cls, reveal: Callable[[], str]) -> Secret:
        """One that is decrypted each time that it is revealed, and not before."""
        secret = cls.__new__(cls)
        secret._reveal = reveal  # noqa: SLF001 - its own
        return secret

    def reveal(self) -> str:
        """The text itself. Raises Unavailable where its key isn't there (any more)."""
        return self._reveal()

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, _spec: str) -> str:
        return MASK

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not pickled.")


def decode_secret(kind: type, value: Any) -> Any:
    """For msgspec: text becomes a Secret; other types of one's own are taken as they are."""
    if isinstance(value, kind):
        return value
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    expected = "text" if kind is Secret else f"`{kind.__name__}`"
    raise TypeError(f"Expected {expected}, got `{type(value).__name__}`")


def encode_secret(value: Any) -> str:
    """For msgspec: a Secret becomes ``***``."""
    if isinstance(value, Secret):
        return MASK
    raise NotImplementedError
