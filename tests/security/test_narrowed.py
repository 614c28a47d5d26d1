"""What a role is narrowed to: the own station, an amount; through HTTP, with real orders."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest

from pss_signing_in.people import identity_of, make_person

pytestmark = [pytest.mark.xdist_group("security")]

_OWN = {"own": "station"}
_GRANTS = {
    "extends": "user",
    "permissions": [
        *("boarding:board", "boarding:read", "dcs:read", "dcs:offload"),
        *("payment:refund", "reservation:cancel", "reservation:read", "reservation:change"),
    ],
}
_ROLE = "INSERT INTO pss.role (tenant, name, grants) VALUES ($1, $2, $3::jsonb)"
_ATTRIBUTES = "UPDATE account SET attributes = $2::jsonb WHERE account_id = $1"


@asynccontextmanager
async def _narrowed(
    side: Any, rules: dict[str, Any], *, station: str = ""
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with a role of these rules, signed in just now with a second factor."""
    name = f"narrow_{secrets.token_hex(4)}"
    grants = msgspec.json.encode(_GRANTS | {"rules": rules}).decode()
    async with side.kit.installation.cell(side.tenant).owner() as owner:
        await owner.execute(_ROLE, side.tenant.code, name, grants)
    await side.kit.installation.directory.refresh()
    tenant = side.kit.installation.directory.by_code(side.tenant.code)
    person = await make_person(side.kit, tenant, name)
    attributes = msgspec.json.encode({"station": [station]} if station else {}).decode()
    async with identity_of(side.kit, tenant) as uow:
        await uow.hot(_ATTRIBUTES, person.account_id, attributes)
    await person.sign_in({"pwd", "otp", "mfa"})
    async with side.kit.http(tenant) as client:
        client.headers.update(person.headers)
        yield client


def _code(answer: httpx.Response) -> str:
    code: str = answer.json().get("code", "")
    return code


async def _asked(client: httpx.AsyncClient, named: dict[str, str]) -> dict[str, httpx.Response]:
    """Everything that a station's staff does with a flight."""
    flight = named["flight_id"]
    return {
        "boarding:board": await client.post(
            f"/v1/flights/{flight}/boardings", json={"bcbp": named["bcbp"]}
        ),
        "boarding:read": await client.get(f"/v1/flights/{flight}/boardings"),
        "dcs:read": await client.get(f"/v1/flights/{flight}/check-ins"),
    }


async def test_own_station(victim: Any, belongings: Any) -> None:
    """Staff of the station where the flight departs may; those of another are refused each time."""
    named = belongings.named
    flight = (await victim.staff.get(f"/v1/flights/{named['flight_id']}")).json()
    origin = flight["legs"][0]["origin"]
    rules = dict.fromkeys(("boarding:board", "boarding:read", "dcs:read", "dcs:offload"), _OWN)
    async with _narrowed(victim, rules, station=origin) as there:
        answers = await _asked(there, named)
        assert dict.fromkeys(answers, True) == {
            name: one.is_success for name, one in answers.items()
        }, {name: one.text for name, one in answers.items()}
    async with _narrowed(victim, rules, station="XXX") as elsewhere:
        answers = await _asked(elsewhere, named)
        assert {403} == {one.status_code for one in answers.values()}
        offload = await elsewhere.delete(f"/v1/check-ins/{named['check_in_id']}")
        assert 403 == offload.status_code, offload.text
    async with _narrowed(victim, rules) as nowhere:
        assert {403} == {one.status_code for one in (await _asked(nowhere, named)).values()}


@pytest.mark.parametrize(
    ("limit", "within"),
    [("1000000.00 EUR", True), ("0.01 EUR", False), ("1000000.00 USD", False)],
)
async def test_refund_up_to(victim: Any, belongings: Any, limit: str, *, within: bool) -> None:
    """A refund is tried again within the amount of the rule, in its currency."""
    rules = {"payment:refund": {"up_to": [limit]}}
    async with _narrowed(victim, rules) as somebody:
        answer = await somebody.post(f"/v1/refunds/{belongings.named['refund_id']}/retry")
    # The refund was carried out long ago: within the limit that is what is said.
    assert within == (answer.status_code != 403), answer.text


async def test_cancel_up_to(victim: Any, belongings: Any) -> None:
    """A quote above the amount is not confirmed."""
    path = f"/v1/cancellations/{belongings.named['cancellation_id']}/confirm"
    async with _narrowed(victim, {"reservation:cancel": {"up_to": ["0.01 EUR"]}}) as somebody:
        refused = await somebody.post(path)
    assert 403 == refused.status_code, refused.text
    assert "rule-not-asked" != _code(refused)
