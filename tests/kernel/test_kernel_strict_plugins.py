"""With strict_plugins, a plugin's SQL reaches its own tables and those that its manifest names."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from pss_kernel import Plugin, Tenant, UnitOfWork
from pss_kernel.errors import Invalid
from pss_kernel.hooks import HookFailed
from pss_kernel.installation import Installation
from pss_kernel.messaging._deliver import DeliveryFailed
from pss_kernel.persistence import Roles
from pss_kernel.registry import Registry
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._file import load_tenant
from pss_kernel.tenancy._plan import apply_tenant, plan_tenant
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.tenancy._rights import plugin_roles
from pss_kernel.testing import TestKit
from pss_notes import store
from pss_notes.contracts import note_by_id, note_read, polished, title_of

_ROLE = "SELECT current_user::text"


async def _strict(kit: TestKit) -> Tenant:
    return await kit.make_tenant(plugins=["notes", "echo"], strict_plugins=True)


def _role(kit: TestKit, tenant: Tenant, plugin: str) -> str:
    return kit.installation.database.roles.plugin(tenant.code, plugin)


async def test_a_plugin_reaches_its_own_tables(either: TestKit) -> None:
    """Its own rows are read and written, with counters that the database keeps."""
    tenant = await _strict(either)
    async with either.installation.unit_of_work(tenant, plugin="notes") as uow:
        written = await store.write_note(uow, "mine")
        await store.leave_trace(uow, "who", "what")
        await uow.copy_in("counter", ["name", "remaining"], [("c", 1)])
        store.take_one(uow, "c")
        assert _role(either, tenant, "notes") == (await uow.hot(_ROLE))[0][0]
    async with either.installation.unit_of_work(tenant, plugin="notes") as uow:
        assert (written.id, 0) == (
            (await store.read_note(uow, written.id)).id,
            await store.left_in(uow, "c"),
        )


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM note",
        "INSERT INTO trace (who, what) VALUES ('echo', 'x')",
        "UPDATE counter SET remaining = 1",
        "DELETE FROM note",
        "SELECT * FROM event",
        "SELECT * FROM idempotency",
        "INSERT INTO inbox (consumer, event_id) VALUES ('x', gen_random_uuid())",
        "INSERT INTO pss.outbox (queue, payload) VALUES ('events', '')",
    ],
)
async def test_a_plugin_that_reaches_into_anothers_tables(either: TestKit, statement: str) -> None:
    """The database refuses another plugin's tables, and the kernel's; the tenant's role may."""
    tenant = await _strict(either)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with either.installation.unit_of_work(tenant, plugin="echo") as uow:
            await uow.hot(statement)
    lax = await either.make_tenant(plugins=["notes", "echo"])
    async with either.installation.unit_of_work(lax, plugin="echo") as uow:
        await uow.hot("SELECT * FROM note")


async def test_hooks_services_and_takes_act_as_whose_code_it_is(
    either: TestKit, scripts: dict[str, Any]
) -> None:
    """Each piece of code has its own plugin's role, and the caller has its own back afterwards."""
    tenant = await _strict(either)
    seen = []

    async def look(uow: UnitOfWork, *_: object) -> None:
        seen.append((uow.plugin, (await uow.hot(_ROLE))[0][0]))

    scripts["echo title"] = scripts["notes title"] = scripts["echo told"] = look
    async with either.installation.unit_of_work(tenant, plugin="notes") as uow:
        written = await store.write_note(uow, "a")
        await look(uow)
        await uow.call(title_of, body="a")
        await look(uow)
        await uow.call(note_read, note_id=written.id)
        await look(uow)
    async with either.installation.unit_of_work(tenant, plugin="echo") as uow:
        await look(uow)
        assert written.id == (await note_by_id(uow, written.id)).id  # provided by notes
        await look(uow)
    order = ["notes", "echo", "notes", "notes", "echo", "notes", "echo", "echo"]
    assert [(one, _role(either, tenant, one)) for one in order] == seen


async def test_the_role_after_savepoints_and_failures(
    either: TestKit, scripts: dict[str, Any]
) -> None:
    """Rolled back to a savepoint, by the kernel or in SQL, the caller acts as itself again."""
    tenant = await _strict(either)
    here = _role(either, tenant, "notes")

    async def fail(uow: UnitOfWork, *_: object) -> None:
        await uow.hot("SELECT * FROM note")  # refused: echo does not own it

    scripts["echo told"] = scripts["echo polish"] = fail
    async with either.installation.unit_of_work(tenant, plugin="notes") as uow:
        await uow.call(note_read, note_id="n")  # its failure is contained
        assert here == (await uow.hot(_ROLE))[0][0]
        with pytest.raises(HookFailed):
            async with uow.savepoint():
                await uow.call(polished, body="b", note_id="n")
        assert here == (await uow.hot(_ROLE))[0][0]
        await uow.hot("SAVEPOINT mine")
        with pytest.raises(HookFailed):
            await uow.call(polished, body="b", note_id="n")
        await uow.hot("ROLLBACK TO SAVEPOINT mine")
        assert here == (await uow.hot(_ROLE))[0][0]
        async with uow.savepoint(), uow.acting("echo"):
            await uow.hot("SELECT 1")
        assert here == (await uow.hot(_ROLE))[0][0]
        await store.write_note(uow, "after")
    async with either.unit_of_work(tenant) as uow:
        assert [("after",)] == [tuple(row) for row in await uow.hot("SELECT body FROM note")]


async def test_the_whole_way_of_a_request(either: TestKit, scripts: dict[str, Any]) -> None:
    """Keys, events, handlers, jobs and takes go on as without strict plugins."""
    tenant = await _strict(either)
    async with either.http(tenant, ["*"]) as client:
        sent = {"json": {"body": "x"}, "headers": {"Idempotency-Key": "k"}}
        first = await client.post("/v1/notes", **sent)
        again = await client.post("/v1/notes", **sent)
        assert (201, 201, "true") == (
            first.status_code,
            again.status_code,
            again.headers["Idempotent-Replayed"],
        )
        note_id = first.json()["id"]
        assert 200 == (await client.get(f"/v1/notes/{note_id}")).status_code
        assert {"echo": "x x"} == (await client.get(f"/v1/echoes/{note_id}")).json()
        dictated = await client.post(
            "/v1/dictations", json={"body": "y"}, headers={"Idempotency-Key": "d"}
        )
        assert 201 == dictated.status_code
        assert 409 == (await client.post("/v1/counters/none/takes")).status_code
    await either.run_job(tenant, "notes", "tidy")
    await either.run_job(tenant, "notes", "nightly")
    async with either.unit_of_work(tenant) as uow:
        assert 1 == len(await store.traces(uow, "tidy"))


async def test_a_handler_that_reaches_into_anothers_table(either: TestKit) -> None:
    """A handler that writes to another plugin's table fails, and is tried again later."""
    tenant = await _strict(either)
    async with either.installation.unit_of_work(tenant, plugin="notes") as uow:
        await store.write_note(uow, "x")
    with pytest.raises(DeliveryFailed, match=r"echo\.copy_note"):  # it leaves a trace in notes'
        await either.deliver(tenant)
    async with either.unit_of_work(tenant) as uow:
        assert 1 == len(await store.traces(uow, "index"))
        assert [] == await store.traces(uow, "copy")


async def test_named_tables_may_be_read(either: TestKit, registry: Registry) -> None:
    """What a manifest names in ``reads`` may be read and not written."""
    echo = registry["echo"]
    echo.reads.append("notes.trace")
    try:
        tenant = await _strict(either)
    finally:
        echo.reads.clear()
    async with either.installation.unit_of_work(tenant, plugin="echo") as uow:
        assert [] == await store.traces(uow, "any")
        for refused in ("SELECT * FROM note", "DELETE FROM trace"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with uow.savepoint():
                    await uow.hot(refused)


async def _switch(installation: Installation, tenant: Tenant, *, strict: bool) -> Tenant:
    return await create_tenant(
        installation,
        tenant.code,
        name=tenant.name,
        currency=tenant.currency,
        time_zone=tenant.time_zone,
        strict_plugins=strict,
    )


async def test_turned_on_and_off(either: TestKit) -> None:
    """Turning it on gives every plugin its role; off, the roles go and all goes on as before."""
    installation = either.installation
    roles = installation.database.roles
    tenant = await either.make_tenant(plugins=["notes"])

    async def there() -> list[str]:
        async with installation.database.owner() as owner:
            return await plugin_roles(owner, roles, tenant.code)

    assert [] == await there()
    for _ in range(2):
        tenant = await _switch(installation, tenant, strict=True)
        assert [_role(either, tenant, "notes")] == await there()
    await enable_plugins(installation, tenant.code, {"echo": None})
    assert sorted(_role(either, tenant, one) for one in ("echo", "notes")) == await there()
    async with installation.unit_of_work(tenant, plugin="notes") as uow:
        await store.write_note(uow, "strict")
    tenant = await _switch(installation, tenant, strict=False)
    assert [] == await there()
    async with installation.unit_of_work(tenant, plugin="echo") as uow:
        assert [("strict",)] == [tuple(row) for row in await uow.hot("SELECT body FROM note")]


def test_names_of_roles() -> None:
    """A role says whose it is in 63 bytes, and its name begins as no other tenant's does."""
    roles = Roles("")
    assert "t_ab.notes" == roles.plugin("ab", "notes")
    made = {}
    for prefix in ("", "pss_test_0123abcd_"):
        roles = Roles(prefix)
        for code in ("ab", "ab_notes", "a" * 41, "a" * 40 + "b"):
            for plugin in ("notes", "x", "p" * 60, "p" * 61):
                name = roles.plugin(code, plugin)
                assert len(name) <= 63
                assert name.startswith(roles.plugins_of(code))
                assert name not in made
                made[name] = (prefix, code)
                others = [one for one in ("ab", "ab_notes", "a" * 41) if one != code]
                assert not any(name.startswith(roles.plugins_of(one)) for one in others)


@pytest.mark.parametrize(
    ("requires", "reads", "said"),
    [
        ([], ["notes.note"], "not required"),
        (["notes"], ["note"], "plugin.table"),
        (["notes"], ["notes.notes"], "does not have"),
    ],
)
def test_wrong_names_in_a_manifest(
    registry: Registry, requires: list[str], reads: list[str], said: str
) -> None:
    """A table that is not there, or of a plugin that is not required, breaks its own plugin."""
    one = Plugin("third", version="1.0", requires=requires, reads=reads, package="pss_echo")
    found = Registry([registry["notes"], one])
    assert ["identity", "notes"] == list(found.plugins)
    with pytest.raises(Invalid, match=said):
        found.refuse_broken()


async def test_the_file_says_it(either: TestKit, tmp_path: Any) -> None:
    """``strict_plugins`` stands in tenant.toml: planned, applied, and then nothing to change."""
    made = await either.make_tenant(plugins=["notes"])
    text = (
        f'[tenant]\ncode = "{made.code}"\nname = "{made.name}"\ncurrency = "EUR"\n'
        'time_zone = "Europe/Vienna"\nstrict_plugins = true\n[plugins.notes]\n'
    )
    (tmp_path / "tenant.toml").write_text(text)
    wanted = load_tenant(tmp_path, either.installation.registry)
    assert ["strict_plugins"] == [
        one.detail for one in await plan_tenant(either.installation, wanted)
    ]
    await apply_tenant(either.installation, wanted)
    assert [] == await plan_tenant(either.installation, wanted)
    assert either.installation.directory.by_code(made.code).strict_plugins
