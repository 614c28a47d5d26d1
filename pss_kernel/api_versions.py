"""The versions of the HTTP interface, by date, oldest first.

What changed with each is declared in ``pss_api.versions``, which is held against this list; it
stands here because a key keeps the version that was the newest when it was made.
"""

__all__ = ["NEWEST", "OLDEST", "VERSIONS"]

VERSIONS: tuple[str, ...] = ("2026-06-01", "2026-11-25")
OLDEST = VERSIONS[0]
NEWEST = VERSIONS[-1]
