"""What somebody gives as a second factor, and what it proves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from pss_kernel.errors import FieldError, Invalid
from pss_kernel.identity.factors.attempts import forgive
from pss_kernel.identity.factors.events import tell
from pss_kernel.identity.factors.methods import MFA, OTP
from pss_kernel.identity.factors.passkeys import PasskeyAssertion, check_passkey
from pss_kernel.identity.factors.recovery import accept_recovery_code, recovery_left
from pss_kernel.identity.factors.totp import accept_code

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = ["Code", "Proof", "RecoveryCode", "StepToken", "check_proof", "one_of"]

Code = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9]{3} ?[0-9]{3}$", description="Of the authenticator app.")
]
RecoveryCode = Annotated[str, msgspec.Meta(min_length=16, max_length=40)]
StepToken = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """One second factor, of whichever kind."""

    code: str | None = None
    recovery_code: str | None = None
    passkey: PasskeyAssertion | None = None

    @property
    def guessable(self) -> bool:
        """Whether it is a text that somebody may try out."""
        return self.passkey is None

    @property
    def kind(self) -> str:
        """As the audit trail calls it."""
        if self.passkey is not None:
            return "passkey"
        return "totp" if self.code is not None else "recovery_code"


def one_of(**given: object) -> Proof:
    """The proof that was given. Raises Invalid where it is not exactly one."""
    there = {name: value for name, value in given.items() if value is not None}
    if len(there) != 1:
        names = " or ".join(repr(name) for name in given)
        raise Invalid(
            errors=[
                FieldError(pointer=f"/{name}", detail=f"Give exactly one of {names}.")
                for name in given
            ]
        )
    return msgspec.convert(there, Proof)


async def check_proof(
    uow: UnitOfWork, account_id: str, proof: Proof, purpose: str
) -> frozenset[str] | None:
    """How the account has proved itself (RFC 8176), the proof now used; None where it has not.

    ``purpose`` is what a passkey's challenge was made for. What is refused goes into the audit
    trail, so the unit of work must be committed whatever the answer is.
    """
    methods = None
    if proof.passkey is not None:
        proved = await check_passkey(uow, purpose, proof.passkey)
        if proved is not None and proved.account_id == account_id:
            if proved.cloned:
                uow.audit("factor.cloned", account_id, after={"factor": proved.factor_id})
            else:
                methods = proved.methods
    elif proof.code is not None:
        if await accept_code(uow, account_id, proof.code):
            methods = frozenset({OTP, MFA})
    elif await accept_recovery_code(uow, account_id, proof.recovery_code or ""):
        methods = frozenset({OTP, MFA})
        left = await recovery_left(uow, account_id)
        uow.audit("recovery-code.used", account_id, after={"left": left})
        tell(uow, account_id, "recovery-code-used")
    if methods is None:
        uow.audit("factor.refused", account_id, after={"kind": proof.kind})
    elif proof.guessable:
        await forgive(uow, account_id)
    return methods
