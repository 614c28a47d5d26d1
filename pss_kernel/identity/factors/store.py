"""Factors in the database."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = ["FACTOR_COLUMNS", "MOST_FACTORS", "Factor", "factor_from", "factors_of"]

MOST_FACTORS = {"totp": 2, "passkey": 10}
"""Of one account. Each app's codes are as many more that a guess may hit."""

FACTOR_COLUMNS = "factor_id, kind, name, created_at, confirmed_at, used_at"
_CONFIRMED = f"""
SELECT {FACTOR_COLUMNS} FROM factor WHERE account_id = $1 AND confirmed_at IS NOT NULL
ORDER BY factor_id
"""  # noqa: S608 - our own names


class Factor(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person has beside the password."""

    id: str
    kind: Literal["totp", "passkey"]
    name: str
    created_at: datetime
    used_at: datetime | None = None


def factor_from(row: Any) -> Factor:
    """The factor that a row with ``FACTOR_COLUMNS`` tells of."""
    return Factor(
        id=row["factor_id"],
        kind=row["kind"],
        name=row["name"],
        created_at=row["created_at"],
        used_at=row["used_at"],
    )


async def factors_of(uow: UnitOfWork, account_id: str) -> list[Factor]:
    """What can be used, the oldest first."""
    return [factor_from(row) for row in await uow.hot(_CONFIRMED, account_id)]
