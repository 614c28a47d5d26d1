"""The gateway that talks to the sandbox card network over HTTP."""

from functools import cache
from ssl import SSLContext
from typing import Any, Literal

import httpx
import msgspec
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from pss_kernel import Money
from pss_payment.contracts import Outcome

__all__ = ["NAME", "SandboxGateway"]

NAME = "payment_sandbox"

# Nothing of the answer arrived. The request may have: that is what the idempotency key is for.
_BROKEN_CONNECTION = (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError)
_UNKNOWN = Outcome(status="unknown")
_SERVER_ERROR = 500


class _Charge(msgspec.Struct):
    id: str
    status: Literal["authorised", "declined", "requires_action", "captured", "voided"]
    decline_reason: str | None = None
    action_url: str | None = None


class _Charges(msgspec.Struct):
    data: list[_Charge]


class _Refusal(msgspec.Struct):
    code: str


@cache
def _tls() -> SSLContext:
    """Read the certificate authorities once per process; it takes long."""
    return httpx.create_ssl_context()


class SandboxGateway:
    """One airline's connections to the network. Fulfils ``pss_payment.contracts.Gateway``.

    A broken connection is tried again with the same idempotency key. Whatever can't be
    understood, a timeout above all, is ``unknown``: never approved, never declined.
    """

    name = NAME
    test = True

    def __init__(self, url: str, merchant: str, timeout_seconds: float, attempts: int) -> None:
        self._attempts = attempts
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Merchant": merchant},
            timeout=timeout_seconds,
            verify=_tls(),
            trust_env=False,  # it runs beside the application, not behind a proxy
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

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
        if answer is None or not answer.is_success:
            return _UNKNOWN
        try:
            charges = msgspec.json.decode(answer.content, type=_Charges).data
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _UNKNOWN
        return _outcome(charges[0]) if charges else None

    async def _operate(self, path: str, key: str, body: dict[str, Any]) -> Outcome:
        answer = await self._send("POST", path, json=body, headers={"Idempotency-Key": key})
        if answer is None or answer.status_code >= _SERVER_ERROR:
            return _UNKNOWN
        try:
            if answer.is_success:
                return _outcome(msgspec.json.decode(answer.content, type=_Charge))
            refusal = msgspec.json.decode(answer.content, type=_Refusal)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _UNKNOWN
        if answer.status_code == httpx.codes.CONFLICT:
            return Outcome(status="declined", decline_reason=refusal.code)
        return _UNKNOWN

    async def _send(self, method: str, path: str, **request: Any) -> httpx.Response | None:
        """Send it; None when no whole answer came."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_BROKEN_CONNECTION),
            stop=stop_after_attempt(self._attempts),
            wait=wait_random_exponential(multiplier=0.05, max=0.5),
            reraise=True,
        )
        try:
            answer: httpx.Response = await retrying(self._client.request, method, path, **request)
        except httpx.RequestError:
            return None
        return answer


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
