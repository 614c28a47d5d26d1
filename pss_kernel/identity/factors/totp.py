"""Codes of authenticator apps: TOTP (RFC 6238) with SHA-1, six digits, 30 seconds.

Those are what every such app can do; that SHA-1 has collisions does not weaken an HMAC.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import pyotp
import segno

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = [
    "SECRET_FIELD",
    "accept_code",
    "new_secret",
    "qr_code_of",
    "step_of",
    "take_step_of",
    "uri_of",
]

SECRET_FIELD = "factor.secret"  # noqa: S105 - the name of a column
STEP_SECONDS = 30
_AROUND = (-1, 0, 1)
"""Steps beside the current one whose codes hold too (RFC 6238, 5.2)."""

_SECRETS = """
SELECT factor_id, secret, extract(epoch FROM clock_timestamp())::float8 AS at
FROM factor WHERE account_id = $1 AND kind = 'totp' AND confirmed_at IS NOT NULL
"""
# Whoever moves the last step on has used the code; for everybody else it was used.
_TAKE = """
UPDATE factor SET last_step = $2, used_at = now()
WHERE factor_id = $1 AND (last_step IS NULL OR last_step < $2) RETURNING factor_id
"""


def new_secret() -> str:
    """160 random bits in base 32, as RFC 4226 recommends."""
    return pyotp.random_base32(32)


def uri_of(secret: str, account: str, issuer: str) -> str:
    """What an authenticator app reads from a QR code (otpauth://)."""
    # A colon parts the two in the label, so neither may have one.
    name, at = account.replace(":", " "), issuer.replace(":", " ")
    return pyotp.TOTP(secret, name=name, issuer=at).provisioning_uri()


def qr_code_of(uri: str) -> str:
    """The QR code of a URI: SVG as a ``data:`` URI, dark on light whatever the page is."""
    drawn: str = segno.make(uri, error="m", micro=False).svg_data_uri(light="#fff", scale=4)
    return drawn


def step_of(secret: str, code: str, at: float) -> int | None:
    """The time step whose code this is, of those that hold at a moment; None for no such code.

    Every comparison is made, each in constant time.
    """
    totp = pyotp.TOTP(secret)
    now = int(at) // STEP_SECONDS
    found = None
    for step in (now + one for one in _AROUND):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()):
            found = step
    return found


async def take_step_of(uow: UnitOfWork, factor_id: str, step: int) -> bool:
    """Use the code of a step; whether it had not been used, nor a later one."""
    return bool(await uow.hot(_TAKE, factor_id, step))


async def accept_code(uow: UnitOfWork, account_id: str, code: str) -> str | None:
    """The confirmed factor whose code this is, now used; None for a wrong or a used one."""
    rows = await uow.hot(_SECRETS, account_id)
    code = code.replace(" ", "")
    for row in rows:
        opened = await uow.unseal({account_id: {SECRET_FIELD: row["secret"]}})
        secret = opened[account_id][SECRET_FIELD]
        if not isinstance(secret, str):  # erased
            continue
        step = step_of(secret, code, row["at"])
        if step is not None and await take_step_of(uow, row["factor_id"], step):
            return str(row["factor_id"])
    return None
