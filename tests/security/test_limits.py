"""Guessing at booking references is hopeless, and two servers count together."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from pss_api import create_app
from pss_kernel.installation import Installation
from pss_kernel.testing import TestKit

_addresses = (f"10.{a}.{b}.1" for a, b in itertools.product(range(250), range(250)))


def _limited(installation: Installation, **configured: Any) -> Installation:
    """The same with limits, and nothing counted yet."""
    config = msgspec.structs.replace(installation.config, rate_limits="on", **configured)
    beside = Installation(config, installation.registry, installation.cells)
    beside.directory = installation.directory
    return beside


@asynccontextmanager
async def _guest(installation: Installation, code: str) -> AsyncIterator[httpx.AsyncClient]:
    """A guest at an address that nobody has used yet."""
    application: Any = create_app(installation)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application, client=(next(_addresses), 1)),
        base_url="http://test.invalid",
        headers={"PSS-Tenant": code},
    ) as client:
        yield client


def _reference() -> str:
    return "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(6))


async def _tries(client: httpx.AsyncClient, known: list[tuple[str, str]]) -> list[int]:
    found = []
    for reference, name in known:
        named = {"booking_reference": reference, "family_name": name}
        found.append((await client.get("/v1/orders", params=named)).status_code)
    return found


async def test_from_one_address(victim: Any, belongings: Any) -> None:
    """After twenty wrong references even the right one is refused, at every route."""
    installation = _limited(victim.kit.installation)
    right = (belongings.named["booking_reference"], belongings.named["family_name"])
    async with _guest(installation, victim.tenant.code) as client:
        found = await _tries(client, [right, *((_reference(), right[1]) for _ in range(25)), right])
        assert [200, *[404] * 20, *[429] * 6] == found
        body = {"booking_reference": right[0], "family_name": right[1]}
        refused = await client.post("/v1/check-ins", json=body)
        assert 429 == refused.status_code
        assert 60 < int(refused.headers["Retry-After"]) <= 180
    async with _guest(installation, victim.tenant.code) as client:
        assert [200] == await _tries(client, [right])


async def test_names_of_one_reference(victim: Any, belongings: Any) -> None:
    """From however many addresses, ten names can be tried with it, and its own is refused then."""
    installation = _limited(victim.kit.installation)
    reference = belongings.named["booking_reference"]
    found = []
    for number in range(13):
        async with _guest(installation, victim.tenant.code) as client:
            written = reference.lower() if number % 2 else f"{reference[:3]}-{reference[3:]}"
            found += await _tries(client, [(written, f"Wrong{'x' * number}")])
    assert [404] * 10 + [429] * 3 == found
    async with _guest(installation, victim.tenant.code) as client:
        assert [429] == await _tries(client, [(reference, belongings.named["family_name"])])


async def test_everybody_together(installation: Installation) -> None:
    """From many addresses about many references the airline's own budget ends it.

    Staff go on.
    """
    limited = _limited(installation)
    kit = TestKit(limited)
    tenant = await kit.make_tenant(
        plugins=["reservation"],
        settings={"identity": {"limits": {"wrong_guesses_per_tenant": 40}}},
    )
    found = []
    for _ in range(6):
        async with _guest(limited, tenant.code) as client:
            found += await _tries(client, [(_reference(), "Smith") for _ in range(10)])
    assert 40 <= found.count(404) <= 42  # one comes back in 90 seconds
    assert 60 == found.count(404) + found.count(429)
    async with kit.http(tenant, ["*"]) as staff:
        assert [404] == await _tries(staff, [(_reference(), "Smith")])


async def test_two_servers(installation: Installation, redis_url: str) -> None:
    """With one Redis they count together."""
    tenant = await TestKit(installation).make_tenant(
        settings={"identity": {"limits": {"read_per_minute": 3}}}
    )
    address, found = next(_addresses), []
    for _ in range(2):
        beside = _limited(installation, redis_url=redis_url)
        application: Any = create_app(beside)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(application, client=(address, 1)),
            base_url="http://test.invalid",
            headers={"PSS-Tenant": tenant.code},
        ) as client:
            found += [(await client.get("/v1/tenant")).status_code for _ in range(2)]
        await beside.limiter.close()
    assert [200, 200, 200, 429] == found
