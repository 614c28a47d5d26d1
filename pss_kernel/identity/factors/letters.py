"""What is written to people about their second factors, to notice what they did not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pss_kernel.mail import Letter

if TYPE_CHECKING:
    from pss_kernel.identity.accounts.store import Account
    from pss_kernel.identity.factors.events import Change
    from pss_kernel.tenancy import Tenant

__all__ = ["factor_notice"]

_SUBJECTS: dict[Change, str] = {
    "added": "A second factor was added",
    "removed": "A second factor was removed",
    "reset": "Your second factors were reset",
    "recovery-codes-made": "New recovery codes",
    "recovery-code-used": "A recovery code was used",
}
_SAID: dict[Change, str] = {
    "added": "A second factor (an authenticator app or a passkey) was added to your account. "
    "Wherever else you were signed in, you are signed out.",
    "removed": "A second factor was removed from your account. Wherever else you were signed in, "
    "you are signed out.",
    "reset": "All second factors and recovery codes of your account were taken away by somebody "
    "who runs the accounts, and you are signed out everywhere. Sign in with your password and add "
    "a second factor again.",
    "recovery-codes-made": "New recovery codes were made for your account. The earlier ones have "
    "ended.",
    "recovery-code-used": "Somebody, hopefully you, signed in to your account with a recovery "
    "code. It can't be used again.",
}


def factor_notice(tenant: Tenant, account: Account, change: Change) -> Letter:
    """To whoever's factors have changed."""
    return Letter(
        account.email,
        tenant.name,
        f"{_SUBJECTS[change]} at {tenant.name}",
        [
            _SAID[change],
            "If it wasn't you, change your password now and tell whoever runs your accounts.",
        ],
    )
