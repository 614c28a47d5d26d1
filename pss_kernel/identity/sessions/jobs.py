"""Forgetting what has ended."""

from __future__ import annotations

from pss_kernel.identity import plugin
from pss_kernel.persistence import UnitOfWork

__all__ = ["forget_ended_sessions"]

# Used refresh tokens stay as long as their session: that one comes again must be noticed. A day
# more, so that a late one is told that the session has ended.
_FORGET = (
    """
DELETE FROM session
WHERE expires_at < now() - interval '1 day' OR ended_at < now() - interval '1 day'""",
    "DELETE FROM sign_in_step WHERE expires_at < now() - interval '1 day'",
    "DELETE FROM pss.token_cutoff WHERE until < now()",
)


@plugin.job(every=3600)
async def forget_ended_sessions(uow: UnitOfWork) -> None:
    """Forget sessions, sign-ins that were half done, and cutoffs of tokens that have expired."""
    for statement in _FORGET:
        await uow.hot(statement)
