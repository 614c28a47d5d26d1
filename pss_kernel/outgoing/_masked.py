"""URLs for people and log lines."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["masked"]


def masked(url: str) -> str:
    """The URL without user, query and fragment, which may hold secrets."""
    place = urlsplit(url)
    host = place.hostname or ""
    port = f":{place.port}" if place.port else ""
    query = "?***" if place.query else ""
    return f"{place.scheme}://{host}{port}{place.path}{query}"
