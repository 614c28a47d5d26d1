"""The gateway that talks to the sandbox card network over HTTP."""

from typing import Any, Literal

import msgspec

from pss_kernel import Money, OutgoingAnswer, OutgoingClient, UpstreamUnavailable
from pss_payment.contracts import Outcome

__all__ = ["NAME", "SandboxGateway"]

NAME = "payment_sandbox"

_UNKNOWN = Outcome(status="unknown")
_SERVER_ERROR = 500
_CONFLICT = 409


class _Charge(msgspec.Struct):
    id: str
    status: Literal["authorised", "declined", "requires_action", "captured", "voided"]
    decline_reason: str | None = None
    action_url: str | None = None


class _Charges(msgspec.Struct):
    data: list[_Charge]


class _Refusal(msgspec.Struct):
    code: str


class SandboxGateway:
    """One airline's connections to the network. Fulfils ``pss_payment.contracts.Gateway``.

    What brings no answer is tried again with the same idempotency key while there is time.
    Whatever can't be understood, a timeout above all, is ``unknown``: never approved, never
    declined.
    """

    name = NAME
    test = True

    def __init__(self, client: OutgoingClient) -> None:
        self._client = client

    async def aclose(self) -> None:
        """Let go of it; the connections are the kernel's."""

    async def authorise(
        self,
        payment_id: str,
        amount: Money,
        token: str,
        *,
        return_url: str | None,
        metadata: dict[str, str],
    ) -> Outcome:
        """Reserve the amount on the customer's card."""
        body = {
            "payment_id": payment_id,
            "amount_minor": amount.minor,
            "currency": amount.currency,
            "token": token,
            "return_url": return_url,
            "metadata": metadata,
        }
        outcome = await self._operate("/charges", f"{payment_id}:authorise", body)
        # A decline is a charge that says so. A refused request may stand beside a charge that an
        # earlier one made: only looking the payment up tells.
        return outcome if outcome.reference else _UNKNOWN

    async def capture(self, reference: str, amount: Money, key: str) -> Outcome:
        """Take the reserved amount."""
        body = {"amount_minor": amount.minor}
        return await self._operate(f"/charges/{reference}/capture", key, body)

    async def void(self, reference: str, key: str) -> Outcome:
        """Give a reservation up."""
        outcome = await self._operate(f"/charges/{reference}/void", key, {})
        if outcome.decline_reason == "voided":
            return Outcome(status="approved", reference=reference)
        return outcome

    async def refund(self, reference: str, amount: Money, key: str) -> Outcome:
        """Give captured money back."""
        body = {"amount_minor": amount.minor}
        return await self._operate(f"/charges/{reference}/refunds", key, body)

    async def lookup(self, payment_id: str) -> Outcome | None:
        """Find how an authorisation stands; None: the network never heard of the payment."""
        answer = await self._send("GET", "/charges", params={"payment_id": payment_id})
        if answer is None or not answer.ok:
            return _UNKNOWN
        try:
            charges = msgspec.json.decode(answer.content, type=_Charges).data
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _UNKNOWN
        return _outcome(charges[0]) if charges else None

    async def _operate(self, path: str, key: str, body: dict[str, Any]) -> Outcome:
        answer = await self._send("POST", path, json=body, key=key)
        if answer is None or answer.status >= _SERVER_ERROR:
            return _UNKNOWN
        try:
            if answer.ok:
                return _outcome(msgspec.json.decode(answer.content, type=_Charge))
            refusal = msgspec.json.decode(answer.content, type=_Refusal)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _UNKNOWN
        if answer.status == _CONFLICT:
            return Outcome(status="declined", decline_reason=refusal.code)
        return _UNKNOWN

    async def _send(self, method: str, path: str, **request: Any) -> OutgoingAnswer | None:
        """Send it; None when no whole answer came, or it was not even sent."""
        try:
            return await self._client.request(method, path, **request)
        except UpstreamUnavailable:
            return None


def _outcome(charge: _Charge) -> Outcome:
    if charge.status in {"authorised", "captured"}:
        return Outcome(status="approved", reference=charge.id)
    if charge.status == "requires_action":
        return Outcome(status="requires_action", reference=charge.id, action_url=charge.action_url)
    return Outcome(
        status="declined",
        reference=charge.id,
        decline_reason=charge.decline_reason or charge.status,
    )
