"""The keys that sign tokens, at rest and by command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from pss_kernel.auth._signing_rotation import rewrap_signing_keys
from pss_kernel.auth._signing_store import READ
from pss_kernel.errors import Problem
from pss_kernel.installation import Installation
from pss_kernel.keys._inspect import signing_problem
from pss_kernel.keys._key_file import new_key_text
from pss_kernel.keys._secret import Secret
from pss_kernel.testing import TestKit


async def _token(installation: Installation, kit: TestKit, code: str) -> str:
    tenant = kit.installation.directory.by_code(code)
    now = datetime.now(UTC)
    return await installation.tokens.sign(tenant, "acc_1", now, 60, client_id="pss", sid="ses_1")


async def test_made_once(both: TestKit, beside: Callable[..., Any]) -> None:
    """Processes that need a first key at the same moment have one, and read each other's tokens."""
    tenant = await both.make_tenant()
    async with both.installation.database.owner() as owner:
        await owner.execute("DELETE FROM pss.signing_key")
    await both.installation.directory.refresh()
    processes = [both, *[await beside(both) for _ in range(3)]]
    tokens = await asyncio.gather(
        *(_token(one.installation, both, tenant.code) for one in processes for _ in range(3))
    )
    for one in processes:
        for token in tokens:
            assert "acc_1" == (await one.installation.tokens.read(token)).sub
    async with both.installation.database.owner() as owner:
        states = [row["state"] for row in await owner.fetch(READ)]
    assert ["current", "next"] == sorted(states)


async def test_a_key_that_this_process_has_not_heard_of(
    one: TestKit, beside: Callable[..., Any], monkeypatch: Any
) -> None:
    """The database is asked once a second at the most, however many unknown keys are named."""
    tenant = await one.make_tenant()
    token = await _token(one.installation, one, tenant.code)
    other: TestKit = await beside(one)
    looked = 0
    refresh = other.installation.directory.refresh

    async def counted() -> bool:
        nonlocal looked
        looked += 1
        return await refresh()

    monkeypatch.setattr(other.installation.directory, "refresh", counted)
    keys = other.installation.tokens.keys
    found = await asyncio.gather(*(keys.public(f"unknown-{n}") for n in range(50)))
    assert [None] * 50 == found
    assert 1 == looked
    assert await other.installation.tokens.read(token)


async def test_wrapped_anew(both: TestKit, beside: Callable[..., Any]) -> None:
    """Under a new master key they open as before, without the old one; without any, not at all."""
    tenant = await both.make_tenant()
    before = await _token(both.installation, both, tenant.code)
    file = both.installation.keyring.masters.file
    assert file is not None
    fresh = new_key_text()
    earlier = " ".join(
        line
        for line in file.read_text(encoding="ascii").splitlines()
        if line and not line.startswith("#")
    )
    changed: TestKit = await beside(both, master_key=Secret(f"{fresh} {earlier}"))
    async with both.installation.database.owner() as owner:
        count = await rewrap_signing_keys(owner, changed.installation.keyring.masters)
        assert 0 == await rewrap_signing_keys(owner, changed.installation.keyring.masters)
    assert count >= 2
    new_alone = msgspec.structs.replace(
        both.installation.config,
        master_key=Secret(fresh),
        master_key_file=Path("/nowhere/master.key"),
    )
    alone = Installation(new_alone, both.installation.registry, both.installation.cells)
    await alone.directory.refresh()
    assert await signing_problem(alone) is None
    assert await alone.tokens.read(before)
    assert await alone.tokens.read(await _token(alone, both, tenant.code))
    try:
        await both.installation.directory.refresh()
        problem = await signing_problem(both.installation)
        assert isinstance(problem, Problem)
        assert "master-key-unknown" == problem.code
    finally:  # for the other tests, which have the master key of before
        async with both.installation.database.owner() as owner:
            await owner.execute("DELETE FROM pss.signing_key")
        await both.installation.directory.refresh()


def test_commands(pss: Callable[..., Any], one: TestKit) -> None:
    """Listed, rotated and removed by command; what can't be is said with its mend."""
    _, out, _ = pss("keys", "signing", "rotate", "--now", "--json")
    before = {row["state"]: row["key"] for row in msgspec.json.decode(out)["data"]}
    code, _, err = pss("keys", "signing", "rotate")
    assert 2 == code
    assert "--now" in err
    code, out, _ = pss("keys", "signing", "rotate", "--now", "--json")
    after = msgspec.json.decode(out)["data"]
    states = {row["key"]: row["state"] for row in after}
    assert ("retired", "current") == (states[before["current"]], states[before["next"]])
    assert all(row["opens"] and row["verifies"] for row in after)
    code, _, err = pss("keys", "signing", "retire", before["current"])
    assert 2 == code
    assert "good still" in err
    code, out, _ = pss("keys", "signing", "retire", before["current"], "--now")
    assert 0 == code
    assert before["current"] not in out
    _, out, _ = pss("keys", "signing", "list")
    assert before["current"] not in out
    assert before["next"] in out
    assert 2 == pss("keys", "signing", "retire", "nobody")[0]
