"""``pss account`` and ``pss operator``: what people type, and what it does."""

from __future__ import annotations

import json
import re
from asyncio import to_thread
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pss_kernel.config import IDENTITY, PLATFORM
from pss_kernel.errors import Invalid
from pss_kernel.installation import Installation
from pss_kernel.leaving._delete import schedule_deletion
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._file import InvalidTenant, load_tenant
from pss_kernel.tenancy._move import move_tenant
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.testing import TestKit

Pss = Callable[..., tuple[int, str, str]]
GOOD = "violet harbour lantern 29"


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(kit: TestKit) -> Tenant:
    """A fresh tenant."""
    return await kit.make_tenant()


def invited(pss: Pss, tenant: Tenant, *more: str) -> dict[str, Any]:
    status, out, said = pss(
        *("account", "invite", "ada@example.com", "--tenant", tenant.code),
        *("--name", "Ada Byron", "--json", *more),
    )
    assert status == 0, said
    found: dict[str, Any] = json.loads(out)
    return found


def test_first_super_admin_without_mail(pss: Pss, tenant: Tenant) -> None:
    """The link is printed, on standard output and nothing beside it."""
    status, out, said = pss(
        *("account", "invite", "chief@example.com", "--tenant", tenant.code),
        *("--name", "Chief", "--role", "super_admin", "--print-link"),
    )
    assert status == 0, said
    host = f"http://{tenant.code.replace('_', '-')}.localhost/account/invitation"
    assert re.fullmatch(rf"{host}#token=pss_link_[\w-]{{43}}\n", out)
    assert "whoever has it gets in" in said


async def test_printed_link(pss: Pss, tenant: Tenant, http: Any) -> None:
    """It opens the account; printed once more, only the last one does."""
    guest = await http(tenant)
    first = (await to_thread(invited, pss, tenant, "--print-link"))["link"]
    second = (await to_thread(invited, pss, tenant, "--print-link"))["link"]
    statuses = []
    for link in (first, second):
        token = link.partition("#token=")[2]
        answer = await guest.post(
            "/v1/account-links/acceptances", json={"token": token, "password": GOOD}
        )
        statuses.append(answer.status_code)
    assert statuses == [410, 200]
    status, _, said = await to_thread(
        pss, *("account", "invite", "ada@example.com", "--tenant", tenant.code, "--name", "Ada")
    )
    assert (status, "Somebody has an account" in said) == (2, True)


def test_change_an_account(pss: Pss, tenant: Tenant) -> None:
    """By address or id: shown, given roles, disabled, enabled, unlocked."""
    found = invited(pss, tenant, "--attribute", "station=VIE", "--attribute", "station=LHR")
    account = found["account"]
    assert found["link"] is None
    assert account["attributes"] == {"station": ["VIE", "LHR"]}
    for who in ("ADA@example.com", account["id"]):
        steps: list[tuple[tuple[str, ...], dict[str, Any]]] = [
            (("show",), {"state": "invited"}),
            (("roles", "--role", "agent", "--role", "user"), {"roles": ["agent", "user"]}),
            (("roles", "--none"), {"roles": []}),
            (("disable", "--reason", "left"), {"state": "disabled"}),
            (("enable",), {"state": "invited"}),
            (("unlock",), {"locked_until": None}),
        ]
        for command, expected in steps:
            status, out, said = pss(
                "account", command[0], who, "--tenant", tenant.code, *command[1:], "--json"
            )
            assert status == 0, said
            shown = json.loads(out)
            assert {name: shown[name] for name in expected} == expected
    status, out, _ = pss("account", "list", "--tenant", tenant.code)
    assert (status, account["id"] in out, "ada@example.com" in out) == (0, True, True)
    status, out, _ = pss("account", "show", "ada@example.com", "--tenant", tenant.code)
    assert re.search(r"^attributes +station=VIE,LHR$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nobody@example.com"), "Nobody has an account"),
        (("show", "acc_nothing"), "There is no account"),
        (("invite", "no address", "--name", "A"), "That is no e-mail address"),
        (("invite", "a@example.com", "--name", "A", "--role", "queen"), "Some roles are not known"),
        (("invite", "a@example.com", "--name", ""), "A name has 1 to 100 characters"),
        (("invite", "a@example.com", "--name", "A", "--attribute", "X"), "Attributes are not"),
        (("roles", "a@example.com"), "Give the roles with --role, or --none."),
    ],
)
def test_mistakes(pss: Pss, tenant: Tenant, arguments: tuple[str, ...], said: str) -> None:
    """In plain words, with exit code 2."""
    status, _, error = pss("account", *arguments, "--tenant", tenant.code)
    assert (status, said in error) == (2, True), error


def test_reset_of_an_invited_one(pss: Pss, tenant: Tenant) -> None:
    """Who has no password yet is told what to do instead."""
    invited(pss, tenant)
    status, _, error = pss("account", "reset", "ada@example.com", "--tenant", tenant.code)
    assert (status, "pss account invite" in error) == (2, True)


async def test_trail_of_commands(pss: Pss, tenant: Tenant, kit: TestKit) -> None:
    """What is typed stands in the trail, with who typed it, and without the address."""
    await to_thread(invited, pss, tenant)
    words = ("disable", "ada@example.com", "--tenant", tenant.code, "--reason", "left")
    await to_thread(pss, "account", *words)
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        rows = await uow.hot("SELECT action, entry::jsonb AS entry FROM audit_entry")
    entries = [row["entry"] for row in rows if row["action"].startswith("account.")]
    assert [one["action"] for one in entries] == ["account.invited", "account.disabled"]
    assert entries[1]["reason"] == "left"
    assert {one["source"] for one in entries} == {"pss account"} or {
        one["source"] for one in entries
    } == {"pss account invite", "pss account disable"}
    assert "ada@" not in str(entries)


@pytest.mark.xdist_group("platform")
async def test_operators(pss: Pss, installation: Installation, kit: TestKit) -> None:
    """Their tenant is made with the first of them, has accounts only, and is nobody's airline."""
    status, _, said = await to_thread(pss, "operator", "list")
    assert (status, "There are no operators yet" in said) == (2, True)
    status, out, said = await to_thread(
        pss, "operator", "invite", "ops@example.com", "--name", "Grace", "--print-link", "--json"
    )
    assert status == 0, said
    account = json.loads(out)["account"]
    assert (account["roles"], account["state"]) == (["super_admin"], "invited")
    assert json.loads(out)["link"].startswith("http://platform.localhost/account/invitation#")
    _, out, _ = await to_thread(pss, "operator", "list", "--json")
    assert [one["email"] for one in json.loads(out)["data"]] == ["ops@example.com"]
    status, out, _ = await to_thread(pss, "operator", "disable", "ops@example.com", "--json")
    assert (status, json.loads(out)["state"]) == (0, "disabled")
    _, out, _ = await to_thread(pss, "tenant", "list", "--json")
    assert PLATFORM not in [one["code"] for one in json.loads(out)["data"]]
    await installation.directory.refresh()
    platform = installation.directory.by_code(PLATFORM)
    assert (platform.cell, sorted(platform.enabled)) == ("default", [IDENTITY, "kernel"])
    with pytest.raises(Invalid) as refused:
        await enable_plugins(installation, PLATFORM, {"notes": {}})
    assert refused.value.code == "reserved-code"


async def test_platform_is_reserved(
    installation: Installation, tmp_path: Path, registry: Any
) -> None:
    """No tenant's file, making, move or deletion is about the operators' tenant."""
    (tmp_path / "tenant.toml").write_text(
        '[tenant]\ncode = "platform"\nname = "P"\ncurrency = "EUR"\ntime_zone = "UTC"\n'
    )
    with pytest.raises(InvalidTenant, match="kept for the operators"):
        load_tenant(tmp_path, registry)
    attempts: list[Callable[[], Any]] = [
        lambda: create_tenant(installation, PLATFORM, name="P", currency="EUR", time_zone="UTC"),
        lambda: schedule_deletion(installation, PLATFORM, timedelta(days=1)),
        lambda: move_tenant(installation, PLATFORM, "default"),
    ]
    for attempt in attempts:
        with pytest.raises(Invalid) as refused:
            await attempt()
        assert refused.value.code == "reserved-code"
