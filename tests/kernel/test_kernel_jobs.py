"""Recurring work: when it runs, and that it runs once however many workers there are."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from pss_kernel import Tenant, UnitOfWork
from pss_kernel.messaging._jobs import JobRunner, next_run
from pss_kernel.messaging._worker import run_worker
from pss_kernel.plugin import Job
from pss_kernel.testing import TestKit
from pss_notes import store


async def _never() -> None: ...


def _cron(expression: str) -> Job:
    return Job("notes", "x", _never, None, expression, "uow")


def _local(moment: str, zone: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        ("Europe/Vienna", "2026-11-23T12:00", "2026-11-24T02:30"),
        ("Asia/Tokyo", "2026-11-23T12:00", "2026-11-24T02:30"),
        ("America/St_Johns", "2026-11-23T12:00", "2026-11-24T02:30"),
        # In spring 02:30 does not exist in Vienna: the job runs when the clock has jumped.
        ("Europe/Vienna", "2027-03-27T12:00", "2027-03-28T03:00"),
    ],
)
def test_cron_in_the_tenants_zone(zone: str, after: str, expected: str) -> None:
    """02:30 is the tenant's own, in summer and in winter."""
    found = next_run(_cron("30 2 * * *"), zone, _local(after, zone).astimezone(UTC))
    assert _local(expected, zone).astimezone(UTC) == found


def test_the_hour_that_comes_twice() -> None:
    """In autumn 02:30 comes twice; the job runs once that night."""
    job, zone = _cron("30 2 * * *"), "Europe/Vienna"
    first = next_run(job, zone, datetime(2026, 10, 24, 12, tzinfo=UTC))
    second = next_run(job, zone, first)
    assert (25, 26) == tuple(one.astimezone(ZoneInfo(zone)).day for one in (first, second))


def test_seconds() -> None:
    """``every`` counts from the end of the run before."""
    job = Job("notes", "x", _never, 5.0, None, "uow")
    assert datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC) == next_run(
        job, "Asia/Tokyo", datetime(2026, 1, 1, tzinfo=UTC)
    )


async def _due(kit: TestKit, tenant: Tenant, name: str) -> None:
    async with kit.installation.database.owner() as owner:
        await owner.execute(
            "INSERT INTO pss.job (tenant, plugin, name, next_run_at) "
            "VALUES ($1, 'notes', $2, now()) ON CONFLICT (tenant, plugin, name) "
            "DO UPDATE SET next_run_at = now()",
            tenant.code,
            name,
        )


async def _facts(kit: TestKit, tenant: Tenant, name: str) -> Any:
    query = text(
        "SELECT next_run_at > now() AS later, leased_until, last_error FROM pss.job "
        "WHERE tenant = :tenant AND name = :name"
    )
    async with kit.installation.database.relay_engine.connect() as connection:
        return (await connection.execute(query, {"tenant": tenant.code, "name": name})).one()


async def _runs(kit: TestKit, tenant: Tenant, who: str) -> list[str]:
    async with kit.unit_of_work(tenant) as uow:
        return await store.traces(uow, who)


async def test_run_by_hand(kit: TestKit) -> None:
    """The test kit runs a job of either kind at once, as the system."""
    tenant = await kit.make_tenant(plugins=["notes"])
    await kit.run_job(tenant, "notes", "tidy")
    await kit.run_job(tenant, "notes", "nightly")
    assert ["system:notes.tidy"] == await _runs(kit, tenant, "tidy")
    assert [tenant.code] == await _runs(kit, tenant, "nightly")


async def test_two_runners_run_a_job_once(kit: TestKit) -> None:
    """Of several workers that look at the same moment one runs each due job."""
    tenants = [await kit.make_tenant(plugins=["notes"]) for _ in range(3)]
    for tenant in tenants:
        await _due(kit, tenant, "tidy")
    runners = [JobRunner(kit.installation) for _ in range(4)]

    async def until_none(runner: JobRunner) -> None:
        while await runner._run_due():
            pass

    await asyncio.gather(*(until_none(runner) for runner in runners))
    for tenant in tenants:
        assert ["system:notes.tidy"] == await _runs(kit, tenant, "tidy")
        assert (True, None, None) == tuple(await _facts(kit, tenant, "tidy"))


async def test_a_failing_job(kit: TestKit, scripts: dict[str, Any]) -> None:
    """Its failure is recorded by kind, what it wrote is undone, and it runs again later."""

    async def fail(_: UnitOfWork) -> None:
        raise ZeroDivisionError

    scripts["tidying"] = fail
    tenant = await kit.make_tenant(plugins=["notes"])
    await _due(kit, tenant, "tidy")
    while await JobRunner(kit.installation)._run_due():
        pass
    assert (True, None, "ZeroDivisionError") == tuple(await _facts(kit, tenant, "tidy"))
    assert [] == await _runs(kit, tenant, "tidy")


async def test_a_plugin_that_is_disabled(kit: TestKit) -> None:
    """Jobs of a plugin that the tenant has disabled rest."""
    tenant = await kit.make_tenant(plugins=["notes"])
    async with kit.installation.database.owner() as owner:
        await owner.execute(
            "UPDATE pss.tenant_plugin SET state = 'disabled' "
            "WHERE tenant = $1 AND plugin = 'notes'",
            tenant.code,
        )
    await kit.installation.directory.refresh()
    await _due(kit, tenant, "tidy")
    while await JobRunner(kit.installation)._run_due():
        pass
    assert [] == await _runs(kit, tenant, "tidy")


async def test_the_worker_registers_and_finishes(
    kit: TestKit, scripts: dict[str, Any], eventually: Any
) -> None:
    """The worker gives jobs their rows, runs what is due, and finishes what is in hand."""
    tenant = await kit.make_tenant(plugins=["notes"])
    begun, go_on, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def wait(uow: UnitOfWork) -> None:
        if uow.tenant.code == tenant.code:
            begun.set()
            await go_on.wait()

    scripts["tidying"] = wait
    worker = asyncio.create_task(run_worker(kit.installation, stop))
    registered = text("SELECT count(*) FROM pss.job WHERE tenant = :tenant AND plugin = 'notes'")

    async def rows() -> int:
        async with kit.installation.database.relay_engine.connect() as connection:
            return await connection.scalar(registered, {"tenant": tenant.code})

    async def both() -> bool:
        return await rows() == 2

    await eventually(both)
    await _due(kit, tenant, "tidy")
    await asyncio.wait_for(begun.wait(), 10)
    stop.set()
    go_on.set()
    await worker
    assert ["system:notes.tidy"] == await _runs(kit, tenant, "tidy")
    assert (True, None, None) == tuple(await _facts(kit, tenant, "tidy"))


async def test_one_bad_time_zone(kit: TestKit, scripts: dict[str, Any]) -> None:
    """A tenant whose next run can't be known is said once; the others' jobs run."""
    bad, good = [await kit.make_tenant(plugins=["notes"]) for _ in range(2)]
    await _set_zone(kit, bad, "Nope/Zone")
    runner = JobRunner(kit.installation)
    try:
        with capture_logs() as logs:
            await runner._register()
            await runner._register()
            for tenant in (bad, good):
                await _due(kit, tenant, "nightly")
            while await runner._run_due():
                pass
        skipped = [one for one in logs if one["event"] == "job_skipped"]
        assert [(bad.code, "nightly")] == [(one["tenant"], one["job"]) for one in skipped]
        assert [good.code] == await _runs(kit, good, "nightly")
        for tenant in (bad, good):
            assert (True, None, None) == tuple(await _facts(kit, tenant, "nightly"))
    finally:
        await _set_zone(kit, bad, "UTC")


async def _set_zone(kit: TestKit, tenant: Tenant, zone: str) -> None:
    async with kit.installation.database.owner() as owner:
        await owner.execute(
            "UPDATE pss.tenant SET time_zone = $2 WHERE code = $1", tenant.code, zone
        )
    await kit.installation.directory.refresh()


async def test_a_tenant_that_is_arriving(kit: TestKit) -> None:
    """The job of a tenant that nobody serves yet waits without a word, and runs when it is."""
    tenant = await kit.make_tenant(plugins=["notes"])
    await _place(kit, tenant, "importing")
    await _due(kit, tenant, "tidy")
    runner = JobRunner(kit.installation)
    with capture_logs() as logs:
        while await runner._run_due():
            pass
    assert [] == [one for one in logs if one.get("tenant") == tenant.code]
    later, leased, error = await _facts(kit, tenant, "tidy")
    assert (False, True, None) == (later, leased is not None, error)
    await _place(kit, tenant, "active", refresh=False)
    async with kit.installation.database.owner() as owner:
        await owner.execute("UPDATE pss.job SET leased_until = NULL WHERE tenant = $1", tenant.code)
    while await runner._run_due():
        pass
    assert ["system:notes.tidy"] == await _runs(kit, tenant, "tidy")


async def _place(kit: TestKit, tenant: Tenant, state: str, *, refresh: bool = True) -> None:
    async with kit.installation.database.owner() as owner:
        await owner.execute(
            "UPDATE pss.placement SET state = $2 WHERE tenant = $1", tenant.code, state
        )
    if refresh:
        await kit.installation.directory.refresh()
