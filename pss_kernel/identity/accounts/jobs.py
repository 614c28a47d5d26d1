"""Forgetting what is of no use any more."""

from __future__ import annotations

from pss_kernel.identity import plugin
from pss_kernel.persistence import UnitOfWork

__all__: list[str] = []

# Used and expired ones are kept for a day: whoever asks why a link does not work can be told.
_LINKS = """
DELETE FROM account_link
WHERE expires_at < now() - interval '1 day' OR used_at < now() - interval '1 day'
"""
# Asked for by somebody outside the staff and never confirmed: perhaps not even by whoever has the
# address.
_UNCONFIRMED = """
DELETE FROM account a
WHERE kind = 'passenger' AND state = 'invited' AND created_at < now() - interval '1 day'
  AND NOT EXISTS (SELECT FROM account_link l WHERE l.account_id = a.account_id
                  AND l.used_at IS NULL AND l.expires_at > now())
RETURNING account_id
"""
_ADDRESSES = """
UPDATE account a SET new_email = NULL, new_email_key = NULL
WHERE new_email IS NOT NULL AND changed_at < now() - interval '1 day'
  AND NOT EXISTS (SELECT FROM account_link l WHERE l.account_id = a.account_id
                  AND l.purpose = 'verification' AND l.used_at IS NULL AND l.expires_at > now())
"""


@plugin.job(every=3600.0)
async def forget_links(uow: UnitOfWork) -> None:
    """Forget links that were used or ended, and what was never confirmed."""
    await uow.hot(_LINKS)
    for row in await uow.hot(_UNCONFIRMED):
        uow.audit("account.forgotten", row["account_id"], reason="not-confirmed")
    await uow.hot(_ADDRESSES)
