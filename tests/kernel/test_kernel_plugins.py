"""Installed plugins as one graph; hooks, services and enablement as each tenant has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

import pss_kernel.registry
from pss_echo.contracts import echo_of
from pss_kernel import Conflict, Invalid, Permission, Plugin, PluginNotEnabled, Tenant, UnitOfWork
from pss_kernel.hooks import HookFailed, HookSpec, hookspec
from pss_kernel.registry import Registry
from pss_kernel.tenancy._enablement import disable_plugin, enable_plugins
from pss_kernel.tenancy._pending import enable_pending
from pss_kernel.testing import TestKit
from pss_notes import Settings, store
from pss_notes.contracts import NoteWritten, note_by_id, note_read, polished, title_of


def _plugin(name: str, *requires: str, version: str = "1.0", **more: Any) -> Plugin:
    return Plugin(name, version=version, requires=list(requires), package=f"pss_{name}", **more)


def _reasons(*plugins: Plugin) -> dict[str, str]:
    return {one.name: f"{one.reason} {one.mend}" for one in Registry(plugins).broken}


class TestGraph:
    """What is installed is resolved as a whole; what can't be used says why."""

    def test_order(self) -> None:
        """Requirements come first, whatever order they were found in."""
        found = Registry([_plugin("c", "b", "a"), _plugin("b", "a>=0.5"), _plugin("a")])
        assert (["identity", "a", "b", "c"], []) == (list(found.plugins), found.broken)
        assert ["a", "b", "c"] == found.closure(["c"])
        assert ["c", "b"] == found.dependents("a")

    def test_a_missing_requirement(self) -> None:
        """It and all that need it are left out, each with a reason and a mend."""
        reasons = _reasons(_plugin("b", "a"), _plugin("c", "b"), _plugin("d"))
        assert {"b", "c"} == reasons.keys()
        assert "needs the plugin 'a'" in reasons["b"]
        assert "Install 'a' or remove 'b'" in reasons["b"]

    def test_another_version(self) -> None:
        """The range and what is installed are both named."""
        reasons = _reasons(_plugin("a", version="1.4"), _plugin("b", "a>=2"))
        assert "It needs a>=2; installed is 1.4." in reasons["b"]

    def test_a_circle(self) -> None:
        """A circle is left out whole and the rest is used."""
        found = Registry([_plugin("a", "c"), _plugin("b", "a"), _plugin("c", "b"), _plugin("d")])
        assert ["identity", "d"] == list(found.plugins)
        assert {"a", "b", "c"} == {one.name for one in found.broken}
        assert all("circle of requirements: a, b, c" in one.reason for one in found.broken)

    def test_two_of_one_name(self) -> None:
        """The second one of a name is left out."""
        assert "a plugin called 'a'" in _reasons(_plugin("a"), _plugin("a"))["a"]

    @pytest.mark.parametrize(
        ("plugin", "said"),
        [
            (lambda: _plugin("a", kernel=">=99"), "It needs a kernel >=99"),
            (lambda: _plugin("a", kernel="new"), "kernel range 'new' can't be read"),
            (lambda: _plugin("a", version="one"), "version 'one' can't be read"),
            (lambda: _plugin("a", "b > > 1"), "requirement 'b > > 1' can't be read"),
            (lambda: _plugin("A-b"), "not a lower-case identifier"),
            (
                lambda: _plugin("a", permissions=[Permission("b:read", "", level="user")]),
                "begin with 'a:'",
            ),
        ],
    )
    def test_a_bad_manifest(self, plugin: Callable[[], Plugin], said: str) -> None:
        """What is wrong with a manifest by itself is said; nothing is raised."""
        assert said in next(iter(_reasons(plugin()).values()))

    def test_a_route_with_an_unknown_permission(self) -> None:
        """A route may only name permissions of its own plugin."""
        plugin = _plugin("a")

        @plugin.get("/x", permission="a:read")
        async def show(uow: UnitOfWork) -> None:
            """Show."""

        assert "names the permission 'a:read'" in _reasons(plugin)["a"]

    def test_two_of_one_route(self) -> None:
        """Two plugins can't serve one path; the first keeps it and the application starts."""
        both = []
        for name in ("a", "b"):
            plugin = _plugin(name, permissions=[Permission(f"{name}:read", "", level="user")])

            async def show(uow: UnitOfWork) -> None:
                """Show."""

            plugin.get(f"/x/{{{name}:str}}", permission=f"{name}:read")(show)
            both.append(plugin)
        assert "brings the route GET /x/{b:str}; 'a' does that" in _reasons(*both)["b"]

    def test_two_providers_of_one_service(self) -> None:
        """A service is provided by one plugin."""
        both = [_plugin("a"), _plugin("b")]
        for plugin in both:
            plugin.provides(note_by_id)(store.read_note)
        assert "the service pss_notes.contracts.note_by_id" in _reasons(*both)["b"]

    def test_two_handlers_of_one_name(self) -> None:
        """Handlers are remembered by name, so a plugin can't have two of one."""
        plugin = _plugin("a")
        for _ in range(2):

            @plugin.on(NoteWritten)
            async def heard(uow: UnitOfWork, event: NoteWritten) -> None: ...

        assert "2 handlers or jobs called 'a.heard'" in _reasons(plugin)["a"]

    def test_a_hook_with_other_parameters(self) -> None:
        """An implementation may take only what the specification gives; the rest is usable."""
        plugin = _plugin("a")

        @plugin.hook(title_of)
        async def wrong(uow: UnitOfWork, text: str) -> str | None: ...

        found = Registry([plugin, _plugin("b")])
        assert ["identity", "b"] == list(found.plugins)
        assert "may take only: uow, body" in found.broken[0].reason

    def test_declarations_that_can_not_be(self) -> None:
        """A hook needs ``uow``, a pipeline a value, a job one rhythm, a route a transaction."""

        async def none() -> None: ...
        async def only(uow: UnitOfWork) -> None: ...

        with pytest.raises(TypeError, match="first parameter must be called 'uow'"):
            hookspec("first")(none)
        with pytest.raises(TypeError, match="a pipeline needs a value"):
            hookspec("pipeline")(only)
        with pytest.raises(TypeError, match="either 'every' or 'cron'"):
            _plugin("a").job()
        with pytest.raises(TypeError, match="must take 'uow' or 'work'"):
            _plugin("a").get("/x", permission="a:read")(none)

    def test_one_that_does_not_import(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is reported and skipped; ``strict`` makes that an error."""
        points = [
            EntryPoint("gone", "pss_gone:plugin", "pss.plugins"),
            EntryPoint("none", "json:dumps", "pss.plugins"),
            EntryPoint("notes", "pss_notes:plugin", "pss.plugins"),
        ]
        monkeypatch.setattr(pss_kernel.registry, "entry_points", lambda **_: points)
        found = Registry.discover()
        assert (["identity", "notes"], ["gone", "none"]) == (
            list(found.plugins),
            [one.name for one in found.broken],
        )
        with pytest.raises(Invalid, match="gone: It can't be imported"):
            Registry.discover(strict=True)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenant(installation: Any) -> Tenant:
    """A tenant with both plugins."""
    return await TestKit(installation).make_tenant(plugins=["echo"])


class TestHooks:
    """first, pipeline, notify: each as its kind says, for this tenant's plugins only."""

    async def test_first(self, kit: TestKit, tenant: Tenant, scripts: dict[str, Any]) -> None:
        """They are asked in order; the first answer that is not None wins."""

        async def answer(_: UnitOfWork, body: str) -> str | None:
            return f"title of {body}"

        async with kit.unit_of_work(tenant) as uow:
            assert await uow.call(title_of, body="x") is None
            scripts["notes title"] = answer
            assert "title of x" == await uow.call(title_of, body="x")

            async def empty(_: UnitOfWork, body: str) -> str | None:
                return ""

            scripts["echo title"] = empty
            assert "" == await uow.call(title_of, body="x")

    async def test_pipeline(self, kit: TestKit, tenant: Tenant) -> None:
        """Each transforms the value in declared order, asking only for what it needs."""
        async with kit.unit_of_work(tenant) as uow:
            assert "x.!" == await uow.call(polished, body="x", note_id="n")

    async def test_only_the_tenants_own(self, kit: TestKit) -> None:
        """What the tenant has not enabled is not called."""
        plain = await kit.make_tenant(plugins=["notes"])
        async with kit.unit_of_work(plain) as uow:
            assert "x." == await uow.call(polished, body="x", note_id="n")

    async def test_a_failure_propagates_typed(
        self, kit: TestKit, tenant: Tenant, scripts: dict[str, Any]
    ) -> None:
        """In first and pipeline an error becomes HookFailed; a Problem stays what it is."""

        async def divide(*_: Any) -> None:
            raise ZeroDivisionError

        async def refuse(*_: Any) -> None:
            raise Conflict("No.", code="no")

        for name, spec in (("echo title", title_of), ("echo polish", polished)):
            arguments = {"body": "x"} | ({"note_id": "n"} if spec is polished else {})
            scripts[name] = divide
            with pytest.raises(HookFailed, match="The plugin 'echo' failed in"):
                async with kit.unit_of_work(tenant) as uow:
                    await uow.call(spec, **arguments)
            scripts[name] = refuse
            with pytest.raises(Conflict, match="No"):
                async with kit.unit_of_work(tenant) as uow:
                    await uow.call(spec, **arguments)

    async def test_the_time_budget(
        self, kit: TestKit, tenant: Tenant, scripts: dict[str, Any]
    ) -> None:
        """One that takes longer than its budget, in the database too, fails typed."""

        async def sleep(uow: UnitOfWork, _: str) -> None:
            await uow.hot("SELECT pg_sleep(60)")

        scripts["echo title"] = sleep
        with pytest.raises(HookFailed, match=r"within 0\.3 s"):
            async with kit.unit_of_work(tenant) as uow:
                await uow.call(title_of, body="x")

    @pytest.mark.parametrize("fault", ["python", "problem", "sql", "swallowed", "slow"])
    async def test_notify_contains(
        self, kit: TestKit, tenant: Tenant, scripts: dict[str, Any], fault: str
    ) -> None:
        """Whatever one does, the others are told and the caller's transaction commits.

        What the failed one wrote and emitted is undone.
        """

        async def fail(uow: UnitOfWork, note_id: str) -> None:
            await store.leave_trace(uow, "echo told", note_id)
            uow.emit(NoteWritten(note_id=note_id), stream=f"{fault} of echo")
            if fault == "python":
                raise ZeroDivisionError
            if fault == "problem":
                raise Conflict
            if fault == "slow":
                await uow.hot("SELECT pg_sleep(60)")
            try:
                await uow.hot("SELECT 1 FROM nothing")
            except asyncpg.UndefinedTableError:
                if fault == "sql":
                    raise

        scripts["echo told"] = fail
        async with kit.unit_of_work(tenant) as uow:
            await store.leave_trace(uow, "caller", fault)
            assert await uow.call(note_read, note_id=fault) is None
        async with kit.unit_of_work(tenant) as uow:
            assert fault in await store.traces(uow, "caller")
            assert fault in await store.traces(uow, "notes told")
            assert fault not in await store.traces(uow, "echo told")
            assert [] == await uow.hot("SELECT 1 FROM event WHERE stream = $1", f"{fault} of echo")

    async def test_a_cancelled_caller_is_not_contained(
        self, kit: TestKit, tenant: Tenant, scripts: dict[str, Any]
    ) -> None:
        """Cancelling the caller ends it, also while a plugin is being notified."""
        begun = asyncio.Event()

        async def wait(*_: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

        scripts["echo told"] = wait

        async def call() -> None:
            async with kit.unit_of_work(tenant) as uow:
                await uow.call(note_read, note_id="n")

        task = asyncio.create_task(call())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


class TestServices:
    """Typed handles that one plugin provides."""

    async def test_in_the_callers_transaction(self, kit: TestKit, tenant: Tenant) -> None:
        """A service sees what the caller has not yet committed."""
        async with kit.unit_of_work(tenant) as uow:
            note = await store.write_note(uow, "new")
            assert note == await note_by_id(uow, note.id)
            assert note == await note_by_id(uow=uow, note_id=note.id)

    async def test_not_enabled(self, kit: TestKit) -> None:
        """PluginNotEnabled where the tenant does not have the providing plugin."""
        plain = await kit.make_tenant(plugins=["notes"])
        with pytest.raises(PluginNotEnabled):
            async with kit.unit_of_work(plain) as uow:
                await echo_of(uow, "x")

    async def test_nobody_provides_it(self, kit: TestKit, tenant: Tenant) -> None:
        """A hook without implementations answers None, or the value as it was."""

        async def nobody(uow: UnitOfWork, value: int) -> int: ...

        async with kit.unit_of_work(tenant) as uow:
            assert await uow.call(HookSpec(nobody, "first", 1.0), value=1) is None
            assert 1 == await uow.call(HookSpec(nobody, "pipeline", 1.0), value=1)


class TestEnablement:
    """Code is loaded everywhere; which tenant has it is data."""

    async def test_while_the_application_runs(self, kit: TestKit, http: Any) -> None:
        """404 ``plugin-not-enabled``, then 200 after enabling, then 404 again; data stays."""
        tenant = await kit.make_tenant(plugins=["notes"])
        client = await http(tenant, scopes=["*"])
        note = (await client.post("/v1/notes", json={"body": "x"})).json()

        async def hear() -> tuple[int, str | None]:
            answer = await client.get(f"/v1/echoes/{note['id']}")
            return answer.status_code, answer.json().get("code")

        assert (404, "plugin-not-enabled") == await hear()
        assert ["echo"] == await enable_plugins(kit.installation, tenant.code, {"echo": None})
        assert (200, None) == await hear()
        with pytest.raises(Conflict, match="echo need the plugin 'notes'"):
            await disable_plugin(kit.installation, tenant.code, "notes")
        gone = await disable_plugin(kit.installation, tenant.code, "notes", cascade=True)
        assert ["echo", "notes"] == gone
        assert (404, "plugin-not-enabled") == await hear()
        await enable_plugins(kit.installation, tenant.code, {"echo": None})
        assert (200, None) == await hear()

    async def test_another_process_changes_it(
        self, kit: TestKit, http: Any, eventually: Any
    ) -> None:
        """A change made elsewhere is followed within a second."""
        tenant = await kit.make_tenant(plugins=["echo"])
        client = await http(tenant)
        async with kit.installation.database.owner() as owner:
            await owner.execute(
                "UPDATE pss.tenant_plugin SET state = 'disabled' WHERE tenant = $1 "
                "AND plugin = 'notes'",
                tenant.code,
            )

        async def refused() -> bool:
            return (await client.get("/v1/notes")).status_code == 404

        await eventually(refused)

    async def test_an_unknown_plugin(self, kit: TestKit) -> None:
        """Enabling what is not installed says so, and what is."""
        tenant = await kit.make_tenant()
        with pytest.raises(Invalid, match=r"'ghost' is not installed\. Installed are: identity"):
            await enable_plugins(kit.installation, tenant.code, {"ghost": None})

    async def test_settings(self, kit: TestKit) -> None:
        """Defaults, then what was given; a change takes effect and keeps nothing of before."""
        tenant = await kit.make_tenant(plugins=["notes"])
        async with kit.unit_of_work(tenant) as uow:
            assert Settings() == uow.settings(Settings)
        await enable_plugins(kit.installation, tenant.code, {"notes": {"most": 7}})
        await enable_plugins(kit.installation, tenant.code, {"notes": None})
        tenant = kit.installation.directory.by_code(tenant.code)
        async with kit.unit_of_work(tenant) as uow:
            assert Settings(most=7) == uow.settings(Settings)

    async def test_settings_that_do_not_fit(self, kit: TestKit) -> None:
        """Invalid with every wrong field, and nothing is enabled."""
        tenant = await kit.make_tenant()
        given = {"most": 5000, "since": "soon", "colour": "red", "labels": {"a": [1]}}
        with pytest.raises(Invalid) as caught:
            await enable_plugins(kit.installation, tenant.code, {"notes": given})
        assert {"/most", "/since", "/colour", "/labels/a/0"} == {
            one.pointer for one in caught.value.errors
        }
        assert "notes" not in kit.installation.directory.by_code(tenant.code).enabled

    async def test_pending_migrations(self, kit: TestKit) -> None:
        """A tenant on an older revision is brought to the newest when the program starts."""
        tenant = await kit.make_tenant(plugins=["notes"])
        async with kit.installation.database.owner() as owner:
            await owner.execute(
                f"DROP TABLE {tenant.schema}.trace; DROP INDEX {tenant.schema}.ix_note_written_at"
            )
            await owner.execute(
                "UPDATE pss.tenant_plugin SET revision = '0001', version = '1.1.0' "
                "WHERE tenant = $1 AND plugin = 'notes'",
                tenant.code,
            )
        await kit.installation.directory.refresh()
        await enable_pending(kit.installation)
        tenant = kit.installation.directory.by_code(tenant.code)
        state = tenant.plugins["notes"]
        assert ("0002", "1.2.0") == (state.revision, state.version)
        async with kit.unit_of_work(tenant) as uow:
            assert [] == await store.traces(uow, "nobody")

    async def test_refreshing_never_goes_back(
        self, kit: TestKit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A slow reading of an older state does not replace a newer one."""
        directory = kit.installation.directory
        read, slow, go_on = directory._look, asyncio.Event(), asyncio.Event()

        async def read_slowly(cell: str) -> Any:
            snapshot = await read(cell)
            if not slow.is_set():
                slow.set()
                await go_on.wait()
            return snapshot

        monkeypatch.setattr(directory, "_look", read_slowly)
        first = asyncio.create_task(kit.make_tenant())
        await slow.wait()
        second = asyncio.create_task(kit.make_tenant(code=f"late_{kit._run}"))
        await asyncio.wait({second}, timeout=0.5)  # done only where the slow one is overtaken
        go_on.set()
        await asyncio.gather(first, second)
        assert f"late_{kit._run}" == directory.by_code(f"late_{kit._run}").code
