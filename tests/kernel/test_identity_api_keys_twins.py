"""A tenant's test data: a tenant of its own, reached with its own credentials and no others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio

from pss_api import create_app
from pss_kernel.api_versions import OLDEST
from pss_kernel.auth import create_api_key
from pss_kernel.errors import Invalid
from pss_kernel.identity.api_keys.uses import KeyUse, record_uses
from pss_kernel.leaving._export import export_tenant
from pss_kernel.leaving._import import import_tenant
from pss_kernel.tenancy._file import InvalidTenant, load_tenant
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.tenancy._test_mode import enable_test_mode
from pss_kernel.testing import TestKit

pytestmark = [pytest.mark.xdist_group("twins")]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def both(installation: Any) -> AsyncIterator[Any]:
    """A tenant and its twin, a key of each, and a client that names the tenant."""
    kit = TestKit(installation)
    live = await kit.make_tenant(plugins=["notes"])
    twin = await enable_test_mode(installation, live.code)
    keys = {one.mode: await kit.api_key(one, ["*"]) for one in (live, twin)}
    transport = httpx.ASGITransport(create_app(installation))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test.invalid") as client:
        yield kit, live, twin, keys, client


def _said(answer: httpx.Response) -> tuple[int, str | None]:
    return (answer.status_code, answer.json().get("code"))


async def _tenant(both: Any, named: str, key: str | None = None, **headers: str) -> Any:
    _, _, _, keys, client = both
    sent = {"PSS-Tenant": named} if named else {}
    if key:
        sent["Authorization"] = f"Bearer {keys[key]}"
    answer = await client.get("/v1/tenant", headers=sent | headers)
    if not answer.is_success:
        return _said(answer)
    return (answer.json()["code"], answer.json()["mode"], answer.headers.get("PSS-Mode"))


async def test_who_reaches_what(both: Any) -> None:
    """The key decides: a test key leads to the twin, a live key never does."""
    _, live, twin, _, _ = both
    assert (live.code, "live", None) == await _tenant(both, live.code)
    assert (live.code, "live", None) == await _tenant(both, live.code, "live")
    assert (twin.code, "test", "test") == await _tenant(both, live.code, "test")
    assert (twin.code, "test", "test") == await _tenant(both, twin.code, "test")
    assert (twin.code, "test", "test") == await _tenant(both, twin.code)  # a guest who names it
    assert (403, "wrong-mode") == await _tenant(both, twin.code, "live")


async def test_host_names(both: Any) -> None:
    """At the tenant's own host name a test key works too, and a guest may name the twin."""
    _, live, twin, _, _ = both
    host = {"Host": f"{live.code.replace('_', '-')}.localhost"}
    assert (live.code, "live", None) == await _tenant(both, "", **host)
    assert (twin.code, "test", "test") == await _tenant(both, "", "test", **host)
    assert (twin.code, "test", "test") == await _tenant(both, twin.code, **host)
    twins_host = {"Host": f"{twin.code.replace('_', '-')}.localhost"}
    assert (twin.code, "test", "test") == await _tenant(both, "", **twins_host)
    assert (400, "tenant-mismatch") == await _tenant(both, live.code, **twins_host)


async def test_another_tenants_test_key(both: Any) -> None:
    """A test key is of one tenant, as any key is."""
    kit, live, _, _, _ = both
    other = await kit.make_tenant(plugins=["notes"])
    assert (403, "wrong-tenant") == await _tenant(both, other.code, "test")
    other_twin = await enable_test_mode(kit.installation, other.code)
    assert (403, "wrong-tenant") == await _tenant(both, other_twin.code, "test")
    assert (403, "wrong-tenant") == await _tenant(both, other_twin.code, "live")
    assert (live.code, "live", None) == await _tenant(both, live.code, "live")


async def test_notes_stay_apart(both: Any) -> None:
    """What is written with one key is not there with the other, neither listed nor by its id."""
    _, live, _, keys, client = both
    ids = {}
    headers = {
        mode: {"PSS-Tenant": live.code, "Authorization": f"Bearer {key}"}
        for mode, key in keys.items()
    }
    for mode in keys:
        written = await client.post("/v1/notes", json={"body": mode}, headers=headers[mode])
        ids[mode] = written.json()["id"]
    for mode, other in (("live", "test"), ("test", "live")):
        listed = await client.get("/v1/notes", headers=headers[mode])
        assert [mode] == [one["body"] for one in listed.json()["data"]]
        there = await client.get(f"/v1/notes/{ids[mode]}", headers=headers[mode])
        not_there = await client.get(f"/v1/notes/{ids[other]}", headers=headers[mode])
        assert (200, 404) == (there.status_code, not_there.status_code)


async def test_both_at_once(both: Any) -> None:
    """Many requests of both keys at once, on the same connections: no answer of the other's."""
    _, live, twin, keys, client = both

    async def asked(mode: str) -> str:
        sent = {"PSS-Tenant": live.code, "Authorization": f"Bearer {keys[mode]}"}
        written = await client.post("/v1/notes", json={"body": mode}, headers=sent)
        answer = await client.get("/v1/notes?limit=100", headers=sent)
        assert written.is_success
        (body,) = {one["body"] for one in answer.json()["data"]}
        return str(body)

    order = ["live", "test"] * 20
    assert order == await asyncio.gather(*(asked(mode) for mode in order))
    assert live.schema != twin.schema


@pytest.mark.parametrize(("of", "mode"), [("twin", "live"), ("live", "test")])
async def test_a_key_of_the_wrong_mode(both: Any, of: str, mode: Any) -> None:
    """A row that says otherwise than its tenant opens nothing."""
    kit, live, twin, _, client = both
    tenant = {"live": live, "twin": twin}[of]
    async with kit.installation.cell(tenant).owner() as owner:
        key = await create_api_key(owner, tenant=tenant.code, name="odd", scopes=["*"], mode=mode)
    await kit.installation.directory.refresh()
    for named in (live, twin):
        headers = {"PSS-Tenant": named.code, "Authorization": f"Bearer {key}"}
        assert 403 == (await client.get("/v1/tenant", headers=headers)).status_code


async def test_again_and_what_came_since(both: Any) -> None:
    """Enabling it again changes nothing, and adds what the tenant has enabled meanwhile."""
    kit, _, _, _, _ = both
    live = await kit.make_tenant(plugins=["notes"])
    first = await enable_test_mode(kit.installation, live.code)
    assert live.enabled == first.enabled
    assert (live.currency, live.cell, live.locales) == (first.currency, first.cell, first.locales)
    assert (f"{live.name} (test)", ()) == (first.name, first.domains)
    await kit.make_tenant(code=live.code, plugins=["notes", "echo"])
    again = await enable_test_mode(kit.installation, live.code)
    assert "echo" in again.enabled


async def test_codes_of_twins_are_kept(both: Any, tmp_path: Path, registry: Any) -> None:
    """Nobody else takes such a code, neither with a file nor with a call; twins have no twins."""
    kit, live, twin, _, _ = both
    (tmp_path / "tenant.toml").write_text(
        '[tenant]\ncode = "aero_test"\nname = "A"\ncurrency = "EUR"\ntime_zone = "UTC"\n'
    )
    with pytest.raises(InvalidTenant, match=r"tenant.toml:2: .*kept for test data"):
        load_tenant(tmp_path, registry)
    for code, test_of, domains in (
        ("aero_test", None, []),
        ("aero", live.code, []),
        (f"{live.code}_test_test", twin.code, []),
        (twin.code, live.code, ["real.example"]),
    ):
        with pytest.raises(Invalid):
            await create_tenant(
                kit.installation,
                code,
                name="x",
                currency="EUR",
                time_zone="UTC",
                domains=domains,
                test_of=test_of,
            )
    with pytest.raises(Invalid, match="is test data itself"):
        await enable_test_mode(kit.installation, twin.code)


async def test_the_database_checks_it_too(both: Any) -> None:
    """No row can say that one tenant is the test data of another than its code names."""
    kit, live, twin, _, _ = both
    async with kit.installation.database.owner() as owner:
        for code, test_of in ((twin.code, "somebody"), (live.code, "somebody")):
            with pytest.raises(asyncpg.CheckViolationError):
                await owner.execute(
                    "UPDATE pss.tenant SET test_of = $2 WHERE code = $1", code, test_of
                )


async def test_commands(pss: Any, both: Any, tmp_path: Path) -> None:
    """``pss tenant test-mode enable``, ``apply --test``, and the list that says what is what."""
    kit, _, _, _, _ = both
    live = await kit.make_tenant(plugins=["notes"])
    (tmp_path / "tenant.toml").write_text(
        f'[tenant]\ncode = "{live.code}"\nname = "A"\ncurrency = "EUR"\ntime_zone = "UTC"\n'
        'domains = ["a.example"]\n[plugins.notes]\n[plugins.echo]\n'
    )
    code, out, _ = await asyncio.to_thread(pss, "tenant", "test-mode", "enable", live.code)
    assert 0 == code
    assert f"{live.code}_test holds the test data of {live.code}." in out
    code, out, _ = await asyncio.to_thread(pss, "tenant", "apply", str(tmp_path), "--test")
    assert (0, True) == (code, "enable plugin echo" in out)
    code, out, _ = await asyncio.to_thread(pss, "tenant", "plan", str(tmp_path), "--test")
    assert (0, "Nothing to change.\n") == (code, out)
    async with kit.installation.database.owner() as owner:
        trail = f'SELECT action FROM "t_{live.code}_test".audit_entry'
        done = {row["action"] for row in await owner.fetch(trail)}
    assert {"tenant.created", "plugin.enabled"} <= done
    _, out, _ = await asyncio.to_thread(pss, "tenant", "list")
    (line,) = [one for one in out.splitlines() if one.startswith(f"{live.code}_test ")]
    assert ["A", "(test)", live.code] == line.split()[1:4]
    await kit.installation.directory.refresh()
    assert () == kit.installation.directory.by_code(f"{live.code}_test").domains


async def test_key_commands(pss: Any, both: Any) -> None:
    """``pss apikey``: a test key for the tenant, networks, a version, rotation, an end."""
    kit, _, _, _, _ = both
    live = await kit.make_tenant(plugins=["notes"])
    await kit.api_key(live, ["*"])
    twin = await enable_test_mode(kit.installation, live.code)

    async def said(*arguments: str) -> Any:
        code, out, err = await asyncio.to_thread(pss, "apikey", *arguments, "--json")
        assert 0 == code, err
        return msgspec.json.decode(out)

    made = await said(
        *("create", "--tenant", live.code, "--mode", "test", "--scopes", "notes:read,notes:write"),
        *("--networks", "127.0.0.1,203.0.113.0/24", "--version", OLDEST, "--days", "30"),
    )
    assert made["key"].startswith(f"pss_test_{made['key_id']}_")
    assert (["127.0.0.1/32", "203.0.113.0/24"], OLDEST) == (made["networks"], made["api_version"])
    await kit.installation.directory.refresh()
    key = kit.installation.directory.key(made["key_id"])
    assert (twin.code, "test", OLDEST) == (key.tenant, key.mode, key.api_version)
    new = await said("rotate", made["key_id"], "--overlap-hours", "1")
    old = await said("show", made["id"])
    assert (new["id"], "active") == (old["replaced_by"], old["state"])
    listed = (await said("list", "--tenant", live.code, "--mode", "test"))["data"]
    assert {made["key_id"], new["key_id"]} <= {one["key_id"] for one in listed}
    live_ones = (await said("list", "--tenant", live.code))["data"]
    assert {"live"} == {one["mode"] for one in live_ones}
    assert "revoked" == (await said("revoke", old["key_id"]))["state"]
    for arguments, wrong in (
        (("create", "--tenant", twin.code, "--scopes", "*", "--mode", "live"), "no live data"),
        (("create", "--tenant", live.code, "--scopes", "*", "--networks", "10.0.0.1/8"), "bits"),
        (("create", "--tenant", live.code, "--scopes", "*", "--version", "2001-01-01"), OLDEST),
        (("rotate", old["key_id"]), "is revoked"),
    ):
        code, _, err = await asyncio.to_thread(pss, "apikey", *arguments)
        assert (2, True) == (code, wrong in err), err


async def test_exported_and_imported(both: Any, tmp_path: Path) -> None:
    """Test data arrive as those of whom their new code names; nobody else takes such a code."""
    kit, _, twin, keys, client = both
    headers = {"PSS-Tenant": twin.code, "Authorization": f"Bearer {keys['test']}"}
    assert 201 == (await client.post("/v1/notes", json={"body": "x"}, headers=headers)).status_code
    await record_uses(
        kit.installation,
        [KeyUse(twin.code, keys["test"].split("_")[2], datetime.now(UTC), "203.0.113.1")],
    )
    manifest = await export_tenant(kit.installation, twin.code, tmp_path / "out")
    other = f"y{twin.code}"
    arrived = await import_tenant(kit.installation, tmp_path / "out", manifest, code=other)
    assert (other.removesuffix("_test"), "test") == (arrived.test_of, arrived.mode)
    with pytest.raises(Invalid, match="ends in '_test'"):
        await import_tenant(kit.installation, tmp_path / "out", manifest, code=f"{other}s")
    plain = await kit.make_tenant(plugins=["notes"])
    manifest = await export_tenant(kit.installation, plain.code, tmp_path / "plain")
    with pytest.raises(Invalid, match="kept for test data"):
        await import_tenant(
            kit.installation, tmp_path / "plain", manifest, code=f"{plain.code}_test"
        )
