"""Whether passwords are still for anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pss_kernel.errors import Forbidden
from pss_kernel.identity.settings import IdentitySettings

if TYPE_CHECKING:
    from pss_kernel.identity.accounts.store import Account
    from pss_kernel.persistence import Work

__all__ = ["refuse_password"]


def refuse_password(work: Work, account: Account) -> None:
    """Raises Forbidden where the tenant's staff sign in at its identity provider only.

    To be called once the password was found right, so that a wrong one tells nothing.
    """
    sign_on = work.settings(IdentitySettings).sign_on
    if sign_on is not None and sign_on.only and account.kind == "staff":
        raise Forbidden(
            "Passwords are not used here any more.",
            code="sign-on-only",
            mend="Sign in with POST /v1/sign-on.",
        )
