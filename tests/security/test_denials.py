"""What is refused is told in the log, with whom it concerns, and without a flood of lines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from pss_api import create_app
from pss_api.denials import DENIALS, DenialLog, note_denial
from pss_kernel.config import Config
from pss_kernel.observability import configure_logging

pytestmark = [pytest.mark.xdist_group("security")]


@pytest.fixture(autouse=True)
def _told_for_information(installation: Any) -> Iterator[None]:
    """As an operator sets it; the other tests look at warnings alone."""
    configure_logging(Config(data_dir=Path(), log_level="info"))
    yield
    configure_logging(installation.config)


def _denials(lines: Any) -> list[Any]:
    return [one for one in lines if one["event"] in DENIALS]


def _from(lines: Any, start: str) -> list[Any]:
    """Of one network: what another test left to be counted may be told meanwhile."""
    told = _denials(lines)
    return [one for one in told if one.get("address", one.get("network", "")).startswith(start)]


async def test_who_was_refused_what(attacker: Any, victim: Any) -> None:
    """Tenant, actor as far as it is known, address, request id and code; no credential."""
    unknown = f"pss_live_{'0' * 16}_{'x' * 43}"
    key = attacker.staff.headers["authorization"].removeprefix("Bearer ")
    code = victim.tenant.code
    with capture_logs() as lines:
        answers = [
            await victim.guest.get("/v1/accounts"),
            await victim.guest.get("/v1/me", headers={"Authorization": f"Bearer {unknown}"}),
            await victim.powerless.get("/v1/accounts"),
            await attacker.staff.get("/v1/accounts", headers={"PSS-Tenant": code}),
            await victim.guest.post(
                "/v1/sessions", json={"email": "who@example.org", "password": "Wachtelkoenig 7"}
            ),
            await victim.guest.post("/v1/sessions/refresh", json={"refresh_token": "rt_Wachtel"}),
            await victim.guest.post(
                "/v1/oauth/token",
                data={"grant_type": "client_credentials", "client_id": "pss_live_0",
                      "client_secret": "Wachtel"},
            ),
        ]  # fmt: skip
    assert [401, 401, 403, 403, 401, 401, 401] == [one.status_code for one in answers]
    told = _denials(lines)
    powerless = victim.powerless.headers["authorization"].split("_")[2]
    assert [
        ("credentials_refused", "unauthorised", code, "guest", "info"),
        ("credentials_refused", "unknown-credentials", code, None, "warning"),
        ("access_refused", "missing-permission", code, f"key:{powerless}", "info"),
        ("access_refused", "wrong-tenant", code, f"key:{key.split('_')[2]}", "warning"),
        ("credentials_refused", "wrong-credentials", code, "guest", "warning"),
        ("credentials_refused", "unknown-credentials", code, "guest", "warning"),
    ] == [
        (one["event"], one["code"], one["tenant"], one["actor"], one["log_level"])
        for one in told[:6]
    ]
    assert {answer.headers["pss-request-id"] for answer in answers[:6]} == {
        one["request_id"] for one in told[:6]
    }
    assert all(one["address"] == "127.0.0.1" for one in told)
    assert not any(secret in str(lines) for secret in (unknown, key, "Wachtel", "who@example.org"))


async def test_a_flood_is_a_few_lines(victim: Any) -> None:
    """Of many like it in a second the first is told, and at its end how many more there were."""
    application: Any = create_app(victim.kit.installation)
    headers = {"PSS-Tenant": victim.tenant.code, "Authorization": "Bearer nothing"}

    async def refused(number: int) -> int:
        transport = httpx.ASGITransport(application, client=(f"198.51.100.{number}", 1))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test.invalid", headers=headers
        ) as client:
            return (await client.get("/v1/me")).status_code

    with capture_logs() as lines:
        assert {401} == {await refused(number) for number in range(40)}
        async with asyncio.timeout(10):
            while sum(one.get("times", 1) for one in _from(lines, "198.51.100.")) < 40:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    told = _from(lines, "198.51.100.")
    assert 2 <= len(told) <= 6  # two for each second that it took
    assert {"198.51.100.0/24"} == {one["network"] for one in told if "times" in one}


async def test_many_networks_are_counted_together() -> None:
    """However many addresses ask, a second has a bounded number of lines."""
    denials = DenialLog()
    with capture_logs() as lines:
        for number in range(5000):
            scope = {"pss_client": f"10.{number // 250}.{number % 250}.1"}
            note_denial(scope, 401, "unknown-credentials")
            denials.tell(scope)
        assert 201 == len(_denials(lines))
        async with asyncio.timeout(10):
            while not _from(lines, "many"):  # noqa: ASYNC110 - the loop's clock is what is tested
                await asyncio.sleep(0.05)
    assert [4799] == [one["times"] for one in _from(lines, "many")]


async def test_what_is_no_matter_of_security_is_not_told(victim: Any) -> None:
    """A 404 or a 422 writes no such line."""
    with capture_logs() as lines:
        assert 404 == (await victim.guest.get("/v1/nothing")).status_code
        assert 422 == (await victim.guest.post("/v1/sessions", json={})).status_code
    assert [] == [one for one in _denials(lines) if "times" not in one]
