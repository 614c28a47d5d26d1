"""Recovery codes: for whoever has lost the telephone.

Each has 80 random bits. A slow hash protects what people think of; against 2^80 equally likely
codes nobody can try enough of them, so SHA-256 is enough. The account's id is hashed with it, so
that no table of digests serves for two accounts.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = [
    "CODES",
    "accept_recovery_code",
    "drop_recovery_codes",
    "make_recovery_codes",
    "recovery_left",
]

CODES = 10
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_CHARACTERS = 16
_GROUP = 4
_READ_AS = str.maketrans({"o": "0", "i": "1", "l": "1", "-": "", " ": ""})

_DROP = "DELETE FROM recovery_code WHERE account_id = $1"
_MAKE = "INSERT INTO recovery_code (account_id, digest) SELECT $1, unnest($2::bytea[])"
_ACCEPT = """
UPDATE recovery_code SET used_at = now()
WHERE account_id = $1 AND digest = $2 AND used_at IS NULL RETURNING digest
"""
_LEFT = """
SELECT count(*) AS left FROM recovery_code WHERE account_id = $1 AND used_at IS NULL
"""


async def make_recovery_codes(uow: UnitOfWork, account_id: str) -> list[str]:
    """Fresh codes, in place of all there were; they can't be had a second time."""
    codes = [_new_code() for _ in range(CODES)]
    await drop_recovery_codes(uow, account_id)
    await uow.hot(_MAKE, account_id, [_digest(account_id, code) for code in codes])
    return codes


async def drop_recovery_codes(uow: UnitOfWork, account_id: str) -> None:
    """End all the codes of an account."""
    await uow.hot(_DROP, account_id)


async def accept_recovery_code(uow: UnitOfWork, account_id: str, code: str) -> bool:
    """Use a code; whether there was such a one, not used before."""
    return bool(await uow.hot(_ACCEPT, account_id, _digest(account_id, code)))


async def recovery_left(uow: UnitOfWork, account_id: str) -> int:
    """How many codes have not been used."""
    rows = await uow.hot(_LEFT, account_id)
    return int(rows[0]["left"])


def _new_code() -> str:
    text = "".join(secrets.choice(_ALPHABET) for _ in range(_CHARACTERS))
    return "-".join(text[at : at + _GROUP] for at in range(0, _CHARACTERS, _GROUP))


def _digest(account_id: str, code: str) -> bytes:
    """Of the code however it was typed: capitals, spaces, an O for a zero."""
    plain = code.lower().translate(_READ_AS)
    return hashlib.sha256(f"{account_id} {plain}".encode()).digest()
