"""Every installed plugin passes the conformance suite, beside an airline that has sold to all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pss_kernel.registry import Registry
from pss_kernel.tenancy import Tenant
from pss_kernel.testing import TestKit
from pss_kernel.testing.conformance import check_isolation
from pss_outside.airlines import AURELIS
from pss_outside.openapi import WORDS

pytestmark = [pytest.mark.xdist_group("conformance")]

_PLUGINS = [
    name for name, one in Registry.discover().plugins.items() if one.permissions or one.hooks
]


_SHOWS_NOTHING = {"payment_sandbox"}  # what it knows is in the card network


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def twins(
    installation: Any, tenants_folder: Path, sell: Any
) -> AsyncIterator[tuple[tuple[Tenant, Tenant], tuple[Mapping[str, str], Mapping[str, str]]]]:
    """Two airlines of the same files, with orders at every stage; and the ids of these."""
    kit = TestKit(installation)
    made = []
    for code in ("first_twin", "second_twin"):
        tenant = await kit.apply(tenants_folder / AURELIS, code=code)
        made.append((tenant, (await sell(kit, tenant)).named))
    (one, of_one), (other, of_other) = made
    yield (one, other), (of_one, of_other)


@pytest.mark.parametrize("plugin", _PLUGINS)
async def test_isolation(installation: Any, twins: Any, tenants_folder: Path, plugin: str) -> None:
    """Nothing of the other airline is in what the plugin answers, logs, keeps or sends."""
    tenants, known = twins
    report = await check_isolation(
        TestKit(installation),
        plugin,
        tenants=tenants,
        known=known,
        words=WORDS,
        files=tenants_folder / AURELIS,
    )
    assert [] == [str(one) for one in report.findings]
    assert {} == report.not_run | report.failed | report.not_seeded
    # The other airline was shown what is its own, so that it would have been seen in the answer.
    assert (plugin in _SHOWS_NOTHING) == (not report.seen)


_NEEDS_REAL_ROWS = {
    "job extend_horizon": "a schedule is kept compressed; a made-up one is not",
    "hook pss_kernel.personal.contracts.find_persons": "it opens every passenger's sealed facts, "
    "which are made up as a text",
}


@pytest.mark.parametrize("plugin", ["inventory", "reservation", "dcs"])
async def test_made_up(installation: Any, tenants_folder: Path, plugin: str) -> None:
    """Rows, settings and personal data that are all made up stay with their airline too."""
    report = await check_isolation(
        TestKit(installation), plugin, words=WORDS, files=tenants_folder / AURELIS
    )
    assert [] == [str(one) for one in report.findings]
    untested = {one for one in report.elements if report.untested(one)}
    assert untested == _NEEDS_REAL_ROWS.keys() & set(report.elements)
