"""What the database says, as a problem that a client can act on."""

from __future__ import annotations

import asyncpg
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pss_kernel.errors import Conflict, Invalid, Problem, Unavailable
from pss_kernel.persistence._database import disconnected

__all__ = ["database_problem", "said"]


def database_problem(error: BaseException) -> Problem | None:
    """What the database said, as a problem that a client can act on; None for anything else."""
    if isinstance(error, Problem):
        return None
    if disconnected(error):
        return Unavailable(
            "The database can't be reached at the moment.", code="database-unavailable"
        )
    if isinstance(error, PoolTimeout):
        return Unavailable("Too many requests wait for the database.", code="database-busy")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, asyncpg.PostgresError):
            return _said(cause)
        cause = cause.__cause__
    return None


def said(error: asyncpg.PostgresError) -> str:
    """What the database said, without its DETAIL: there may be people's values in it."""
    return f"{error.args[0]} ({error.sqlstate})"


def _said(error: asyncpg.PostgresError) -> Problem | None:
    if isinstance(error, asyncpg.LockNotAvailableError | asyncpg.QueryCanceledError):
        return Unavailable("The database took too long over this.", code="database-busy")
    if isinstance(
        error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError
    ):
        return Invalid("A text holds a character that can't be kept (U+0000).", code="invalid-text")
    if isinstance(error, asyncpg.NumericValueOutOfRangeError) or (
        isinstance(error, asyncpg.DataError) and "value out of" in str(error)  # asyncpg's own check
    ):
        return Invalid("A number is larger than can be kept.", code="out-of-range")
    collided = isinstance(error, asyncpg.UniqueViolationError) and (
        error.constraint_name == "uq_event_stream_stream_version"
    )
    if collided or isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError):
        return Conflict(
            "Another request changed the same thing at the same time.",
            code="concurrent-change",
            retryable=True,
        )
    return None
