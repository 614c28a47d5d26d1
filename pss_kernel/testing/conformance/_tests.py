"""The suite as pytest tests, one for each thing that a plugin has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from pss_kernel.installation import Installation
from pss_kernel.plugin import Plugin
from pss_kernel.registry import Registry
from pss_kernel.testing._kit import TestKit
from pss_kernel.testing.conformance._check import check_isolation
from pss_kernel.testing.conformance._report import Report

__all__ = ["element_names", "isolation_tests"]

_reports: WeakKeyDictionary[Installation, dict[str, Report]] = WeakKeyDictionary()


def isolation_tests(
    plugin: str, *, failing: Mapping[str, str] | None = None, **options: Any
) -> Any:
    """A test for each route, hook, service, job, handler and kind of files of an installed plugin.

    ``test_isolation = isolation_tests("notes")`` in a file of tests is all that is needed. The
    options are those of ``check_isolation``, which runs once for all of them.

    What never ran, or only ever ended in an unexpected error, fails its test. ``failing`` names
    those of which that is expected, each with the reason.
    """
    registry = Registry.discover()
    names = [*element_names(registry[plugin], registry), "cache"]
    expected = dict(failing or {})
    if unknown := sorted(expected.keys() - set(names)):
        raise ValueError(f"{plugin!r} has no {', '.join(unknown)}; it has {', '.join(names)}.")

    @pytest.mark.asyncio(loop_scope="session")
    @pytest.mark.xdist_group(f"isolation {plugin}")
    @pytest.mark.parametrize("element", names)
    async def test_isolation(kit: TestKit, element: str) -> None:
        """It runs, and nothing of another tenant's is seen."""
        reports = _reports.setdefault(kit.installation, {})
        if plugin not in reports:
            reports[plugin] = await check_isolation(kit, plugin, **options)
        assert complaints(reports[plugin], element, expected) == []

    return test_isolation


def complaints(report: Report, element: str, failing: Mapping[str, str]) -> list[str]:
    """What is said against one element; ``failing`` are those that need not have run, and why."""
    found = [str(one) for one in report.of(element)]
    untested = report.untested(element)
    if untested and element not in failing:
        found.append(untested)
    if not untested and element in failing:
        found.append(f"{element} does run: take it off those that are failing.")
    return found


def element_names(plugin: Plugin, registry: Registry) -> Iterator[str]:
    """What a plugin has, by the names that a report calls it by."""
    for route in plugin.routes:
        path = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
        name = f"{route.method} /v1{path}"
        yield name
        if registry.permissions[route.permission].guest:
            yield f"{name} as a guest"
    yield from (f"hook {one.spec}" for one in plugin.hooks)
    yield from (f"service {handle}" for handle in plugin.services)
    yield from (f"handler {one.name}" for one in plugin.handlers)
    yield from (f"job {one.name}" for one in plugin.jobs)
    yield from (f"files {one.name}" for one in plugin.files)
