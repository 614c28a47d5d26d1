"""The conformance suite finds every kind of leak, and nothing where there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.registry import Registry, _load
from pss_kernel.testing import TestKit
from pss_kernel.testing.conformance import (
    Report,
    check_isolation,
    element_names,
    isolation_tests,
)
from pss_kernel.testing.conformance._tests import complaints

pytestmark = [pytest.mark.xdist_group("conformance")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def leaky(
    server_database: dict[str, Any], redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """An installation with a plugin that leaks beside two that don't, and a cache."""
    names = ("notes", "echo", "leaky")
    registry = Registry(_load(EntryPoint(one, f"pss_{one}:plugin", "pss.plugins")) for one in names)
    folder = tmp_path_factory.mktemp("leaky")
    config = Config(data_dir=folder, redis_url=redis_url, **server_database)
    async with open_installation(config, registry) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def report(leaky: Installation, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What the suite says of the leaky plugin."""
    kit = TestKit(leaky)
    first, second = [await kit.make_tenant(plugins=["leaky", "echo"]) for _ in range(2)]
    files = tmp_path_factory.mktemp("files")
    for tenant in (first, second):
        (files / tenant.code).mkdir()
        (files / tenant.code / "one.txt").write_text(f"of {tenant.code}")
    return await check_isolation(kit, "leaky", tenants=(first, second), files=files)


@pytest.mark.parametrize(
    ("element", "place", "what"),
    [
        ("GET /v1/leaks/cached", "answer", "secret.body"),
        ("GET /v1/leaks/cached as a guest", "answer", "secret.body"),
        ("GET /v1/leaks/qualified", "log", "SQL that the database refused"),
        ("POST /v1/leaks/background", "log", "used after its end"),
        ("POST /v1/leaks/committed", "log", "ended by the plugin"),
        ("GET /v1/leaks/logged", "log", "secret.body"),
        ("GET /v1/leaks/plain-logged", "log", "secret.body"),
        ("GET /v1/leaks/printed", "output", "secret.body"),
        ("GET /v1/leaks/refused", "answer", "secret.body"),
        ("GET /v1/leaks/crashed", "log", "secret.body"),
        ("GET /v1/leaks/raced", "answer", "secret.body"),
        ("POST /v1/leaks/told", "outbox", "secret.body"),
        ("POST /v1/leaks/told", "table event", "secret.body"),
        ("POST /v1/leaks/kept", "table diary", "secret.body"),
        ("hook pss_notes.contracts.polished", "answer", "secret.body"),
        ("service pss_leaky.contracts.first_secret", "answer", "secret.body"),
        ("handler leaky.hear", "table diary", "secret.body"),
        ("job remind", "table diary", "secret.body"),
        ("files secrets", "answer", "secret.body"),
        ("files secrets", "answer", "the tenant's code"),
        ("job parcels", "log", "parcel.content"),
        ("GET /v1/leaks/phones", "answer", "guest.phone, opened"),
        ("cache", "cache", "secret.body"),
    ],
)
def test_each_leak_is_found(report: Report, element: str, place: str, what: str) -> None:
    """In the element that leaks, at the place where it does, and by what it is."""
    assert any(one.place == place and what in one.what for one in report.of(element)), [
        str(one) for one in report.of(element)
    ]


def test_a_leak_between_simultaneous_requests(report: Report) -> None:
    """A global that is right when requests come one after the other is found when they don't."""
    assert {"both at once"} == {one.phase for one in report.of("GET /v1/leaks/raced")}


def test_nothing_is_found_where_nothing_leaks(report: Report) -> None:
    """What was asked for may be repeated; what the database gives is the tenant's own."""
    assert [] == report.of("GET /v1/leaks/honest/{secret_id}")
    assert [] == report.of("GET /v1/leaks/honest/{secret_id} as a guest")


def test_the_seeding_reaches_every_column(report: Report) -> None:
    """The other tenant itself was shown its rows: texts, arrays and JSON, joined by their keys."""
    seen = report.seen["GET /v1/leaks/honest/{secret_id}"]
    assert {"secret.body", "secret_part.words", "secret_part.details"} <= seen
    assert {} == report.not_seeded


def test_everything_is_run(report: Report, leaky: Installation) -> None:
    """Each thing that the manifest declares is an element, and none was left out."""
    names = [*element_names(leaky.registry["leaky"], leaky.registry)]
    assert sorted(names) == sorted(report.elements)
    assert {"service pss_leaky.contracts.open_box"} == report.not_run.keys()
    assert {"GET /v1/leaks/crashed", "GET /v1/leaks/crashed as a guest"} <= report.failed.keys()


@pytest.mark.parametrize(
    ("element", "said"),
    [
        ("service pss_leaky.contracts.open_box", "never ran: no box can be made"),
        ("GET /v1/leaks/crashed as a guest", "only ever ended in an unexpected error"),
    ],
)
def test_what_was_not_tested_is_said(report: Report, element: str, said: str) -> None:
    """Its test fails with a sentence, unless it is named as failing."""
    assert said in complaints(report, element, {})[-1]
    named = complaints(report, element, {element: "made for this"})
    assert [str(one) for one in report.of(element)] == named


def test_what_is_named_as_failing_must_fail(report: Report) -> None:
    """A reason that holds no longer is taken off; a name that is none is refused."""
    element = "GET /v1/leaks/honest/{secret_id}"
    (said,) = complaints(report, element, {element: "it used to fail"})
    assert "does run" in said
    with pytest.raises(ValueError, match="has no job nap"):
        isolation_tests("meals", failing={"job nap": "made up"})


@pytest.mark.parametrize("plugin", ["notes", "echo"])
async def test_honest_plugins(leaky: Installation, tmp_path: Path, plugin: str) -> None:
    """Of plugins that keep tenants apart nothing is said, and their own rows were seen."""
    (tmp_path / "counters").mkdir()
    (tmp_path / "counters" / "one.toml").write_text("a = 1\n")
    found = await check_isolation(TestKit(leaky), plugin, files=tmp_path)
    assert [] == [str(one) for one in found.findings if one.element != "cache"]
    assert {} == found.not_run
    assert found.seen


async def test_own_rows(leaky: Installation) -> None:
    """A plugin's author may fill the tables; what was put there is looked for like a canary."""

    async def seed(kit: TestKit, tenant: Any) -> dict[str, str]:
        async with kit.installation.unit_of_work(tenant, plugin="leaky") as uow:
            secret = f"secret of {tenant.code}, with spaces"
            await uow.hot("INSERT INTO secret VALUES ($1, $2, 'small', 'A')", "same id", secret)
        return {"secret_id": "same id"}

    found = await check_isolation(TestKit(leaky), "leaky", seed=seed)
    assert any("secret.body" in one.what for one in found.of("GET /v1/leaks/logged"))
    assert "secret.body" in found.seen["GET /v1/leaks/honest/{secret_id}"]
    settings = {one.what for one in found.of("GET /v1/leaks/settings")}
    names = ("sender", "aliases", "labels", "desk")
    assert {f"the other tenant's setting leaky.{one}" for one in names} <= settings
    tokens = {one.what for one in found.of("GET /v1/leaks/token")}
    assert "the other tenant's setting leaky.token" in tokens
