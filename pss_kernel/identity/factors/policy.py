"""Whether a sign-in needs a second step before it gets a session."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from pss_kernel.identity.factors.methods import two_factors
from pss_kernel.identity.factors.steps import begin_step

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = ["SECOND_STEP", "FactorKind", "StepNeeded", "second_factor"]

FactorKind = Literal["totp", "passkey", "recovery_code"]

SECOND_STEP = "second-factor"
_STEP_SECONDS = 600

_KINDS = """
SELECT DISTINCT kind FROM factor WHERE account_id = $1 AND confirmed_at IS NOT NULL
UNION SELECT 'recovery_code' FROM recovery_code WHERE account_id = $1 AND used_at IS NULL
"""


class _Account(Protocol):
    """All that this asks of an account."""

    @property
    def account_id(self) -> str: ...


class StepNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """What a client does next: ``POST /v1/sessions/second-factor`` with the token and a proof."""

    step_token: str
    kinds: list[FactorKind]
    expires_at: datetime


async def second_factor(
    uow: UnitOfWork, account: _Account, methods: AbstractSet[str]
) -> StepNeeded | None:
    """The second step that this sign-in needs; None where it needs none.

    ``methods`` is what was proved so far; with ``mfa`` among them, nothing more is asked for. One
    who has no second factor gets a session without it: what that may do is decided for each
    request, by the tenant's setting (``second_factor_roles``) and by the permission.
    """
    if two_factors(methods):
        return None
    rows = await uow.hot(_KINDS, account.account_id)
    kinds = sorted(row["kind"] for row in rows)
    if not set(kinds) - {"recovery_code"}:
        return None
    token, expires_at = await begin_step(
        uow,
        SECOND_STEP,
        account_id=account.account_id,
        data={"methods": sorted(methods)},
        seconds=_STEP_SECONDS,
    )
    return StepNeeded(step_token=token, kinds=kinds, expires_at=expires_at)
