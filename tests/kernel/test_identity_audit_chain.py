"""The audit trail can only be added to, and what is done to it behind its back is found."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from pss_kernel.config import Config
from pss_kernel.identity.audit.chain import Head, Verified, verify_trail
from pss_kernel.leaving._export import export_tenant
from pss_kernel.leaving._import import import_tenant
from pss_kernel.observability import configure_logging
from pss_kernel.persistence import UnitOfWork
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._tenant import IDENTITY
from pss_kernel.testing import TestKit

Pss = Callable[..., tuple[int, str, str]]
EXAMPLE = Path(__file__).parents[2] / "docs/examples/verify_audit.py"


async def _with_entries(kit: TestKit, number: int = 5) -> Tenant:
    tenant = await kit.make_tenant()
    for place in range(number):
        async with kit.unit_of_work(tenant) as uow:
            uow.audit("desk.opened", f"desk:{place}", before={"open": False}, after={"open": True})
    return tenant


async def _verified(kit: TestKit, tenant: Tenant, *heads: Head) -> Verified:
    async with kit.installation.cell(tenant).owner() as owner:
        return await verify_trail(owner, tenant.schema, list(heads))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET entry = '{}' WHERE position = 1",
        "DELETE FROM audit_entry WHERE position = 1",
        "TRUNCATE audit_entry",
        "ALTER TABLE audit_entry DISABLE TRIGGER USER",
        "DROP TABLE audit_entry",
        "DROP FUNCTION keep_audit_entry CASCADE",
    ],
)
async def test_the_application_can_only_add(either: TestKit, statement: str) -> None:
    """The database refuses the role that writes the trail everything else."""
    tenant = await _with_entries(either, 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with either.unit_of_work(tenant) as uow, uow.acting(IDENTITY):
            await uow.hot(statement)


async def test_the_application_gives_neither_place_nor_digest(either: TestKit) -> None:
    """What it says of them is not believed."""
    tenant = await _with_entries(either, 1)
    async with either.unit_of_work(tenant) as uow, uow.acting(IDENTITY):
        await uow.hot(
            "INSERT INTO audit_entry (position, entry, digest, at) "
            """VALUES (1, '{"action": "x", "position": 77}', '\\x00', '2001-01-01')"""
        )
    assert None is (await _verified(either, tenant)).broken_at


async def test_nobody_without_the_role_reads_it(either: TestKit) -> None:
    """A plugin's statement on the trail is refused by the database."""
    tenant = await _with_entries(either, 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with either.unit_of_work(tenant) as uow:
            await uow.hot("SELECT entry FROM audit_entry")


_ATTACKS = {
    "changed": (
        "UPDATE {t} SET entry = replace(entry, 'desk:2', 'desk:9') WHERE subject = 'desk:2'",
        "Its digest",
    ),
    "removed": ("DELETE FROM {t} WHERE subject = 'desk:2'", "is missing"),
    "dated back": (
        "UPDATE {t} SET at = at - interval '1 day' WHERE subject = 'desk:2'",
        "its time",
    ),
}


@pytest.mark.parametrize("attack", _ATTACKS)
async def test_what_the_owner_changed_is_found(kit: TestKit, attack: str) -> None:
    """With the position of the first entry that is not as it was."""
    tenant = await _with_entries(kit)
    statement, why = _ATTACKS[attack]
    table = f"{tenant.schema}.audit_entry"
    async with kit.installation.cell(tenant).owner() as owner:
        place = await owner.fetchval(f"SELECT position FROM {table} WHERE subject = 'desk:2'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):  # not by accident
            await owner.execute(statement.format(t=table))
        await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await owner.execute(statement.format(t=table))
        await owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    found = await _verified(kit, tenant)
    assert (place, True) == (found.broken_at, why in found.why)


async def test_swapped_entries_are_found(kit: TestKit) -> None:
    """Two that have changed places."""
    tenant = await _with_entries(kit)
    table = f"{tenant.schema}.audit_entry"
    async with kit.installation.cell(tenant).owner() as owner:
        last = await owner.fetchval(f"SELECT max(position) FROM {table}")
        await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for source, target in ((last, 0), (last - 1, last), (0, last - 1)):
            await owner.execute(
                f"UPDATE {table} SET position = $2 WHERE position = $1", source, target
            )
    assert last - 1 == (await _verified(kit, tenant)).broken_at


async def test_a_cut_end_and_a_new_chain_are_found_by_the_head(kit: TestKit) -> None:
    """The chain alone is whole then; what was noted of it elsewhere is not."""
    tenant = await _with_entries(kit)
    configure_logging(Config(data_dir=Path(), log_level="info"))
    with capture_logs() as lines:
        await kit.run_job(tenant, "identity", "note_audit_head")
        await kit.run_job(tenant, "identity", "note_audit_head")
    (line,) = [one for one in lines if one["event"] == "audit_head"]
    head = Head(line["position"], line["digest"])
    assert head == (await _verified(kit, tenant, head)).head
    table = f"{tenant.schema}.audit_entry"
    async with kit.installation.cell(tenant).owner() as owner:
        await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await owner.execute(f"DELETE FROM {table} WHERE position = $1", head.position)
        await owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    found = await _verified(kit, tenant)  # as the event log still says it
    assert (head.position, True) == (found.broken_at, "cut off" in found.why)
    async with kit.installation.cell(tenant).owner() as owner:
        await owner.execute(f"DELETE FROM {tenant.schema}.event WHERE stream = 'audit'")
    assert None is (await _verified(kit, tenant)).broken_at  # nobody could tell any more
    assert head.position == (await _verified(kit, tenant, head)).broken_at
    async with kit.unit_of_work(tenant) as uow:
        uow.audit("desk.closed", "desk:1")
    found = await _verified(kit, tenant, head)
    assert (head.position, True) == (found.broken_at, "written anew" in found.why)


async def test_many_writers_leave_no_gap(either: TestKit) -> None:
    """Fifty at once: each entry has its place, and the chain is whole."""
    tenant = await _with_entries(either, 0)
    before = (await _verified(either, tenant)).entries

    async def write(number: int) -> None:
        async with either.unit_of_work(tenant) as uow:
            uow.audit("desk.opened", f"desk:{number}")
            uow.audit("desk.closed", f"desk:{number}")

    await asyncio.gather(*(write(number) for number in range(50)))
    found = await _verified(either, tenant)
    assert (before + 100, None) == (found.entries, found.broken_at)


def _open_and_fail(uow: UnitOfWork) -> None:
    uow.audit("desk.opened", "desk:1")
    raise LookupError


async def test_what_is_undone_leaves_no_entry(kit: TestKit) -> None:
    """Neither a unit of work that fails nor a savepoint that is rolled back."""
    tenant = await _with_entries(kit, 0)
    before = (await _verified(kit, tenant)).entries
    with pytest.raises(LookupError):
        async with kit.unit_of_work(tenant) as uow:
            _open_and_fail(uow)
    async with kit.unit_of_work(tenant) as uow:
        with pytest.raises(LookupError):
            async with uow.savepoint():
                _open_and_fail(uow)
        uow.audit("desk.opened", "desk:3")
    assert before + 1 == (await _verified(kit, tenant)).entries


async def test_over_http(kit: TestKit) -> None:
    """Staff with the right look through it by filters, and take it whole; others don't."""
    tenant = await _with_entries(kit)
    async with kit.http(tenant, ["identity:audit-read"]) as http:
        answer = await http.get("/v1/audit-entries", params={"action": "desk.opened"})
        assert 200 == answer.status_code, answer.text
        data = answer.json()["data"]
        assert [f"desk:{place}" for place in (4, 3, 2, 1, 0)] == [one["subject"] for one in data]
        assert ({"open": False}, {"open": True}) == (data[0]["before"], data[0]["after"])
        for name in ("actor", "subject"):
            answer = await http.get("/v1/audit-entries", params={name: data[0][name]})
            assert {data[0][name]} == {one[name] for one in answer.json()["data"]}
        params = {"since": data[2]["at"], "until": data[0]["at"], "action": "desk.opened"}
        answer = await http.get("/v1/audit-entries", params=params)
        assert ["desk:3", "desk:2"] == [one["subject"] for one in answer.json()["data"]]
        answer = await http.get("/v1/audit-entries", params={"cursor": data[-1]["position"]})
        assert data[-1]["position"] - 1 == answer.json()["data"][0]["position"]
        for wrong in ({"cursor": "x"}, {"since": "2026-01-01T00:00:00"}):
            answer = await http.get("/v1/audit-entries", params=wrong)
            assert 400 == answer.status_code
        lines = (await http.get("/v1/audit-entries/export")).text.splitlines()
        assert data[0]["digest"] == json.loads(lines[-1])["digest"]
        answer = await http.get("/v1/audit-entries/export", params={"after": len(lines)})
        assert ("", "application/x-ndjson") == (answer.text, answer.headers["content-type"])
    async with kit.http(tenant, ["notes:read"]) as http:
        assert 403 == (await http.get("/v1/audit-entries")).status_code
    async with kit.http(tenant) as http:
        assert 401 == (await http.get("/v1/audit-entries/export")).status_code


async def test_each_airline_has_its_own(kit: TestKit) -> None:
    """Entries of one are not in the answers to the other."""
    one, other = await _with_entries(kit), await _with_entries(kit, 0)
    async with kit.http(other, ["*"]) as http:
        answer = await http.get("/v1/audit-entries", params={"action": "desk.opened"})
        assert [] == answer.json()["data"]
    assert one.code != other.code


async def test_commands(kit: TestKit, pss: Pss, tmp_path: Path) -> None:
    """Exported, verified with us and without us, and found broken when a letter is changed."""
    tenant = await _with_entries(kit)
    out = tmp_path / "audit.ndjson"

    def run(*words: str) -> Any:
        return asyncio.to_thread(pss, "audit", *words)

    code, said, _ = await run("export", "--tenant", tenant.code, "--out", str(out))
    lines = out.read_text(encoding="utf-8").splitlines()
    assert (0, f"{len(lines)} entries of {tenant.code} are in {out}.\n") == (code, said)
    assert 0o600 == out.stat().st_mode & 0o777
    code, _, err = await run("export", "--tenant", tenant.code, "--out", str(out))
    assert (2, True) == (code, "Give the name of a new file." in err)
    head = f"{len(lines)}:{json.loads(lines[-1])['digest']}"
    whole = f"{len(lines)} entries, whole; it ends at {head}\n"
    assert (0, f"{out}: {whole}") == (await run("verify", str(out), "--head", head))[:2]
    code, said, _ = await run("verify", "--tenant", tenant.code, "--head", head, "--json")
    assert (0, True) == (code, json.loads(said)["whole"])
    found = json.loads((await run("verify", "--all", "--json"))[1])["trails"]
    assert (len(lines), None) == (
        *(found[tenant.code]["entries"], found[tenant.code]["broken_at"]),
    )
    for words in ((), ("--all", "x"), ("--all", "--head", head), ("x", "--head", "7")):
        assert 2 == (await run("verify", *words))[0]

    alone = [sys.executable, "-I", str(EXAMPLE), str(out)]
    ended = await asyncio.to_thread(subprocess.run, alone, capture_output=True, text=True)
    assert (0, f"{len(lines)} entries, whole; the last digest is {head.partition(':')[2]}\n") == (
        *(ended.returncode, ended.stdout),
    )
    text = out.read_text(encoding="utf-8").replace("desk:3", "desk:7")
    out.write_text(text, encoding="utf-8")
    code, said, _ = await run("verify", str(out))
    assert (1, True) == (code, f"broken at {len(lines) - 2}. Its digest" in said)
    ended = await asyncio.to_thread(subprocess.run, alone, capture_output=True, text=True)
    assert (1, f"broken at {len(lines) - 2}\n") == (ended.returncode, ended.stdout)
    out.write_text("no entry\n", encoding="utf-8")
    assert 2 == (await run("verify", str(out)))[0]


async def test_it_survives_an_export_and_an_import(kit: TestKit, tmp_path: Path) -> None:
    """Its chain goes on where it arrived, and says where it came from."""
    tenant = await _with_entries(kit)
    manifest = await export_tenant(kit.installation, tenant.code, tmp_path / "out")
    before = (await _verified(kit, tenant)).head
    arrived = await import_tenant(
        kit.installation, tmp_path / "out", manifest, code=f"{tenant.code}_b"
    )
    assert before is not None
    found = await _verified(kit, arrived, before)
    assert None is found.broken_at
    async with kit.http(arrived, ["*"]) as http:
        answer = await http.get("/v1/audit-entries", params={"action": "tenant.imported"})
    (entry,) = answer.json()["data"]
    assert (before.position + 1, tenant.code) == (entry["position"], entry["before"]["tenant"])


async def test_a_long_trail_is_verified_in_seconds(kit: TestKit, tmp_path: Path) -> None:
    """A hundred thousand entries, in the database and in a file."""
    tenant = await _with_entries(kit, 0)
    async with kit.installation.cell(tenant).owner() as owner:
        await owner.execute(
            f"INSERT INTO {tenant.schema}.audit_entry (entry) SELECT jsonb_build_object('action', "
            "'desk.opened', 'actor', 'system', 'subject', 'desk:' || n)::text "
            "FROM generate_series(1, 100000) AS n"
        )
    began = time.perf_counter()
    found = await _verified(kit, tenant)
    seconds = time.perf_counter() - began
    assert (None, True) == (found.broken_at, found.entries > 100_000)
    assert seconds < 20
