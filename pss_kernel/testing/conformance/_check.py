"""Running a plugin as one tenant beside another, and looking for what is the other's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from pss_kernel.errors import Problem
from pss_kernel.messaging._deliver import DeliveryFailed
from pss_kernel.tenancy import Tenant
from pss_kernel.testing._kit import TestKit
from pss_kernel.testing.conformance._canaries import Canaries, Values, seed_tables, values_of
from pss_kernel.testing.conformance._elements import (
    CannotRun,
    Element,
    Outcome,
    Side,
    elements_of,
)
from pss_kernel.testing.conformance._kept import Kept, kept_of
from pss_kernel.testing.conformance._personal import opened_texts, seal_canaries
from pss_kernel.testing.conformance._report import Finding, Report
from pss_kernel.testing.conformance._settings import make_tenants, setting_texts
from pss_kernel.testing.conformance._watch import (
    Doing,
    Storage,
    Watch,
    cached,
    doing,
    settled,
    storage_of,
    watching,
)

__all__ = ["Seed", "check_isolation"]

Seed = Callable[[TestKit, Tenant], Awaitable[Mapping[str, str] | None]]
"""Gives a tenant rows of its own; answers ids by the names of the fields they stand in."""

_LONGEST_SECONDS = 60.0
_OWN, _FOREIGN, _TOGETHER = "alone", "with the other's ids", "both at once"


async def check_isolation(
    kit: TestKit,
    plugin: str,
    *,
    seed: Seed | None = None,
    tenants: tuple[Tenant, Tenant] | None = None,
    known: tuple[Mapping[str, str], Mapping[str, str]] | None = None,
    words: Mapping[str, Any] | None = None,
    files: Path | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Report:
    """Run all that a plugin has as one tenant, and look for what is another tenant's.

    ``seed`` gives a tenant rows; tables that are empty afterwards are given a row each, made from
    the database's catalogue. ``tenants`` (who is looked at, and whose values are looked for) and
    the ids ``known`` of each are for who has made and filled them already.
    ``words`` are values to send for fields that need a particular one, by name or
    ``Schema.name``. ``files`` is a tenant's folder, or has a folder for each tenant's code.
    ``settings``, by plugin, are given to both tenants in place of canaries.
    """
    run = await _prepared(
        kit,
        plugin,
        seed,
        tenants or await make_tenants(kit, plugin, settings or {}),
        known or ({}, {}),
    )
    async with AsyncExitStack() as stack:
        sides = [
            Side(
                kit,
                tenant,
                await stack.enter_async_context(kit.http(tenant, ["*"])),
                await stack.enter_async_context(kit.http(tenant)),
            )
            for tenant in run.tenants
        ]
        document = (await sides[0].guest.get("/docs/openapi.json")).json()
        declared = kit.installation.registry[plugin]
        every = list(elements_of(kit, declared, document, words or {}, files))
        every.sort(key=lambda one: one.ends)
        run.report.elements = [one.name for one in every]
        run.storage = await stack.enter_async_context(storage_of(kit.installation, run.tenants[0]))
        run.kept = [
            await stack.enter_async_context(kept_of(kit.installation, one)) for one in run.tenants
        ]
        with watching() as run.watch:
            await _phases(run, every, sides[0], sides[1])
    await _look_into_cache(run)
    return run.report


@dataclass(slots=True)
class _Run:
    kit: TestKit
    report: Report
    tenants: tuple[Tenant, Tenant]
    known: tuple[Mapping[str, str], Mapping[str, str]]
    canaries: Canaries
    own: Canaries
    sent: list[str] = field(default_factory=list)
    since: int = 0
    watch: Watch = field(init=False)
    storage: Storage = field(init=False)
    kept: list[Kept] = field(default_factory=list)


async def _prepared(
    kit: TestKit,
    plugin: str,
    seed: Seed | None,
    tenants: tuple[Tenant, Tenant],
    known: tuple[Mapping[str, str], Mapping[str, str]],
) -> _Run:
    """Two tenants with rows, and what each has alone."""
    report = Report(plugin)
    plugins = kit.installation.registry.closure([plugin])
    found: list[Values] = []
    ids: list[Mapping[str, str]] = []
    for tenant, given in zip(tenants, known, strict=True):
        named = (await seed(kit, tenant) if seed else None) or {}
        async with kit.installation.cell(tenant).owner() as owner:
            report.not_seeded |= await seed_tables(owner, tenant.schema)
            await seal_canaries(kit.installation, tenant, owner, plugins)
            values = await values_of(owner, tenant.schema)
            values.texts.update(await opened_texts(kit.installation, tenant, owner, plugins))
        values.texts.update(setting_texts(kit.installation, tenant, plugins))
        found.append(values)
        ids.append({**values.known, **named, **given})
    mine, others = found
    identity = {
        one: f"the tenant's {name}"
        for name in ("code", "name", "schema")
        if (one := getattr(tenants[1], name)) != getattr(tenants[0], name)
    }
    canaries = Canaries(_without(others.texts, mine.texts) | identity)
    own = Canaries(_without(mine.texts, others.texts))
    return _Run(kit, report, tenants, (ids[0], ids[1]), canaries, own)


def _without(texts: dict[str, str], others: dict[str, str]) -> dict[str, str]:
    return {text: origin for text, origin in texts.items() if text not in others}


async def _phases(run: _Run, every: list[Element], mine: Side, other: Side) -> None:
    own, foreign = run.known
    # First as the other: whatever keeps something in memory has it now.
    for element in every:
        made = _prepare(run, element, other, foreign, _OWN)
        await run.kept[1].put_back()
        outcome = await _run(run, made, other) if made else None
        if outcome is not None and (seen := run.canaries.within(outcome.text)):
            run.report.seen.setdefault(element.name, set()).update(seen)
    asked = {name for element in every for name in element.asks}
    strange = {
        **own,
        **{name: value for name, value in foreign.items() if name in asked or _is_id(name)},
    }
    for phase, known in ((_OWN, own), (_FOREIGN, strange)):
        for element in every:
            if phase == _FOREIGN and not element.asks_with:
                continue
            made = _prepare(run, element, mine, known, phase)
            if made:
                await _watched(run, made, mine)
    for element in (one for one in every if not one.ends):
        await _together(run, element, mine, other)


def _is_id(name: str) -> bool:
    return name == "id" or name.endswith(("_id", "_key", "_number", "_reference", "_code"))


@dataclass(frozen=True, slots=True)
class _Made:
    """An element that is ready to be run."""

    what: Doing
    call: Callable[[], Awaitable[Outcome]]


def _prepare(
    run: _Run, element: Element, side: Side, known: Mapping[str, str], phase: str
) -> _Made | None:
    try:
        sent, call = element.prepare(side, known)
    except CannotRun as error:
        run.report.not_run[element.name] = str(error)
        return None
    if side.tenant.code == run.tenants[0].code:
        run.sent.extend(sent)  # what it once has sent may come back at any time
    return _Made(Doing(element.name, side.tenant.code, phase), call)


async def _run(run: _Run, made: _Made, side: Side) -> Outcome | None:
    """Run one element once, then the handlers of the events that it has caused."""
    outcome = None
    with doing(made.what), structlog.contextvars.bound_contextvars():
        async with settled():
            try:
                async with asyncio.timeout(_LONGEST_SECONDS):
                    outcome = await made.call()
            except Problem as error:
                run.watch.note_error(error)
                _note_answered(run, made)  # a refusal is an answer
            except Exception as error:  # noqa: BLE001 - a plugin may fail in any way it likes
                run.watch.note_error(error)
                run.report.failed.setdefault(made.what.element, repr(error))
        if outcome is not None:
            run.watch.note("answer", outcome.text)
            if outcome.failed:
                run.report.failed.setdefault(made.what.element, outcome.failed)
            else:
                _note_answered(run, made)
    if made.what.phase != _TOGETHER:
        await _deliver(run, made, side)
    _judge(run, made.what)
    return outcome


def _note_answered(run: _Run, made: _Made) -> None:
    if made.what.tenant == run.tenants[0].code:
        run.report.answered.add(made.what.element)


async def _deliver(run: _Run, made: _Made, side: Side) -> None:
    if side.tenant.code == run.tenants[0].code:
        await _note_added(run, made.what)  # before the messages go
    with doing(made.what):
        async with settled():
            with contextlib.suppress(DeliveryFailed, AssertionError):  # the log has it
                await run.kit.deliver(side.tenant)


async def _watched(run: _Run, made: _Made, side: Side) -> None:
    await run.kept[0].put_back()
    run.since = await run.storage.now()
    await _run(run, made, side)
    await _note_added(run, made.what)
    _judge(run, made.what)


async def _together(run: _Run, element: Element, mine: Side, other: Side) -> None:
    """Run an element as both tenants at once, twice: each begins once."""
    theirs = _prepare(run, element, other, run.known[1], _TOGETHER)
    ours = _prepare(run, element, mine, run.known[0], _TOGETHER)
    if theirs is None or ours is None:
        return
    for kept in run.kept:
        await kept.put_back()
    run.since = await run.storage.now()
    await asyncio.gather(_run(run, theirs, other), _run(run, ours, mine))
    await asyncio.gather(_run(run, ours, mine), _run(run, theirs, other))
    await _deliver(run, ours, mine)
    await _note_added(run, ours.what)
    _judge(run, ours.what)


async def _note_added(run: _Run, what: Doing) -> None:
    with doing(what):
        for place, text in await run.storage.since(run.since):
            run.watch.note(place, text)


def _judge(run: _Run, what: Doing) -> None:
    """Look through what was written by one run; lines of others that go on stay."""
    mine = [line for line in run.watch.lines if line.by is what]
    run.watch.lines = [line for line in run.watch.lines if line.by is not what]
    for line in mine:
        if line.misuse:
            run.report.add(Finding(what.element, line.place, line.misuse, what.phase))
        if what.tenant == run.tenants[0].code:
            for origin in sorted(run.canaries.within(line.text, run.sent)):
                said = f"the other tenant's {origin}"
                run.report.add(Finding(what.element, line.place, said, what.phase))


async def _look_into_cache(run: _Run) -> None:
    """A key whose value is one tenant's alone must name that tenant."""
    url = run.kit.installation.config.redis_url
    if url is None:
        return
    for key, value in await cached(url):
        for tenant, canaries in zip(run.tenants, (run.own, run.canaries), strict=True):
            origins = canaries.within(f"{key} {value}")
            if origins and tenant.code not in key:
                said = f"{', '.join(sorted(origins))} under the key {key[:80]!r} without a tenant"
                run.report.add(Finding("cache", "cache", said, _OWN))
