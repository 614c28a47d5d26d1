"""The network through a real socket, as a merchant meets it."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest


def charge(
    client: httpx.Client, token: str, *, key: str | None = None, **changes: Any
) -> httpx.Response:
    body = {
        "payment_id": f"pay_{uuid.uuid4().hex}",
        "amount_minor": 12345,
        "currency": "EUR",
        "token": token,
    } | changes
    return client.post("/charges", json=body, headers={"Idempotency-Key": key or uuid.uuid4().hex})


def operate(
    client: httpx.Client, made: dict[str, Any], what: str, amount: int | None, key: str = ""
) -> httpx.Response:
    body = {} if amount is None else {"amount_minor": amount}
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    return client.post(f"/charges/{made['id']}/{what}", json=body, headers=headers)


def found(client: httpx.Client, payment_id: str) -> list[dict[str, Any]]:
    return client.get("/charges", params={"payment_id": payment_id}).json()["data"]


@pytest.mark.parametrize(
    ("token", "status", "reason"),
    [
        ("tok_visa", "authorised", None),
        ("tok_declined", "declined", "card-declined"),
        ("tok_insufficient_funds", "declined", "insufficient-funds"),
        ("tok_never_heard_of", "declined", "unknown-token"),
        ("tok_requires_action", "requires_action", None),
    ],
)
def test_token_decides(network: Any, token: str, status: str, reason: str | None) -> None:
    """Each test token has its own outcome, always answered with 201."""
    with network.client() as client:
        answer = charge(client, token)
    assert (201, status, reason) == (
        answer.status_code,
        answer.json()["status"],
        answer.json()["decline_reason"],
    )


def test_same_key_same_answer(network: Any) -> None:
    """A repeated request with its key makes no second charge; another body is refused."""
    with network.client() as client:
        first = charge(client, "tok_visa", key="k1", payment_id="pay_same")
        again = charge(client, "tok_visa", key="k1", payment_id="pay_same")
        other = charge(client, "tok_visa", key="k1", payment_id="pay_same", amount_minor=1)
    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


def test_one_charge_per_payment(network: Any) -> None:
    """A payment can't be charged twice under another key."""
    with network.client() as client:
        charge(client, "tok_visa", payment_id="pay_once")
        second = charge(client, "tok_visa", payment_id="pay_once")
        assert (second.status_code, second.json()["code"]) == (409, "payment-charged")
        assert len(found(client, "pay_once")) == 1


def test_capture_then_refund_in_parts(network: Any) -> None:
    """Captured money is given back in parts up to what was captured."""
    with network.client() as client:
        made = charge(client, "tok_visa").json()
        assert operate(client, made, "capture", 12345).json()["status"] == "captured"
        assert operate(client, made, "refunds", 345, "part").json()["refunded_minor"] == 345
        assert operate(client, made, "refunds", 345, "part").json()["refunded_minor"] == 345
        assert operate(client, made, "refunds", 12000).json()["refunded_minor"] == 12345
        over = operate(client, made, "refunds", 1)
    assert (over.status_code, over.json()["code"]) == (409, "refund-exceeds-capture")


def test_captured_once(network: Any) -> None:
    """A second capture under another key is refused."""
    with network.client() as client:
        made = charge(client, "tok_visa").json()
        assert operate(client, made, "capture", 12345).status_code == 201
        assert operate(client, made, "capture", 12345).status_code == 409


def test_void(network: Any) -> None:
    """A voided charge can be voided again and never captured."""
    with network.client() as client:
        made = charge(client, "tok_visa").json()
        assert operate(client, made, "void", None).json()["status"] == "voided"
        assert operate(client, made, "void", None).json()["status"] == "voided"
        assert operate(client, made, "capture", 12345).status_code == 409


def test_captured_charge_is_not_voided(network: Any) -> None:
    """The refusal to void a captured charge says why."""
    with network.client() as client:
        made = charge(client, "tok_visa").json()
        operate(client, made, "capture", 12345)
        assert operate(client, made, "void", None).json()["code"] == "charge-captured"


def test_slow_token_is_recorded(network: Any) -> None:
    """The caller gives up on tok_timeout, and the charge stands as authorised."""
    with network.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post(
                "/charges",
                json={
                    "payment_id": "pay_slow",
                    "amount_minor": 1,
                    "currency": "JPY",
                    "token": "tok_timeout",
                },
                headers={"Idempotency-Key": "slow"},
                timeout=0.2,
            )
        assert [each["status"] for each in found(client, "pay_slow")] == ["authorised"]


@pytest.mark.parametrize(("answer", "status"), [("approve", "authorised"), ("decline", "declined")])
def test_challenge(network: Any, answer: str, status: str) -> None:
    """The customer's answer on the challenge page decides the charge and leads back."""
    with network.client() as client:
        made = charge(client, "tok_requires_action", return_url="https://shop.example/back").json()
        page = client.get(made["action_url"])
        assert "123.45 EUR" in page.text
        back = client.post(made["action_url"], data={"answer": answer})
        assert (back.status_code, back.headers["location"]) == (303, "https://shop.example/back")
        assert status == found(client, made["payment_id"])[0]["status"]
        assert client.post(made["action_url"], data={"answer": "approve"}).status_code == 409


def test_challenge_never_runs_script(network: Any) -> None:
    """What a merchant is called appears as text, and only addresses of the web are followed."""
    with network.client() as client:
        client.headers["Merchant"] = "<script>"
        made = charge(client, "tok_requires_action", return_url="javascript:alert(1)").json()
        assert "<script>" not in client.get(made["action_url"]).text
        assert client.post(made["action_url"], data={"answer": "approve"}).status_code == 200


def test_merchants_are_apart(network: Any) -> None:
    """One merchant sees and moves none of another's charges."""
    with network.client() as client:
        made = charge(client, "tok_visa", payment_id="pay_mine").json()
        client.headers["Merchant"] = "pipit"
        assert found(client, "pay_mine") == []
        assert operate(client, made, "capture", 1).status_code == 409


def test_malformed_requests(network: Any) -> None:
    """What can't be read is refused with a code."""
    with network.client() as client:
        for content in (b"", b"{", b"[]", b'{"payment_id": 1}', b"\xff\xfe"):
            answer = client.post(
                "/charges",
                content=content,
                headers={"Idempotency-Key": "bad", "Content-Type": "application/json"},
            )
            assert (answer.status_code, answer.json()["code"]) == (400, "request-refused")


def test_killed_network_remembers(start_network: Callable[[Path], Any], tmp_path: Path) -> None:
    """Charges and answers survive the death of the process."""
    first = start_network(tmp_path / "state.sqlite")
    with first.client() as client:
        made = charge(client, "tok_visa", key="k", payment_id="pay_kept").json()
    first.kill()
    second = start_network(tmp_path / "state.sqlite")
    with second.client() as client:
        assert made == charge(client, "tok_visa", key="k", payment_id="pay_kept").json()
        assert operate(client, made, "capture", 12345).json()["status"] == "captured"
    second.kill()
