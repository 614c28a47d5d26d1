"""What a route may answer beside a plain value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

__all__ = ["Answer", "Content", "Page"]

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list; ``next_cursor`` asks for what follows, None at the end."""

    data: list[T]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A value with another status than the route declares."""

    value: T
    status: int


@dataclass(frozen=True, slots=True)
class Content:
    """Something that is not JSON: an image, a document."""

    body: bytes
    media_type: str
    filename: str | None = None
