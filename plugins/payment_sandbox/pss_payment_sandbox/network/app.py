"""The network over HTTP and JSON. A merchant names itself in the header ``Merchant``."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody

from . import charges
from .challenge import answer_challenge, show_challenge
from .charges import Charge, Refusal, behaviour_of
from .store import KeyReused, Store

__all__ = ["build"]

Merchant = Annotated[str, HeaderParameter(name="Merchant", min_length=1, max_length=100)]
Key = Annotated[str, HeaderParameter(name="Idempotency-Key", min_length=1, max_length=200)]


class NewCharge(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a merchant asks for. The amount is in minor units of the currency."""

    payment_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    amount_minor: Annotated[int, msgspec.Meta(gt=0, lt=1 << 62)]
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    return_url: str | None = None
    metadata: dict[str, str] = {}


class Amount(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A part of a charge, in minor units of its currency."""

    amount_minor: Annotated[int, msgspec.Meta(gt=0, lt=1 << 62)]


class Network(msgspec.Struct, frozen=True):
    """What the routes share: the charges, and how long a slow answer takes (seconds).

    ``closing`` ends that waiting when the network shuts down.
    """

    store: Store
    public_url: str
    slow_answer_seconds: float
    closing: asyncio.Event

    def shown(self, charge: Charge) -> dict[str, Any]:
        """Show the charge as a merchant sees it."""
        shown: dict[str, Any] = msgspec.to_builtins(charge)
        for private in ("merchant", "token", "return_url"):
            del shown[private]
        waits = charge.status == "requires_action"
        shown["action_url"] = f"{self.public_url}/challenge/{charge.id}" if waits else None
        return shown

    async def operate(
        self,
        request: Request[Any, Any, Any],
        name: str,
        merchant: str,
        key: str,
        rule: Callable[[], Charge],
    ) -> Response[bytes]:
        """Do it once for this key, and answer; a slow token's first answer comes late."""
        slow = False

        def decide() -> tuple[int, bytes, Charge | None]:
            nonlocal slow
            try:
                charge = rule()
            except Refusal as refusal:
                return 409, _refusal(refusal.code, refusal.detail), None
            slow = name in behaviour_of(charge.token).slow
            return 201, msgspec.json.encode(self.shown(charge)), charge

        sent = request.url.path.encode() + b"\n" + await request.body()
        try:
            answer = self.store.once(merchant, key, sent, decide)
        except KeyReused:
            detail = "The Idempotency-Key was used with another request."
            return _json(422, _refusal("idempotency-key-reused", detail))
        if slow and answer.first:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.closing.wait(), self.slow_answer_seconds)
        return _json(answer.status, answer.body)

    def existing(self, charge_id: str, merchant: str) -> Charge:
        """Find the merchant's charge. Raises Refusal."""
        charge = self.store.by_id(charge_id, merchant)
        if charge is None:
            raise Refusal("charge-unknown", "There is no such charge.")
        return charge


def _refusal(code: str, detail: str) -> bytes:
    return msgspec.json.encode({"code": code, "detail": detail})


def _json(status: int, body: bytes) -> Response[bytes]:
    return Response(body, status_code=status, media_type="application/json")


@post("/charges")
async def make_charge(
    request: Request[Any, Any, Any],
    state: State,
    data: JSONBody[NewCharge],
    merchant: Merchant,
    idempotency_key: Key,
) -> Response[bytes]:
    """Reserve money: 201 with the charge, also when it is declined. One charge per payment."""
    network: Network = state.network

    def rule() -> Charge:
        known = network.store.by_payment(merchant, data.payment_id)
        if known:
            raise Refusal("payment-charged", "This payment has a charge under another key.")
        return charges.authorise(
            Charge(
                id=network.store.new_charge_id(),
                merchant=merchant,
                payment_id=data.payment_id,
                token=data.token,
                amount_minor=data.amount_minor,
                currency=data.currency,
                status="declined",
                return_url=data.return_url,
            )
        )

    return await network.operate(request, "authorise", merchant, idempotency_key, rule)


@get("/charges", sync_to_thread=False)
def find_charges(state: State, merchant: Merchant, payment_id: FromQuery[str]) -> dict[str, Any]:
    """List the charge of a payment in ``data``: one or none."""
    network: Network = state.network
    charge = network.store.by_payment(merchant, payment_id)
    return {"data": [network.shown(charge)] if charge else []}


@post("/charges/{charge_id:str}/capture")
async def capture_charge(
    request: Request[Any, Any, Any],
    state: State,
    data: JSONBody[Amount],
    charge_id: FromPath[str],
    merchant: Merchant,
    idempotency_key: Key,
) -> Response[bytes]:
    """Take reserved money: 201 with the charge, or 409."""
    network: Network = state.network

    def rule() -> Charge:
        return charges.capture(network.existing(charge_id, merchant), data.amount_minor)

    return await network.operate(request, "capture", merchant, idempotency_key, rule)


@post("/charges/{charge_id:str}/void")
async def void_charge(
    request: Request[Any, Any, Any],
    state: State,
    charge_id: FromPath[str],
    merchant: Merchant,
    idempotency_key: Key,
) -> Response[bytes]:
    """Give a reservation up: 201 with the charge, or 409."""
    network: Network = state.network

    def rule() -> Charge:
        return charges.void(network.existing(charge_id, merchant))

    return await network.operate(request, "void", merchant, idempotency_key, rule)


@post("/charges/{charge_id:str}/refunds")
async def refund_charge(
    request: Request[Any, Any, Any],
    state: State,
    data: JSONBody[Amount],
    charge_id: FromPath[str],
    merchant: Merchant,
    idempotency_key: Key,
) -> Response[bytes]:
    """Give captured money back: 201 with the charge, or 409."""
    network: Network = state.network

    def rule() -> Charge:
        return charges.refund(network.existing(charge_id, merchant), data.amount_minor)

    return await network.operate(request, "refund", merchant, idempotency_key, rule)


@get("/", sync_to_thread=False)
def show_network() -> dict[str, Any]:
    """Say what this is and which tokens it takes."""
    return {"name": "Sandbox card network", "tokens": sorted(charges.TOKENS)}


def _problem(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    return _json(error.status_code, _refusal("request-refused", error.detail))


def build(
    store: Store, public_url: str, slow_answer_seconds: float, closing: asyncio.Event
) -> Litestar:
    """Build the application. ``public_url`` is where customers' browsers reach it."""
    network = Network(store, public_url.rstrip("/"), slow_answer_seconds, closing)
    return Litestar(
        [
            show_network,
            make_charge,
            find_charges,
            capture_charge,
            void_charge,
            refund_charge,
            show_challenge,
            answer_challenge,
        ],
        state=State({"network": network}),
        exception_handlers={HTTPException: _problem},
        on_shutdown=[store.close],
        openapi_config=None,
    )
