"""A master key that Vault holds: the transit engine of a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hvac
import pytest

from pss_guarded import Settings, store
from pss_kernel import Secret
from pss_kernel.errors import Problem
from pss_kernel.keys._inspect import key_problems
from pss_kernel.tenancy._rotation import rewrap_tenant, rotate_tenants
from pss_kernel.testing import TestKit
from pss_outside.vault import Vault

pytestmark = pytest.mark.xdist_group("vault")


@pytest.fixture
def configured(vault_server: Vault) -> dict[str, Any]:
    """Vault, with a token that may use one key."""
    return {
        "vault_addr": vault_server.address,
        "vault_token": Secret(vault_server.token("pss")),
        "vault_key": "pss",
    }


async def test_sealed_with_vault(
    one: TestKit, beside: Callable[..., Any], configured: dict[str, Any], clear: str
) -> None:
    """A tenant's data key is wrapped by Vault, and another process opens it there."""
    kit = await beside(one, **configured)
    tenant = await kit.make_tenant(settings={"guarded": {"token": clear}})
    (key,) = tenant.keys
    assert "vault:transit/pss" == key.master
    assert key.wrapped
    assert key.wrapped.startswith(b"vault:v1:")
    other = await beside(one, **configured)
    async with other.http(tenant) as http:
        assert {"length": len(clear)} == (await http.get("/v1/guarded/length")).json()
    async with other.unit_of_work(tenant) as uow:
        ids = await store.write_visitors(uow, {"ada": "x"})
        assert {ids["ada"]: "x"} == await store.read_visitors(uow, list(ids.values()))
    assert clear not in repr(other.installation.config)
    assert configured["vault_token"].reveal() not in repr(other.installation.config)


async def test_from_a_file_to_vault(
    one: TestKit, beside: Callable[..., Any], configured: dict[str, Any], clear: str
) -> None:
    """The master key moves from a file to Vault while both are known."""
    tenant = await one.make_tenant(settings={"guarded": {"token": clear}})
    kit = await beside(one, **configured)
    assert tenant.keys[0].master.startswith("local:")
    assert 1 == await rewrap_tenant(kit.installation, tenant.code)
    await kit.installation.directory.refresh()
    moved = kit.installation.directory.by_code(tenant.code)
    assert "vault:transit/pss" == moved.keys[0].master
    token = kit.installation.settings_of(moved, Settings).token
    assert token
    assert clear == token.reveal()
    without = await beside(one)
    refused = [p async for codes, p in key_problems(without.installation) if tenant.code in codes]
    assert ["master-key-unknown"] == [problem.code for problem in refused]


async def test_rotated_in_vault(
    one: TestKit,
    beside: Callable[..., Any],
    vault_server: Vault,
    configured: dict[str, Any],
    clear: str,
) -> None:
    """A new version of Vault's key: what an older one wrapped is wrapped again, once."""
    kit = await beside(one, **configured)
    tenant = await kit.make_tenant(settings={"guarded": {"token": clear}})
    assert 0 == await rewrap_tenant(kit.installation, tenant.code)
    vault_server.client().secrets.transit.rotate_key(name="pss")
    assert 1 == await rewrap_tenant(kit.installation, tenant.code)
    assert 0 == await rewrap_tenant(kit.installation, tenant.code)
    (done,) = await rotate_tenants(kit.installation, [tenant.code], lambda *_: None)
    assert 2 == done.number
    token = kit.installation.settings_of(
        kit.installation.directory.by_code(tenant.code), Settings
    ).token
    assert token
    assert clear == token.reveal()


async def test_copied_from_another_tenant(
    one: TestKit, beside: Callable[..., Any], configured: dict[str, Any], clear: str
) -> None:
    """Vault refuses the wrapped key of one tenant as that of another."""
    kit = await beside(one, **configured)
    mine = await kit.make_tenant(settings={"guarded": {"token": clear}})
    other = await kit.make_tenant(settings={"guarded": {"token": clear}})
    async with kit.installation.cell(mine).owner() as owner:
        await owner.execute(
            "UPDATE pss.tenant_key SET wrapped = $2 WHERE tenant = $1",
            other.code,
            mine.keys[0].wrapped,
        )
    await kit.installation.directory.refresh()
    token = kit.installation.settings_of(
        kit.installation.directory.by_code(other.code), Settings
    ).token
    assert token
    with pytest.raises(Problem) as refused:
        token.reveal()
    assert "sealed-value-altered" == refused.value.code


@pytest.mark.parametrize("wrong", ["token", "key", "address"])
async def test_vault_that_does_not_help(
    one: TestKit, beside: Callable[..., Any], configured: dict[str, Any], clear: str, wrong: str
) -> None:
    """Where Vault refuses or is away, what needs no secret goes on, and a sentence says why."""
    kit = await beside(one, **configured)
    tenant = await kit.make_tenant(settings={"guarded": {"token": clear}})
    changed = {
        "token": {"vault_token": Secret("s.not-a-token")},
        "key": {"vault_key": "other"},
        "address": {"vault_addr": "http://127.0.0.1:9"},
    }
    hurt = await beside(one, **(configured | changed[wrong]))
    async with hurt.http(tenant) as http:
        assert 200 == (await http.get("/v1/guarded/limit")).status_code
        answer = await http.get("/v1/guarded/length")
    expected = "master-key-unknown" if wrong == "key" else "vault-unavailable"
    assert (503, expected) == (answer.status_code, answer.json()["code"])
    assert "s.not-a-token" not in answer.text


async def test_a_token_in_a_file(
    one: TestKit,
    beside: Callable[..., Any],
    vault_server: Vault,
    configured: dict[str, Any],
    clear: str,
    tmp_path: Path,
) -> None:
    """A token that has expired is read again from its file."""
    path = tmp_path / "token"
    path.write_text(vault_server.token("pss") + "\n")
    configured |= {"vault_token": None, "vault_token_file": path}
    kit = await beside(one, **configured)
    await kit.make_tenant(settings={"guarded": {"token": clear}})
    vault_server.client().auth.token.revoke(path.read_text().strip())
    with pytest.raises(Problem) as refused:
        await kit.make_tenant(settings={"guarded": {"token": clear}})
    assert "vault-unavailable" == refused.value.code
    path.write_text(vault_server.token("pss") + "\n")
    await kit.make_tenant(settings={"guarded": {"token": clear}})
    path.unlink()
    other = await beside(one, **configured)
    with pytest.raises(Problem) as refused:
        await other.make_tenant(settings={"guarded": {"token": clear}})
    assert "The Vault token in" in refused.value.sentence


def test_a_token_for_one_key(vault_server: Vault) -> None:
    """The token of these tests may do no more than the documentation asks for."""
    client = hvac.Client(url=vault_server.address, token=vault_server.token("pss"))
    with pytest.raises(hvac.exceptions.Forbidden):
        client.secrets.transit.read_key(name="pss")
